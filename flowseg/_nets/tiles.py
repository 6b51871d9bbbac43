"""The global tile grid: the same pixels get the same outputs, however the image is cut.

Tiles keep their place on one grid that starts at pixel (0, 0). Each is read with a margin of at least the
network's receptive-field radius towards its neighbours and only its centre is kept, so that an output never depends
on where a tile ends. There is no margin where the image ends: outputs are those of the image read as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowseg._nets.scaled import ScaledView

# Pixels along a tile's side, margins included: large enough to make margins cheap, small enough for any memory
# (about 0.65 GB for the default network, docs/benchmarks/speed.rst).
TILE_SIZE = 1024

# Read from, read to, keep from, keep to.
Axis = tuple[int, int, int, int]

# What is told of a pass over an image: tiles done, tiles in all.
Tell = Callable[[int, int], None]

# Number of the first row, and the rows: shape (rows, columns, n_outputs).
Band = tuple[int, NDArray[np.float32]]


class Grid(NamedTuple):
    """What a network asks of tiles."""

    step: int  # tiles start and end on multiples of it, so that pooling windows always cover the same pixels
    margin: int  # a multiple of step


def make_grid(step: int, radius: int) -> Grid:
    """The grid with the smallest margin that covers a receptive field of the given radius."""
    return Grid(step, -(-radius // step) * step)


def cut_axis(n: int, grid: Grid) -> list[Axis]:
    """Tiles along one axis of ``n`` pixels.

    The last one ends at the next multiple of ``grid.step``. An axis that fits into one tile is read whole.
    """
    size = max(TILE_SIZE, 4 * grid.margin)
    end = -(-n // grid.step) * grid.step
    tiles: list[Axis] = []
    kept = 0
    while kept < n:
        start = max(kept - grid.margin, 0)
        stop = min(start + size, end)
        keep = n if stop == end else stop - grid.margin
        tiles.append((start, stop, kept, keep))
        kept = keep
    return tiles


def map_tiles(
    function: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    view: ScaledView,
    n_outputs: int,
    grid: Grid,
    tell: Tell | None = None,
) -> Iterator[Band]:
    """Apply a network to an image, tile by tile, and give what comes out by bands of whole rows, from top to bottom.

    ``function`` takes and gives (1, rows, columns, channels). No more than a tile of the image and a band of the
    outputs is made at a time. ``tell`` is called after each tile.
    """
    all_rows, all_columns = (cut_axis(n, grid) for n in view.shape)
    n_done = 0
    for rows in all_rows:
        band = empty_outputs((rows[3] - rows[2], view.shape[1], n_outputs))
        keep_rows = slice(rows[2] - rows[0], rows[3] - rows[0])
        for columns in all_columns:
            tile = function(view.read(rows[:2], columns[:2])[np.newaxis])[0]
            keep_columns = slice(columns[2] - columns[0], columns[3] - columns[0])
            band[:, columns[2] : columns[3]] = tile[keep_rows, keep_columns]
            n_done += 1
            if tell is not None:
                tell(n_done, len(all_rows) * len(all_columns))
        yield rows[2], band


def assemble(bands: Iterable[Band], shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """The whole that bands are parts of."""
    whole = empty_outputs(shape)
    for start, band in bands:
        whole[start : start + band.shape[0]] = band
    return whole


def empty_outputs(shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """(rows, columns, n_outputs) of which each output lies in one piece in memory, so that it can be used as it is."""
    return np.moveaxis(np.empty((shape[2], *shape[:2]), dtype=np.float32), 0, -1)
