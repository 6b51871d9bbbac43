"""The global tile grid: the same pixels get the same outputs, however the image is cut.

Tiles have their places on one grid that starts at the first pixel. Each is read with a margin of at least the network's
receptive-field radius towards its neighbors, and only its core is kept, so that an output never depends on where a tile
ends. Cores do not overlap, so nothing is blended. There is no margin where the image ends: the
outputs equal those for the image read as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowseg._nets.scaled_view import ScaledView, Window

# Pixels along a side of a tile of an image, margins included: large enough to make margins cheap, small enough for any
# memory (about 0.65 GB for the default network, docs/benchmarks/speed.rst).
TILE_SIZE = 1024
# Voxels of a tile of a volume, margins included. The default network for volumes, with (16, 32, 64) filters, takes 570
# to 590 bytes per voxel (measured on blocks of 96 and of 128 voxels a side): 2 GB. Deeper networks can take more, as
# margins of a quarter of a side have to fit in.
TILE_VOXELS = 3_400_000
# Sides of a tile in units of its margin at least: a core is half as long as its tile.
LEAST_MARGINS = 4

# Called after each tile of an image with the number of tiles done and the number of all tiles.
OnTile = Callable[[int, int], None]

# Number of the first row (of volumes the first plane), and the rows: shape (rows, columns, n_outputs).
Band = tuple[int, NDArray[np.float32]]

# Takes and returns (1, rows, columns, channels), of volumes (1, planes, rows, columns, channels).
TileFunction = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Grid(NamedTuple):
    """The tile grid that a network needs, in pixels along each axis."""

    steps: tuple[int, ...]  # tiles start and end on multiples of it, so that pooling windows cover the same pixels
    margins: tuple[int, ...]  # multiples of the steps


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


# One tile of the grid: an interval per axis.
Tile = tuple[Interval, ...]


def core_of(tile: Tile) -> tuple[slice, ...]:
    """Return the place of a tile's core in the image."""
    return tuple(interval.core for interval in tile)


def make_grid(steps: Sequence[int], radii: Sequence[int]) -> Grid:
    """Return the grid with the smallest margins that cover receptive fields of the given radii."""
    return Grid(tuple(steps), tuple(-(-radius // step) * step for step, radius in zip(steps, radii, strict=True)))


def cut_axes(shape: Sequence[int], grid: Grid) -> list[list[Interval]]:
    """Return for each axis of an image the intervals that its tiles are made of."""
    cuts = zip(shape, grid.steps, grid.margins, tile_sides(shape, grid), strict=True)
    return [_cut_axis(*cut) for cut in cuts]


def tile_sides(shape: Sequence[int], grid: Grid) -> tuple[int, ...]:
    """Return the pixels along each axis of the largest tiles, margins included: a function of shape and grid only.

    Images have tiles of one size. Volumes, where margins cost more, are cut as seldom as the memory for a tile allows:
    time and again along the axis that is the longest in units of its margin, and into equal parts.
    """
    least = [LEAST_MARGINS * margin for margin in grid.margins]
    if len(shape) == 2:
        return tuple(max(TILE_SIZE, side) for side in least)
    ends = [_round_up(n, step) for n, step in zip(shape, grid.steps, strict=True)]
    sides = list(ends)
    while math.prod(sides) > TILE_VOXELS:
        axes = [axis for axis, side in enumerate(sides) if side - grid.steps[axis] >= least[axis]]
        if not axes:
            break
        longest = max(axes, key=lambda axis: sides[axis] / max(grid.margins[axis], 1))
        shorter = _shorten(sides[longest], ends[longest], grid.steps[longest], grid.margins[longest])
        sides[longest] = max(shorter, least[longest])
    return tuple(sides)


def _shorten(side: int, end: int, step: int, margin: int) -> int:
    """Return the next shorter side: that of equal parts, as few as there have to be."""
    n_parts = -(-(end - 2 * margin) // (side - step - 2 * margin))
    return _round_up(-(-(end + 2 * margin * (n_parts - 1)) // n_parts), step)


def _round_up(n: int, step: int) -> int:
    """Return the next multiple of ``step``."""
    return -(-n // step) * step


def _cut_axis(n: int, step: int, margin: int, side: int) -> list[Interval]:
    """Return the tiles along one axis of ``n`` pixels.

    The last one ends at the next multiple of ``step``. An axis that fits into one tile is read whole.
    """
    end = _round_up(n, step)
    tiles: list[Interval] = []
    kept = 0
    while kept < n:
        start = max(kept - margin, 0)
        stop = min(start + side, end)
        core_stop = n if stop == end else stop - margin
        tiles.append(Interval(start, stop, kept, core_stop))
        kept = core_stop
    return tiles


def list_tiles(shape: Sequence[int], grid: Grid, window: Window | None = None) -> list[Tile]:
    """Return the tiles of an image in raster order; with a ``window`` those whose cores lie in it.

    Parameters
    ----------
    shape : sequence of int
        (Planes,) rows and columns of the image as the network sees it.
    grid : Grid
        The network's grid.
    window : sequence of (int, int), optional
        Start and stop of a region of the image along each axis; the tiles are those of the whole image that touch it.
    """
    axes = cut_axes(shape, grid)
    if window is not None:
        axes = [
            [one for one in axis if one.core_start < stop and one.core_stop > start]
            for axis, (start, stop) in zip(axes, window, strict=True)
        ]
    return list(product(*axes))


def run_tile(function: TileFunction, view: ScaledView, tile: Tile) -> NDArray[np.float32]:
    """Return the network's outputs for the core of one tile, shape (rows, columns, n_outputs)."""
    outputs: NDArray[np.float32] = function(view.read([one.read for one in tile])[np.newaxis])[0]
    return outputs[tuple(one.core_in_tile for one in tile)]


def map_tiles(
    function: TileFunction, view: ScaledView, n_outputs: int, grid: Grid, on_tile: OnTile | None = None
) -> Iterator[Band]:
    """Apply a network to an image tile by tile; yield its outputs by bands of whole rows, from top to bottom.

    Of volumes they are bands of whole planes. At any time one tile of the image and one band of the outputs are in
    memory. ``on_tile`` is called after each tile.
    """
    tiles = list_tiles(view.shape, grid)
    n_done = 0
    for first, tiles_of_band in groupby(tiles, key=lambda tile: tile[0]):
        band = empty_outputs((first.core_stop - first.core_start, *view.shape[1:], n_outputs))
        for tile in tiles_of_band:
            band[(slice(None), *core_of(tile)[1:])] = run_tile(function, view, tile)
            n_done += 1
            if on_tile is not None:
                on_tile(n_done, len(tiles))
        yield first.core_start, band


def assemble(bands: Iterable[Band], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the array that bands are parts of."""
    whole = empty_outputs(shape)
    for start, band in bands:
        whole[start : start + band.shape[0]] = band
    return whole


def empty_outputs(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return (rows, columns, n_outputs) in which each output is contiguous in memory, ready for use by itself."""
    return np.moveaxis(np.empty((shape[-1], *shape[:-1]), dtype=np.float32), 0, -1)
