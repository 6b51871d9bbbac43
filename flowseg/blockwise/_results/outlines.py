"""The masks of the objects of a label image of any size, one by one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from flowseg._labels.objects import objects_of
from flowseg.blockwise._results.label_image import LabelImage


def objects_of_blocks(labels: LabelImage) -> Iterator[tuple[int, tuple[int, int], NDArray[np.bool_]]]:
    """Yield what `objects_of` yields for the whole image, in the order of blocks.

    Raises
    ------
    ValueError
        If the labels are those of a volume, whose objects have no outlines.
    """
    if len(labels.shape) != 2:
        raise ValueError(
            f"outlines are those of images (rows, columns); {labels.source.location} is a volume of shape "
            f"{labels.shape}. Choose a plane with z."
        )
    for window in labels.windows():
        for label, (row, column), mask in objects_of(window.labels):
            top, left = window.corner
            yield label, (top + row, left + column), mask
