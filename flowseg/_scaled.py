"""An array at another size, of which any window can be read without the rest being made."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Standard deviations beyond which a Gaussian is cut off (SciPy's default).
TRUNCATE = 4.0


class ScaledView:
    """(rows, columns, channels) resized linearly to another shape, averaged by a Gaussian where it shrinks.

    What `skimage.transform.resize` gives with ``order=1, mode="edge"``, window by window. Beyond its edges the
    array is mirrored.

    Parameters
    ----------
    array : ndarray, shape (rows, columns, channels)
        What to resize.
    shape : tuple of int
        Rows and columns of the result.
    low, high : ndarray, shape (channels,), optional
        Values that become 0 and 1.
    """

    def __init__(
        self,
        array: NDArray[Any],
        shape: tuple[int, int],
        low: NDArray[np.float64] | None = None,
        high: NDArray[np.float64] | None = None,
    ) -> None:
        self.array = array
        self.shape = shape
        self.low = low
        self.high = high

    def read(self, rows: tuple[int, int], columns: tuple[int, int]) -> NDArray[np.float32]:
        """Window of the result, from and to these rows and columns, which may lie beyond it."""
        row, column = mirror(*rows, self.shape[0]), mirror(*columns, self.shape[1])
        low, high = (int(row.min()), int(column.min())), (int(row.max()) + 1, int(column.max()) + 1)
        return self._window(low, high)[row[:, np.newaxis] - low[0], column - low[1]]

    def _window(self, low: tuple[int, int], high: tuple[int, int]) -> NDArray[np.float32]:
        if self.shape == self.array.shape[:2]:
            return self._stretch(self.array[low[0] : high[0], low[1] : high[1]]).astype(np.float32, copy=False)
        step = np.array(self.array.shape[:2]) / self.shape
        sigma = np.maximum(0.0, (step - 1) / 2)
        reach = np.ceil(TRUNCATE * sigma) + 2
        start = np.maximum((np.array(low) * step - reach).astype(np.intp), 0)
        stop = np.minimum((np.array(high) * step + reach).astype(np.intp) + 1, self.array.shape[:2])
        source = self._stretch(self.array[start[0] : stop[0], start[1] : stop[1]])
        offset = (np.array(low) + 0.5) * step - 0.5 - start
        size = (high[0] - low[0], high[1] - low[1])
        channels = [self._resample(source[..., c], sigma, step, offset, size) for c in range(source.shape[2])]
        return np.stack(channels, axis=-1)

    def _resample(
        self,
        channel: NDArray[Any],
        sigma: NDArray[np.float64],
        step: NDArray[np.float64],
        offset: NDArray[np.float64],
        size: tuple[int, int],
    ) -> NDArray[np.float32]:
        smooth = channel
        if sigma.any():
            smooth = ndimage.gaussian_filter(channel, sigma, mode="nearest", truncate=TRUNCATE, output=np.float32)
        return ndimage.affine_transform(smooth, step, offset, size, order=1, mode="nearest", output=np.float32)

    def _stretch(self, values: NDArray[Any]) -> NDArray[np.float32]:
        if self.low is None or self.high is None:
            return values.astype(np.float32, copy=False)
        limit = np.finfo(np.float32).max
        span = np.where(self.high > self.low, self.high - self.low, np.inf)  # a constant channel becomes 0
        return np.clip((values.astype(np.float64) - self.low) / span, -limit, limit).astype(np.float32)


def mirror(start: int, stop: int, n: int) -> NDArray[np.intp]:
    """Indices ``start..stop`` folded back into ``0..n - 1`` at the first and the last pixel."""
    period = max(2 * (n - 1), 1)
    index = np.arange(start, stop) % period
    return np.minimum(index, period - index) if n > 1 else np.zeros(stop - start, dtype=np.intp)
