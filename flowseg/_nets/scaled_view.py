"""A resized array of which any window can be read without computing the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flowseg._intensities import Limits, stretch

# Standard deviations beyond which a Gaussian is cut off (SciPy's default).
TRUNCATE = 4.0


# Start and stop along each axis; ends are exclusive.
Window = Sequence[tuple[int, int]]


class Sliceable(Protocol):
    """An array of which parts are read by slicing, in memory or in a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(Planes,) rows, columns, channels."""

    def __getitem__(self, key: tuple[slice, ...], /) -> NDArray[Any]:
        """Return a window: a slice for each axis but the channels."""


class ScaledView:
    """(rows, columns, channels) resized linearly to another shape, smoothed by a Gaussian where it shrinks.

    The values are those of `skimage.transform.resize` with ``order=1, mode="edge"``, window by window. Beyond its
    edges the array is mirrored. Volumes have planes before rows.

    Parameters
    ----------
    array : ndarray or Sliceable, shape (rows, columns, channels) or (planes, rows, columns, channels)
        Array to resize. Of one in a file, such as a `zarr.Array`, only windows are read.
    shape : tuple of int
        Shape of the result, without channels.
    limits : Limits, optional
        Values that become 0 and 1.
    first, full : tuple of int, optional
        For a part of a larger array: the place of its first pixel in that one, and the shape of that one.
    """

    def __init__(
        self,
        array: Sliceable,
        shape: tuple[int, ...],
        limits: Limits | None = None,
        *,
        first: tuple[int, ...] | None = None,
        full: tuple[int, ...] | None = None,
    ) -> None:
        self.array = array
        self.full = tuple(array.shape[:-1]) if full is None else full
        self.first = (0,) * len(shape) if first is None else first
        self.shape = shape
        self.limits = limits

    def read(self, window: Window) -> NDArray[np.float32]:
        """Return a window of the result; starts and stops may lie beyond it."""
        indices = [mirror(*bounds, n) for bounds, n in zip(window, self.shape, strict=True)]
        inside = [(int(index.min()), int(index.max()) + 1) for index in indices]
        values = self._window(inside)
        if inside == [tuple(bounds) for bounds in window]:
            return values
        return values[np.ix_(*(index - low for index, (low, _) in zip(indices, inside, strict=True)))]

    def sources(self, axis: int, start: int, stop: int) -> tuple[int, int]:
        """Return start and stop, along an axis, of the pixels of the array that a window is made of."""
        if self.shape[axis] == self.full[axis]:
            return start, stop
        step, sigma = self._step_and_sigma(axis)
        reach = np.ceil(TRUNCATE * sigma) + 2
        return max(int(start * step - reach), 0), min(int(stop * step + reach) + 1, self.full[axis])

    def _step_and_sigma(self, axis: int) -> tuple[float, float]:
        step = self.full[axis] / self.shape[axis]
        return step, max(0.0, (step - 1) / 2)

    def _window(self, window: Window) -> NDArray[np.float32]:
        sources = [self.sources(axis, *bounds) for axis, bounds in enumerate(window)]
        place = tuple(slice(start - n, stop - n) for (start, stop), n in zip(sources, self.first, strict=True))
        source = self._stretch(self.array[place])
        if self.shape == self.full:
            return source
        starts = [start for start, _ in sources]
        channels = [self._resample(channel, starts, window) for channel in np.moveaxis(source, -1, 0)]
        return np.moveaxis(np.stack(channels), 0, -1)

    def _resample(self, channel: NDArray[np.float32], starts: list[int], window: Window) -> NDArray[np.float32]:
        """Return a window of the result, from a part of the array that begins at ``starts``."""
        for axis, bounds in enumerate(window):
            if self.shape[axis] == self.full[axis]:
                continue
            step, sigma = self._step_and_sigma(axis)
            if int(TRUNCATE * sigma + 0.5) > 0:  # SciPy's radius
                channel = ndimage.gaussian_filter1d(channel, sigma, axis, mode="nearest", truncate=TRUNCATE)
            place = (np.arange(*bounds) + 0.5) * step - 0.5
            channel = interpolate(channel, np.clip(place, 0, self.full[axis] - 1), starts[axis], axis)
        return channel

    def _stretch(self, values: NDArray[Any]) -> NDArray[np.float32]:
        return values.astype(np.float32, copy=False) if self.limits is None else stretch(values, self.limits)


def interpolate(array: NDArray[np.float32], place: NDArray[np.float64], first: int, axis: int) -> NDArray[np.float32]:
    """Return values at ``place`` along an axis, between pixels that are numbered from ``first`` on."""
    below = np.floor(place).astype(np.intp)
    weight = (place - below).astype(np.float32).reshape(-1, *[1] * (array.ndim - 1 - axis))
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
