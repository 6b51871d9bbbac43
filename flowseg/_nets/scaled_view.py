"""A resized array of which any window can be read without computing the rest."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flowseg._intensities import Limits, stretch

# Standard deviations beyond which a Gaussian is cut off (SciPy's default).
TRUNCATE = 4.0


class Sliceable(Protocol):
    """An array of which parts are read by slicing, in memory or in a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, columns, channels."""

    def __getitem__(self, key: tuple[slice, slice], /) -> NDArray[Any]:
        """Return a window of rows and columns."""


class ScaledView:
    """(rows, columns, channels) resized linearly to another shape, smoothed by a Gaussian where it shrinks.

    The values are those of `skimage.transform.resize` with ``order=1, mode="edge"``, window by window. Beyond its
    edges the array is mirrored.

    Parameters
    ----------
    array : ndarray or Sliceable, shape (rows, columns, channels)
        Array to resize. Of one in a file, such as a `zarr.Array`, only windows are read.
    shape : tuple of int
        Rows and columns of the result.
    limits : Limits, optional
        Values that become 0 and 1.
    n_rows, first_row : int, optional
        For a band of a taller array: the number of rows of that one, and the band's first row in it.
    """

    def __init__(
        self,
        array: Sliceable,
        shape: tuple[int, int],
        limits: Limits | None = None,
        *,
        n_rows: int | None = None,
        first_row: int = 0,
    ) -> None:
        self.array = array
        self.full = (n_rows or array.shape[0], array.shape[1])
        self.first_row = first_row
        self.shape = shape
        self.limits = limits

    def read(self, rows: tuple[int, int], columns: tuple[int, int]) -> NDArray[np.float32]:
        """Return a window of the result; start and stop of ``rows`` and ``columns`` may lie beyond it."""
        row, column = mirror(*rows, self.shape[0]), mirror(*columns, self.shape[1])
        low, high = (int(row.min()), int(column.min())), (int(row.max()) + 1, int(column.max()) + 1)
        window = self._window(low, high)
        if low == (rows[0], columns[0]) and high == (rows[1], columns[1]):
            return window
        return window[row[:, np.newaxis] - low[0], column - low[1]]

    def sources(self, axis: int, start: int, stop: int) -> tuple[int, int]:
        """Return start and stop of the rows (axis 0) or columns (axis 1) of the array that a window is made of."""
        if self.shape == self.full:
            return start, stop
        step, sigma = self._step_and_sigma(axis)
        reach = np.ceil(TRUNCATE * sigma) + 2
        return max(int(start * step - reach), 0), min(int(stop * step + reach) + 1, self.full[axis])

    def _step_and_sigma(self, axis: int) -> tuple[float, float]:
        step = self.full[axis] / self.shape[axis]
        return step, max(0.0, (step - 1) / 2)

    def _window(self, low: tuple[int, int], high: tuple[int, int]) -> NDArray[np.float32]:
        (top, bottom), (left, right) = (self.sources(axis, low[axis], high[axis]) for axis in (0, 1))
        source = self._stretch(self.array[top - self.first_row : bottom - self.first_row, left:right])
        if self.shape == self.full:
            return source
        channels = [self._resample(c, (top, left), low, high) for c in np.moveaxis(source, -1, 0)]
        return np.moveaxis(np.stack(channels), 0, -1)

    def _resample(
        self, channel: NDArray[np.float32], first: tuple[int, int], low: tuple[int, int], high: tuple[int, int]
    ) -> NDArray[np.float32]:
        """Return the window ``low`` to ``high`` of the result, from a part of the array that starts at ``first``."""
        for axis in (0, 1):
            step, sigma = self._step_and_sigma(axis)
            if int(TRUNCATE * sigma + 0.5) > 0:  # SciPy's radius
                channel = ndimage.gaussian_filter1d(channel, sigma, axis, mode="nearest", truncate=TRUNCATE)
            place = (np.arange(low[axis], high[axis]) + 0.5) * step - 0.5
            channel = interpolate(channel, np.clip(place, 0, self.full[axis] - 1), first[axis], axis)
        return channel

    def _stretch(self, values: NDArray[Any]) -> NDArray[np.float32]:
        return values.astype(np.float32, copy=False) if self.limits is None else stretch(values, self.limits)


def interpolate(array: NDArray[np.float32], place: NDArray[np.float64], first: int, axis: int) -> NDArray[np.float32]:
    """Return values at ``place``, between rows (axis 0) or columns (axis 1) that are numbered from ``first`` on."""
    below = np.floor(place).astype(np.intp)
    weight = np.expand_dims((place - below).astype(np.float32), 1 - axis)
    result = np.take(array, below - first, axis)
    above = np.take(array, below + 1 - first, axis, mode="clip")  # there is none beyond the last one
    result *= 1 - weight
    above *= weight
    result += above
    return result


def mirror(start: int, stop: int, n: int) -> NDArray[np.intp]:
    """Return the indices ``start..stop`` reflected into ``0..n - 1`` at the first and the last pixel."""
    period = max(2 * (n - 1), 1)
    index = np.arange(start, stop) % period
    return np.minimum(index, period - index) if n > 1 else np.zeros(stop - start, dtype=np.intp)
