"""The masks of the objects of a label image of any size, one by one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from flowseg._labels.objects import objects_of
from flowseg.blockwise._results.label_image import LabelImage


def objects_of_blocks(labels: LabelImage) -> Iterator[tuple[int, tuple[int, int], NDArray[np.bool_]]]:
    """Yield what `objects_of` yields for the whole image, in the order of blocks."""
    for window in labels.windows():
        for label, (row, column), mask in objects_of(window.labels):
            yield label, (window.corner[0] + row, window.corner[1] + column), mask
