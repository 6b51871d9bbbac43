"""Iterate over the objects of a label image."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from flowseg import _checks
from flowseg._labels.overlaps import number_objects


def objects_of(masks: ArrayLike) -> Iterator[tuple[int, tuple[int, int], NDArray[np.bool_]]]:
    """Yield the label, the first row and column of the box, and the mask in the box of every object, by label."""
    array = _checks.as_masks(masks, ndims=(2,))
    labels, number, _ = number_objects(array)
    image = number.reshape(array.shape)
    for k, box in enumerate(ndimage.find_objects(image)):
        yield int(labels[k]), (box[0].start, box[1].start), image[box] == k + 1
