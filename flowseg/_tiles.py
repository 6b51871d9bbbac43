"""The global tile grid: the same pixels get the same outputs, however the image is cut.

Tiles keep their place on one grid that starts at pixel (0, 0). Each is read with a margin of at least the
network's receptive-field radius on every side and only its centre is kept, so that an output never depends on where
a tile ends. Beyond the image its mirror image is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from flowseg._scaled import ScaledView

# Tiles start and end on multiples of this many pixels, so that pooling windows (up to 6 poolings by 2) always cover
# the same pixels.
TILE_STEP = 64
# Pixels along a tile's side, margins included: large enough to make margins cheap, small enough for any memory
# (about 0.3 GB for the default network).
TILE_SIZE = 768

Axis = tuple[int, int, int, int]

# Number of the first row, and the rows: shape (rows, columns, n_outputs).
Band = tuple[int, NDArray[np.float32]]


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


def map_tiles(
    function: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    view: ScaledView,
    n_outputs: int,
    margin: int,
) -> Iterator[Band]:
    """Apply a network to an image, tile by tile, and give what comes out by bands of whole rows, from top to bottom.

    ``function`` takes and gives (1, rows, columns, channels). No more than a tile of the image and a band of the
    outputs is made at a time.
    """
    for rows in grid_axis(view.shape[0], margin):
        band = np.empty((rows[3] - rows[2], view.shape[1], n_outputs), dtype=np.float32)
        keep_rows = slice(rows[2] - rows[0], rows[3] - rows[0])
        for columns in grid_axis(view.shape[1], margin):
            tile = function(view.read(rows[:2], columns[:2])[np.newaxis])[0]
            keep_columns = slice(columns[2] - columns[0], columns[3] - columns[0])
            band[:, columns[2] : columns[3]] = tile[keep_rows, keep_columns]
        yield rows[2], band


def assemble(bands: Iterable[Band], shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """The whole that bands are parts of."""
    whole = np.empty(shape, dtype=np.float32)
    for start, band in bands:
        whole[start : start + band.shape[0]] = band
    return whole
