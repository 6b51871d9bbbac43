"""The objects of a label image, one by one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from flowseg import _checks
from flowseg._labels.overlaps import number_objects


def objects_of(masks: ArrayLike) -> Iterator[tuple[int, tuple[int, int], NDArray[np.bool_]]]:
    """Label, first row and column of the box, and the box with the object's pixels, in the order of labels."""
    array = _checks.as_masks(masks, ndims=(2,))
    labels, number, _ = number_objects(array)
    image = number.reshape(array.shape)
    for k, box in enumerate(ndimage.find_objects(image)):
        yield int(labels[k]), (box[0].start, box[1].start), image[box] == k + 1
