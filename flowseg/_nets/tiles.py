"""The global tile grid: the same pixels get the same outputs, however the image is cut.

Tiles have their places on one grid that starts at pixel (0, 0). Each is read with a margin of at least the network's
receptive-field radius towards its neighbors, and only its core is kept, so that an output never depends on where a tile
ends. Cores do not overlap, so nothing is blended. There is no margin where the image ends: the
outputs equal those for the image read as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowseg._nets.scaled_view import ScaledView

# Pixels along a tile's side, margins included: large enough to make margins cheap, small enough for any memory
# (about 0.65 GB for the default network, docs/benchmarks/speed.rst).
TILE_SIZE = 1024

# Called after each tile of an image with the number of tiles done and the number of all tiles.
OnTile = Callable[[int, int], None]

# Number of the first row, and the rows: shape (rows, columns, n_outputs).
Band = tuple[int, NDArray[np.float32]]

# Takes and returns (1, rows, columns, channels).
TileFunction = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Grid(NamedTuple):
    """The tile grid that a network needs, in pixels."""

    step: int  # tiles start and end on multiples of it, so that pooling windows always cover the same pixels
    margin: int  # a multiple of step


class Interval(NamedTuple):
    """One axis of a tile, in pixels; ends are exclusive."""

    start: int  # the tile is read from here ...
    stop: int  # ... to here, which may lie beyond the image
    core_start: int  # and its outputs are kept from here ...
    core_stop: int  # ... to here

    @property
    def read(self) -> tuple[int, int]:
        """Start and stop of the pixels to read."""
        return self.start, self.stop

    @property
    def core(self) -> slice:
        """Place of the core in the image."""
        return slice(self.core_start, self.core_stop)

    @property
    def core_in_tile(self) -> slice:
        """Place of the core in the tile."""
        return slice(self.core_start - self.start, self.core_stop - self.start)


class Tile(NamedTuple):
    """One tile of the grid."""

    rows: Interval
    columns: Interval


def make_grid(step: int, radius: int) -> Grid:
    """Return the grid with the smallest margin that covers a receptive field of the given radius."""
    return Grid(step, -(-radius // step) * step)


def cut_axis(n: int, grid: Grid) -> list[Interval]:
    """Return the tiles along one axis of ``n`` pixels.

    The last one ends at the next multiple of ``grid.step``. An axis that fits into one tile is read whole.
    """
    size = max(TILE_SIZE, 4 * grid.margin)
    end = -(-n // grid.step) * grid.step
    tiles: list[Interval] = []
    kept = 0
    while kept < n:
        start = max(kept - grid.margin, 0)
        stop = min(start + size, end)
        core_stop = n if stop == end else stop - grid.margin
        tiles.append(Interval(start, stop, kept, core_stop))
        kept = core_stop
    return tiles


def list_tiles(
    shape: tuple[int, int],
    grid: Grid,
    *,
    rows: tuple[int, int] | None = None,
    columns: tuple[int, int] | None = None,
) -> list[Tile]:
    """Return the tiles of an image, row by row; with ``rows`` or ``columns`` those whose cores lie in this region.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the image as the network sees it.
    grid : Grid
        The network's grid.
    rows, columns : tuple of int, optional
        Start and stop of a region of the image; the tiles are those of the whole image that touch it.
    """
    all_rows, all_columns = (
        [i for i in cut_axis(n, grid) if region is None or (i.core_start < region[1] and i.core_stop > region[0])]
        for n, region in zip(shape, (rows, columns), strict=True)
    )
    return [Tile(r, c) for r in all_rows for c in all_columns]


def run_tile(function: TileFunction, view: ScaledView, tile: Tile) -> NDArray[np.float32]:
    """Return the network's outputs for the core of one tile, shape (rows, columns, n_outputs)."""
    outputs: NDArray[np.float32] = function(view.read(tile.rows.read, tile.columns.read)[np.newaxis])[0]
    return outputs[tile.rows.core_in_tile, tile.columns.core_in_tile]


def map_tiles(
    function: TileFunction, view: ScaledView, n_outputs: int, grid: Grid, on_tile: OnTile | None = None
) -> Iterator[Band]:
    """Apply a network to an image tile by tile; yield its outputs by bands of whole rows, from top to bottom.

    At any time one tile of the image and one band of the outputs are in memory. ``on_tile`` is called after each tile.
    """
    tiles = list_tiles(view.shape, grid)
    n_done = 0
    for rows, row_of_tiles in groupby(tiles, key=lambda tile: tile.rows):
        band = empty_outputs((rows.core_stop - rows.core_start, view.shape[1], n_outputs))
        for tile in row_of_tiles:
            band[:, tile.columns.core] = run_tile(function, view, tile)
            n_done += 1
            if on_tile is not None:
                on_tile(n_done, len(tiles))
        yield rows.core_start, band


def assemble(bands: Iterable[Band], shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Return the array that bands are parts of."""
    whole = empty_outputs(shape)
    for start, band in bands:
        whole[start : start + band.shape[0]] = band
    return whole


def empty_outputs(shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Return (rows, columns, n_outputs) in which each output is contiguous in memory, ready for use by itself."""
    return np.moveaxis(np.empty((shape[2], *shape[:2]), dtype=np.float32), 0, -1)
