"""An image to annotate next."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from flowseg._suggest.boxes import Box, Part, paste

# An image further outside the ranges of the training images, in margins, is unlike them.
UNLIKE = 1.0


@dataclass(frozen=True, eq=False)
class Suggestion:
    """An image to annotate, with the boxes in it that are most worth it.

    Attributes
    ----------
    index : int
        Number of the image in the list.
    boxes : list of (int, int, int, int)
        First row, first column, and the row and the column behind the last ones, ``min_row``, ``min_col``, ``max_row``
        and ``max_col``; the box of the most doubt first.
    doubt : ndarray, shape (n_boxes,)
        Expected number of wrong objects in each box.
    distance : float
        How far the image is outside the ranges of the training images, in margins: 0 is inside, above 1 `predict`
        warns. NaN where it is not known.
    priority : float
        What images are ordered by, from 0 to 2, before those that are alike count less.
    shape : (int, int)
        Rows and columns of the image.
    """

    index: int
    boxes: list[Box]
    doubt: NDArray[np.float64]
    distance: float
    priority: float
    shape: tuple[int, int]
    _part: Part = field(repr=False)

    @property
    def masks(self) -> NDArray[np.int32]:
        """Label image to correct: the predicted objects that touch a box, as a whole, and -1 elsewhere beside boxes."""
        return paste(self._part, self.shape)


def describe_reasons(doubt: float, distance: float) -> str:
    """Return in words why to annotate: the expected number of wrong objects, and whether the image is unlike others."""
    unlike = "; unlike the training images" if distance > UNLIKE else ""
    return f"about {doubt:.2g} objects wrong{unlike}"
