"""Boxes of an image that hold the largest sum of a map, and the labels in them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowseg._labels.numbering import NOT_ANNOTATED

# Digits after the point that sums are compared by: rounding must not decide between boxes of equal sums.
DIGITS = 9


class Box(NamedTuple):
    """A box of pixels, as scikit-image writes them: the ends are not in it."""

    min_row: int
    min_col: int
    max_row: int
    max_col: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """The box as an index of an image."""
        return slice(self.min_row, self.max_row), slice(self.min_col, self.max_col)


class Found(NamedTuple):
    """A box and the sum in it."""

    box: Box
    total: float


def find_boxes(doubt: NDArray[np.float64], side: int, most: int) -> list[Found]:
    """Return the box of the largest sum, then others that do not overlap with those before, and whose sum is above 0.

    Of equal ones the first in raster order is taken.

    Parameters
    ----------
    doubt : ndarray, shape (rows, columns)
        What to sum, at least 0.
    side : int
        Rows and columns of a box; of an image that has fewer, all of them.
    most : int
        Number of boxes at most.
    """
    height, width = (min(side, n) for n in doubt.shape)
    total = np.zeros((doubt.shape[0] + 1, doubt.shape[1] + 1))
    total[1:, 1:] = doubt.cumsum(axis=0).cumsum(axis=1)
    sums = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    sums = sums.round(DIGITS)
    found: list[Found] = []
    while len(found) < most:
        row, column = (int(place) for place in np.unravel_index(np.argmax(sums), sums.shape))
        largest = float(sums[row, column])
        if found and largest <= 0:
            break
        found.append(Found(Box(row, column, row + height, column + width), max(largest, 0.0)))
        sums[max(0, row - height + 1) : row + height, max(0, column - width + 1) : column + width] = -1
    return found


class Part(NamedTuple):
    """The part of a label image in which anything is known."""

    corner: tuple[int, int]  # first row and column
    labels: NDArray[np.int32]


def cut_out(masks: NDArray[np.int32], boxes: list[Box]) -> Part:
    """Return the objects that touch boxes, numbered 1..n, and `NOT_ANNOTATED` beside boxes and objects.

    The objects are there as a whole: an object that the edge of a box cut would have another center, and so teach other
    flows.
    """
    known = np.zeros(masks.shape, dtype=bool)
    for box in boxes:
        known[box.slices] = True
    labels = np.unique(masks[known & (masks > 0)])
    number = np.zeros(int(masks.max()) + 1, dtype=np.int32)
    number[labels] = np.arange(1, labels.size + 1)
    numbered = number[masks]
    known |= numbered > 0
    rows, columns = (np.flatnonzero(known.any(axis=axis)) for axis in (1, 0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return Part((int(rows[0]), int(columns[0])), np.where(known, numbered, NOT_ANNOTATED)[window].astype(np.int32))


def paste(part: Part, shape: tuple[int, int]) -> NDArray[np.int32]:
    """Return the label image of an image that a part is of."""
    masks = np.full(shape, NOT_ANNOTATED, dtype=np.int32)
    window = tuple(slice(first, first + n) for first, n in zip(part.corner, part.labels.shape, strict=True))
    masks[window] = part.labels
    return masks


def number_boxes(boxes: list[Box], shape: tuple[int, int]) -> NDArray[np.int32]:
    """Return a label image of the boxes, 1..n."""
    masks = np.zeros(shape, dtype=np.int32)
    for number, box in enumerate(boxes, start=1):
        masks[box.slices] = number
    return masks
