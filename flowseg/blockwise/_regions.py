"""Blocks of an image, and the windows around them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Slices = tuple[slice, ...]


@dataclass(frozen=True)
class Block:
    """A box of an image of three axes; an image of two has one plane."""

    index: int
    start: tuple[int, int, int]
    stop: tuple[int, int, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Size along each axis, in pixels."""
        first, second, third = (b - a for a, b in zip(self.start, self.stop, strict=True))
        return first, second, third

    @property
    def slices(self) -> Slices:
        """Place in the image."""
        return tuple(slice(a, b) for a, b in zip(self.start, self.stop, strict=True))

    def window(self, margin: int, shape: tuple[int, int, int]) -> Block:
        """Return the box with a margin of this many pixels on all sides, as far as the image goes."""
        low = tuple(max(a - margin, 0) for a in self.start)
        high = tuple(min(b + margin, n) for b, n in zip(self.stop, shape, strict=True))
        return Block(self.index, (low[0], low[1], low[2]), (high[0], high[1], high[2]))

    def inside(self, window: Block) -> Slices:
        """Return the place of this box in a window around it."""
        spans = zip(self.start, self.stop, window.start, strict=True)
        return tuple(slice(a - origin, b - origin) for a, b, origin in spans)


@dataclass(frozen=True)
class BlockGrid:
    """The blocks that an image is cut into, numbered in raster order."""

    shape: tuple[int, int, int]  # of the image
    size: tuple[int, int, int]  # of a block; those at the end are smaller

    @property
    def counts(self) -> tuple[int, int, int]:
        """Number of blocks along each axis."""
        first, second, third = (-(-n // size) for n, size in zip(self.shape, self.size, strict=True))
        return first, second, third

    @property
    def n(self) -> int:
        """Number of all blocks."""
        return int(np.prod(self.counts))

    def __getitem__(self, index: int) -> Block:
        at = np.unravel_index(index, self.counts)
        start = [int(k) * size for k, size in zip(at, self.size, strict=True)]
        stop = [min(a + size, n) for a, size, n in zip(start, self.size, self.shape, strict=True)]
        return Block(index, (start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))

    def touched(self, box: Block) -> Iterator[Block]:
        """Yield the blocks that a box of the image has pixels of."""
        spans = zip(box.start, box.stop, self.size, strict=True)
        for at in product(*(range(a // size, (b - 1) // size + 1) for a, b, size in spans)):
            yield self[int(np.ravel_multi_index(at, self.counts))]

    def flat_index(self, at: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the raster index in the image of coordinates, shape (3, n)."""
        return np.asarray((at[0] * self.shape[1] + at[1]) * self.shape[2] + at[2])

    def unravel(self, pixel: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the coordinates, shape (3, n), of raster indices in the image."""
        return np.stack(np.unravel_index(pixel, self.shape))

    def block_of(self, at: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of the block that each of some coordinates, shape (3, n), lies in."""
        first, second, third = (a // size for a, size in zip(at, self.size, strict=True))
        return np.asarray((first * self.counts[1] + second) * self.counts[2] + third)
