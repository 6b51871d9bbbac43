"""The global tile grid: the same pixels get the same outputs, however the image is cut.

Tiles keep their place on one grid that starts at pixel (0, 0). Each is read with a margin of at least the
network's receptive-field radius on every side and only its centre is kept, so that an output never depends on where
a tile ends. Beyond the image its mirror image is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

# Tiles start and end on multiples of this many pixels, so that pooling windows (up to 6 poolings by 2) always cover
# the same pixels.
TILE_STEP = 64
# Pixels along a tile's side, margins included: large enough to make margins cheap, small enough for any memory
# (about 0.3 GB for the default network).
TILE_SIZE = 768

Axis = tuple[int, int, int, int]


def grid_margin(radius: int) -> int:
    """Smallest margin on the grid that covers a receptive field of the given radius."""
    return -(-radius // TILE_STEP) * TILE_STEP


def grid_axis(n: int, margin: int) -> list[Axis]:
    """Tiles along one axis of ``n`` pixels, as (read from, read to, keep from, keep to).

    An axis that fits into one tile is read whole, up to the next multiple of TILE_STEP.
    """
    if n <= TILE_SIZE:
        return [(0, -(-n // TILE_STEP) * TILE_STEP, 0, n)]
    stride = max(TILE_SIZE - 2 * margin, TILE_STEP)
    return [(start - margin, start + stride + margin, start, min(start + stride, n)) for start in range(0, n, stride)]


def grid(shape: tuple[int, int], margin: int) -> Iterator[tuple[Axis, Axis]]:
    """Tiles of an image, row by row."""
    for rows in grid_axis(shape[0], margin):
        for columns in grid_axis(shape[1], margin):
            yield rows, columns


def _read(image: NDArray[np.float32], rows: Axis, columns: Axis) -> NDArray[np.float32]:
    """Read a window that may reach beyond the image."""
    return image[_mirror(rows[0], rows[1], image.shape[0])[:, None], _mirror(columns[0], columns[1], image.shape[1])]


def _mirror(start: int, stop: int, n: int) -> NDArray[np.intp]:
    """Indices ``start..stop`` folded back into ``0..n - 1`` at the first and the last pixel."""
    period = max(2 * (n - 1), 1)
    index = np.arange(start, stop) % period
    return np.minimum(index, period - index) if n > 1 else np.zeros(stop - start, dtype=np.intp)


def map_tiles(
    function: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    image: NDArray[np.float32],
    n_outputs: int,
    margin: int,
) -> NDArray[np.float32]:
    """Apply a network to an image, tile by tile.

    ``function`` takes and gives (1, rows, columns, channels); ``image`` has shape (rows, columns, channels).
    """
    outputs = np.empty((*image.shape[:2], n_outputs), dtype=np.float32)
    for rows, columns in grid((image.shape[0], image.shape[1]), margin):
        tile = function(_read(image, rows, columns)[np.newaxis])[0]
        keep_rows = slice(rows[2] - rows[0], rows[3] - rows[0])
        keep_columns = slice(columns[2] - columns[0], columns[3] - columns[0])
        outputs[rows[2] : rows[3], columns[2] : columns[3]] = tile[keep_rows, keep_columns]
    return outputs
