"""The part of the graph of basins that lies in one block.

A *fragment* is a connected component of a basin inside a block. It depends on the flows in the block and a few pixels
around it, so it is the same whatever is done elsewhere. `merge_blocks` puts the fragments of all blocks together.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import product

import numpy as np
from numpy.typing import NDArray

from flowseg import _diffusion
from flowseg._flows.basins import MAX_BASINS, find_successors
from flowseg._flows.joining import Borders, sum_borders
from flowseg._flows.logit_sums import as_logit_units
from flowseg._labels.components import split_into_components
from flowseg.blockwise._regions import Block, BlockGrid

# Pixels around a block that its graph depends on: a path comes 4 pixels far and reads one more (kernels/basins.pxi).
MARGIN = 5

# Code of a successor that is the pixel itself, as in kernels/basins.pxi.
NO_SHIFT = 9**3 // 2


@dataclass(frozen=True)
class BlockGraph:
    """Fragments 1..n of one block, and what they touch. Entry k of an array is that of fragment k + 1."""

    basins: NDArray[np.int32]  # (n,): a number for each basin in the block
    exits: NDArray[np.int64]  # (n,): pixel of the image, outside the block, that the basin leads to; -1: it ends inside
    sizes: NDArray[np.int64]  # (n,): pixels
    squares: NDArray[np.int64]  # (n,): sum of squared flows, in the unit of kernels/borders.pxi
    logits: NDArray[np.int64]  # (n,): sum of logits, in the unit of `_flows.logit_sums`
    firsts: NDArray[np.int64]  # (n,): raster index in the image of the first pixel
    boxes: NDArray[np.int64]  # (n, 6): first and past-the-end coordinates in the image
    # Faces between two fragments, or between a fragment and a pixel of a block behind it in raster order.
    face_first: NDArray[np.int32]
    face_second: NDArray[np.int64]  # fragment, or -1 - raster index in the image of the pixel
    n_faces: NDArray[np.int64]
    agreement: NDArray[np.int64]
    convergence: NDArray[np.int64]
    # The same for contact at corners and edges only.
    corner_first: NDArray[np.int32]
    corner_second: NDArray[np.int64]

    def as_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the fields by name, for a file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def graph_of_block(
    flows: NDArray[np.float32], cellprob: NDArray[np.float32], grid: BlockGrid, block: Block, threshold: float
) -> tuple[BlockGraph, NDArray[np.int32]]:
    """Return the graph of a block and its label image of fragments.

    Parameters
    ----------
    flows, cellprob : ndarray of float32, shape (ndim, *window) and window
        Outputs for ``block.window(MARGIN, grid.shape)``, three axes.
    grid : BlockGrid
        The blocks of the image.
    block : Block
        The block.
    threshold : float
        Pixels with a larger `cellprob` are foreground.
    """
    window = block.window(MARGIN, grid.shape)
    place = block.inside(window)
    state = np.zeros(cellprob.shape, dtype=np.int32)
    _diffusion.mark_foreground(cellprob, threshold, state)
    foreground = state != 0
    shifts = find_successors(flows, state, 1)
    outside = np.ones(state.shape, dtype=bool)
    outside[place] = False
    shifts[outside] = (
        NO_SHIFT  # a pixel around the block is a basin of its own: the paths that leave the block end there
    )
    n_basins = _diffusion.number_basins(shifts, state, MAX_BASINS)
    exits = _exits(state, outside & foreground, window, grid, n_basins)

    fragments = np.ascontiguousarray(state[place])
    components, basins = split_into_components(fragments)
    n = components.n
    origin = np.array(block.start * 2, dtype=np.int64)
    firsts = np.stack(np.unravel_index(components.first, block.shape)) + origin[:3, np.newaxis]
    around = _label_surroundings(fragments, foreground, window, block, grid)
    near_flows = np.ascontiguousarray(flows[(slice(None), *around.slices)])
    borders = sum_borders(near_flows, around.image, n + around.pixels.size)
    face_first, face_second, sums = _select_faces(borders, n, around)
    corner_first, corner_second = _corners(around, n)
    graph = BlockGraph(
        basins=basins,
        exits=exits[basins],
        sizes=components.sizes.astype(np.int64),
        squares=borders.totals[1 : n + 1, 0],
        logits=np.bincount(fragments.ravel(), as_logit_units(cellprob[place]).ravel(), n + 1)[1:].astype(np.int64),
        firsts=grid.flat_index(firsts),
        boxes=components.boxes.astype(np.int64) + origin,
        face_first=face_first,
        face_second=face_second,
        n_faces=sums[:, 0],
        agreement=sums[:, 1],
        convergence=sums[:, 2],
        corner_first=corner_first,
        corner_second=corner_second,
    )
    return graph, fragments


def _global_index(at: tuple[NDArray[np.intp], ...], window: Block, grid: BlockGrid) -> NDArray[np.int64]:
    """Return raster indices in the image of coordinates in a window."""
    return grid.flat_index(np.stack(at).astype(np.int64) + np.array(window.start, dtype=np.int64)[:, np.newaxis])


def _exits(
    state: NDArray[np.int32], around: NDArray[np.bool_], window: Block, grid: BlockGrid, n_basins: int
) -> NDArray[np.int64]:
    """Return for every basin 0..n the pixel around the block that it is, or -1."""
    exits = np.full(n_basins + 1, -1, dtype=np.int64)
    at = np.nonzero(around)
    exits[state[at]] = _global_index(at, window, grid)
    return exits


@dataclass(frozen=True)
class _Surroundings:
    image: NDArray[np.int32]  # fragments 1..n, and n + 1, ... for the foreground pixels around the block
    slices: tuple[slice, ...]  # its place in the window
    pixels: NDArray[np.int64]  # raster indices in the image of the pixels around the block
    is_behind: NDArray[np.bool_]  # whether these are behind the block along an axis


def _label_surroundings(
    fragments: NDArray[np.int32], foreground: NDArray[np.bool_], window: Block, block: Block, grid: BlockGrid
) -> _Surroundings:
    """Return the fragments with one pixel around them."""
    near = block.window(1, grid.shape)
    slices, place = near.inside(window), block.inside(near)
    others = foreground[slices].copy()
    others[place] = False
    at = np.nonzero(others)
    image = np.zeros(near.shape, dtype=np.int32)
    image[place] = fragments
    image[at] = int(fragments.max(initial=0)) + 1 + np.arange(at[0].size)
    is_behind = np.any([a >= part.stop for a, part in zip(at, place, strict=True)], axis=0)
    return _Surroundings(image, slices, _global_index(at, near, grid), is_behind)


def _select_faces(
    borders: Borders, n: int, around: _Surroundings
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Return first and second of each pair that this block reports, and the sums over its faces.

    A pair of a fragment and a pixel of another block has one face; the block before it reports it.
    """
    first, second = borders.pairs.T.astype(np.int64)
    mine = second <= n
    beside = (first <= n) & ~mine
    mine[beside] = around.is_behind[second[beside] - n - 1]
    order = np.lexsort((second[mine], first[mine]))
    return (
        first[mine][order].astype(np.int32),
        _second(second[mine][order], n, around.pixels),
        borders.sums[mine][order],
    )


def _second(labels: NDArray[np.int64], n: int, pixels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return fragments as they are, and -1 - raster index for pixels of other blocks."""
    second = labels.copy()
    other = labels > n
    second[other] = -1 - pixels[labels[other] - n - 1]
    return second


def _corners(around: _Surroundings, n: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the pairs that touch at corners or edges; of pixels around the block those behind it in raster order."""
    found = [np.zeros(0, dtype=np.int64)]
    for offset in product((-1, 0, 1), repeat=3):
        if offset <= (0, 0, 0) or np.count_nonzero(offset) < 2:
            continue
        a, b = (around.image[tuple(_shifted(sign * o) for o in offset)] for sign in (-1, 1))
        touch = a != b  # few pixels: the others are looked at where this is so
        touch &= a > 0
        first, second = a[touch].astype(np.int64), b[touch].astype(np.int64)
        mine = (second > 0) & (first <= n)  # the block before a contact reports it
        found.append(np.unique(np.minimum(first, second)[mine] << 32 | np.maximum(first, second)[mine]))
    keys = np.unique(np.concatenate(found))
    return (keys >> 32).astype(np.int32), _second(keys & 0xFFFFFFFF, n, around.pixels)


def _shifted(offset: int) -> slice:
    return slice(max(offset, 0), min(offset, 0) or None)
