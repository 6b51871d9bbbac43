"""Windows of the label image of objects, put together from the fragments of blocks."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from flowseg.blockwise._regions import Block, BlockGrid, as_three

# Returns the label image of the fragments of a block, given its index; a memory map will do.
ReadFragments = Callable[[int], NDArray[np.int32]]


class FragmentTable(Protocol):
    """Numbers of the fragments of all blocks, as `Objects` and `InteriorComponents` hold them."""

    def of_block(self, index: int) -> NDArray[np.int32]:
        """Return the number of fragment 0, 1, ... of a block."""


class ObjectWindows:
    """Reads windows of the label image that a table of fragments stands for.

    An object that is not much larger than the distance between corners of blocks touches at most two blocks along each
    axis. This is how many blocks are held at a time.

    Parameters
    ----------
    table : FragmentTable
        The numbers of fragments.
    grid : BlockGrid
        The blocks of the image.
    read_fragments : callable
        Returns the label image of the fragments of a block.
    """

    def __init__(self, table: FragmentTable, grid: BlockGrid, read_fragments: ReadFragments) -> None:
        self.grid = grid
        n_held = 2 ** sum(n > 1 for n in grid.counts)
        self.fragments = lru_cache(n_held)(read_fragments)
        self.numbers = lru_cache(n_held)(table.of_block)

    def read(self, box: Block) -> NDArray[np.int32]:
        """Return the label image in a box of the image."""
        return self._read(box, lambda numbers: numbers)

    def read_mask(self, box: Block, number: int) -> NDArray[np.int32]:
        """Return 1 where the object ``number`` is, and 0 elsewhere."""
        return self._read(box, lambda numbers: (numbers == number).astype(np.int32))

    def _read(self, box: Block, change: Callable[[NDArray[np.int32]], NDArray[np.int32]]) -> NDArray[np.int32]:
        window = np.zeros(box.shape, dtype=np.int32)
        for block in self.grid.touched(box):
            common = intersection(block, box)
            fragments = self.fragments(block.index)[common.inside(block)]
            window[common.inside(box)] = change(self.numbers(block.index))[fragments]
        return window


def intersection(a: Block, b: Block) -> Block:
    """Return the common part of two boxes that overlap."""
    start = [max(pair) for pair in zip(a.start, b.start, strict=True)]
    stop = [min(pair) for pair in zip(a.stop, b.stop, strict=True)]
    return Block(a.index, as_three(start), as_three(stop))


def box_of(coordinates: NDArray[np.integer]) -> Block:
    """Return the box with these six coordinates, first and past-the-end."""
    values = [int(value) for value in coordinates]
    return Block(0, as_three(values[:3]), as_three(values[3:]))
