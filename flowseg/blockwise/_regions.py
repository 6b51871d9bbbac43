"""Blocks of an image, and the windows around them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Slices = tuple[slice, ...]

# Pixels of a block where no size is given, and its longest side: its arrays take some 300 MB.
BLOCK_PIXELS, LARGEST_SIDE = 2048 * 2048, 2048
# Sides that are chosen are multiples of this, so that a block is made of chunks of its labels.
SIDE_STEP = 32
Triple = tuple[int, int, int]


def as_three(numbers: Sequence[int]) -> Triple:
    """Return three numbers as a tuple of this length."""
    first, second, third = numbers
    return first, second, third


def with_planes(numbers: Sequence[int]) -> Triple:
    """Return a number along each axis of an image as one along three axes: an image has one plane."""
    return as_three([*[1] * (3 - len(numbers)), *numbers])


def choose_block_size(shape: Sequence[int]) -> int:
    """Return the side of blocks of an image or a volume; those of flat volumes are wider."""
    sides = range(LARGEST_SIDE, SIDE_STEP, -SIDE_STEP)
    return next((side for side in sides if math.prod(min(side, n) for n in shape) <= BLOCK_PIXELS), SIDE_STEP)


@dataclass(frozen=True)
class Block:
    """A box of an image of three axes; an image of two has one plane."""

    index: int
    start: Triple
    stop: Triple

    @property
    def shape(self) -> Triple:
        """Size along each axis, in pixels."""
        return as_three([b - a for a, b in zip(self.start, self.stop, strict=True)])

    @property
    def slices(self) -> Slices:
        """Place in the image."""
        return tuple(slice(a, b) for a, b in zip(self.start, self.stop, strict=True))

    def window(self, margin: int | Triple, shape: Triple) -> Block:
        """Return the box with a margin of this many pixels on all sides, as far as the image goes.

        A margin may be one number or one along each axis.
        """
        margins = (margin,) * 3 if isinstance(margin, int) else margin
        low = [max(a - around, 0) for a, around in zip(self.start, margins, strict=True)]
        high = [min(b + around, n) for b, around, n in zip(self.stop, margins, shape, strict=True)]
        return Block(self.index, as_three(low), as_three(high))

    def inside(self, window: Block) -> Slices:
        """Return the place of this box in a window around it."""
        spans = zip(self.start, self.stop, window.start, strict=True)
        return tuple(slice(a - origin, b - origin) for a, b, origin in spans)


@dataclass(frozen=True)
class BlockGrid:
    """The blocks that an image is cut into, numbered in raster order."""

    shape: Triple  # of the image
    size: Triple  # of a block; those at the end are smaller

    @property
    def counts(self) -> Triple:
        """Number of blocks along each axis."""
        return as_three([-(-n // size) for n, size in zip(self.shape, self.size, strict=True)])

    @property
    def n(self) -> int:
        """Number of all blocks."""
        return int(np.prod(self.counts))

    def __getitem__(self, index: int) -> Block:
        at = np.unravel_index(index, self.counts)
        start = [int(k) * size for k, size in zip(at, self.size, strict=True)]
        stop = [min(a + size, n) for a, size, n in zip(start, self.size, self.shape, strict=True)]
        return Block(index, as_three(start), as_three(stop))

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
