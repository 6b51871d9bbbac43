"""Objects of three classes, block by block: the same as `BoundaryCodec.decode` finds in the whole image.

A *fragment* is a connected component of the interior inside a block. The blocks' faces connect fragments to the
components of the image. These are expanded in every block, from a window around it; then their pixels are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from flowseg import _diffusion
from flowseg._labels.components import renumber
from flowseg._labels.expansion import expand_objects, reach_of
from flowseg._segmenters.codecs.boundary_codec import find_interiors, number_large_objects
from flowseg.blockwise._objects.windows import ObjectWindows, ReadFragments
from flowseg.blockwise._regions import Block, BlockGrid, as_three


@dataclass(frozen=True)
class BoundaryGraph:
    """Fragments 1..n of one block. Entry k of an array is that of fragment k + 1."""

    firsts: NDArray[np.int64]  # (n,): raster index in the image of the first pixel

    def as_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the fields by name, for a file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class InteriorComponents:
    """Components 1..n of the interior of an image, in raster order of their first pixels."""

    of_fragment: NDArray[np.int32]  # component of every fragment; entry 0 stands for the background
    offsets: NDArray[np.int64]  # (n_blocks + 1,): fragment k of block b is entry offsets[b] + k of `of_fragment`
    firsts: NDArray[np.int64]  # (n,): raster index of the first pixel

    def as_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the fields by name, for a file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def n(self) -> int:
        """Number of components."""
        return self.firsts.size

    def of_block(self, index: int) -> NDArray[np.int32]:
        """Return the component of fragment 0, 1, ... of a block."""
        part = self.of_fragment[self.offsets[index] + 1 : self.offsets[index + 1] + 1]
        return np.concatenate([np.zeros(1, dtype=np.int32), part])


def boundary_graph_of_block(
    outputs: NDArray[np.float32], grid: BlockGrid, block: Block
) -> tuple[BoundaryGraph, NDArray[np.int32]]:
    """Return the graph of a block and its label image of fragments.

    ``outputs`` are those of the network for the block, without a margin, shape (*block.shape, 3).
    """
    fragments = find_interiors(outputs)
    n = int(fragments.max(initial=0))
    first = renumber(fragments, np.arange(n + 1, dtype=np.int32), n).first
    at = np.stack(np.unravel_index(first, block.shape)) + np.array(block.start)[:, np.newaxis]
    return BoundaryGraph(grid.flat_index(at.astype(np.int64))), fragments


def merge_interiors(
    graphs: Iterable[BoundaryGraph], grid: BlockGrid, read_fragments: ReadFragments
) -> InteriorComponents:
    """Return the components that the fragments of all blocks make up."""
    starts = [graph.firsts for graph in graphs]
    offsets = np.concatenate([[0], np.cumsum([firsts.size for firsts in starts])]).astype(np.int64)
    parent = np.arange(offsets[-1] + 1, dtype=np.int32)
    pairs = [np.zeros((2, 0), dtype=np.int32), *_contacts(grid, offsets, read_fragments)]
    _diffusion.unite_pairs(np.ascontiguousarray(np.concatenate(pairs, axis=1)), parent)
    firsts = np.concatenate([[-1], *starts]).astype(np.int64)
    roots, component = np.unique(parent, return_inverse=True)
    least = firsts[roots]
    np.minimum.at(least, component, firsts)
    order = np.argsort(least)  # the background first
    number = np.empty(roots.size, dtype=np.int32)
    number[order] = np.arange(roots.size)
    return InteriorComponents(number[component], offsets, least[order[1:]])


def _contacts(
    grid: BlockGrid, offsets: NDArray[np.int64], read_fragments: ReadFragments
) -> Iterator[NDArray[np.int32]]:
    """Yield pairs of fragments that touch across a face between two blocks."""
    blocks = np.arange(grid.n).reshape(grid.counts)
    for axis in range(3):
        befores, afters = np.moveaxis(blocks, axis, 0)[:-1], np.moveaxis(blocks, axis, 0)[1:]
        for before, after in zip(befores.ravel().tolist(), afters.ravel().tolist(), strict=True):
            faces = read_fragments(before).take(-1, axis).ravel(), read_fragments(after).take(0, axis).ravel()
            pair = np.stack(faces).astype(np.int64)
            pair = np.unique(pair[:, (pair > 0).all(axis=0)], axis=1)
            yield (pair + offsets[[before, after], np.newaxis]).astype(np.int32)


def expand_in_block(windows: ObjectWindows, index: int, distances: Sequence[float]) -> NDArray[np.int32]:
    """Return the label image of a block, with the numbers of the components of the image, expanded.

    ``windows`` reads the label image of `InteriorComponents`. The window that is read has a margin of the distance
    along each of the three axes.
    """
    block = windows.grid[index]
    window = block.window(as_three([reach_of(distance) for distance in distances]), windows.grid.shape)
    return np.ascontiguousarray(expand_objects(windows.read(window), distances)[block.inside(window)])


def count_pixels(labels: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the numbers above 0 in a label image, increasing, and the number of pixels of each."""
    present = labels[labels > 0]
    lowest = int(present.min(initial=np.iinfo(np.int32).max))
    counts = np.bincount(present - lowest)  # near pixels have near numbers
    numbers = np.flatnonzero(counts)
    return (numbers + lowest).astype(np.int32), counts[numbers]


def final_labels(
    n: int, counts: Sequence[tuple[NDArray[np.int32], NDArray[np.int64]]], min_size: int
) -> NDArray[np.int32]:
    """Return the final label of component 0..n, 0 for none, from the pixels of each in every block."""
    sizes = np.zeros(n + 1, dtype=np.int64)
    for numbers, pixels in counts:
        sizes[numbers] += pixels
    return number_large_objects(sizes, min_size)
