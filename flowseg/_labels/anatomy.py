"""A label image taken apart: labels, their connected pieces, and what these are."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._labels.components import Components, find_components, touches_border

# A piece is a speck of its object if it has at most so many pixels, or this share of the object's largest piece.
SPECK_PIXELS = 3
SPECK_SHARE = 0.02
# Pieces of one label further apart than this many diameters of the largest are several objects.
FAR = 0.5
# An array of three axes with so many values along the last one is a color picture; a volume so narrow is none.
COLOR_CHANNELS = (3, 4)
# Up to here every whole number has a float64 of its own.
LARGEST_WHOLE = 2.0**53


class Anatomy:
    """A label image and its connected pieces."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array.astype(np.int64) if array.dtype.kind in "fb" else array
        self.pieces: Components = find_components(self.array)
        self.image = self.pieces.image.reshape(array.shape)  # number of the piece of every pixel, 0 is background
        self.sizes = self.pieces.sizes
        self.values, self.owner = np.unique(self.array.ravel()[self.pieces.first], return_inverse=True)

    @property
    def n_objects(self) -> int:
        """Labels above 0."""
        return self.values.size

    @cached_property
    def largest(self) -> NDArray[np.intp]:
        """Number of the largest piece of each label."""
        order = np.lexsort((self.sizes, self.owner))
        last = np.append(np.diff(self.owner[order]) != 0, True) if order.size else np.zeros(0, bool)
        return order[last]

    @cached_property
    def is_speck(self) -> NDArray[np.bool_]:
        """Whether each piece is a speck of its label."""
        whole = self.sizes[self.largest][self.owner]
        return (self.sizes < whole) & (self.sizes <= np.maximum(SPECK_PIXELS, SPECK_SHARE * whole))

    @cached_property
    def gap(self) -> NDArray[np.float64]:
        """Pixels between the boxes of each piece and of its label's largest piece."""
        boxes = self.pieces.boxes
        main = boxes[self.largest][self.owner]
        apart = np.maximum(boxes[:, :3] - main[:, 3:], main[:, :3] - boxes[:, 3:]).clip(min=0)
        return np.linalg.norm(apart, axis=1)

    @cached_property
    def is_far(self) -> NDArray[np.bool_]:
        """Whether each piece is too far from its label's largest to be of the same object."""
        size = self.sizes[self.largest]
        diameter = 2 * np.sqrt(size / np.pi) if self.array.ndim == 2 else 2 * np.cbrt(0.75 * size / np.pi)
        return ~self.is_speck & (self.gap > FAR * diameter[self.owner])

    @cached_property
    def is_cut(self) -> NDArray[np.bool_]:
        """Whether each piece touches the image's border."""
        return touches_border(self.pieces)

    def count(self, chosen: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Chosen pieces per label."""
        return np.bincount(self.owner[chosen], minlength=self.n_objects)


def is_color(array: NDArray[Any]) -> bool:
    """Whether it has the shape of a color picture."""
    return array.ndim == 3 and array.shape[2] in COLOR_CHANNELS


def is_whole(array: NDArray[Any]) -> bool:
    """Whether it could be a label image, perhaps in another dtype."""
    if array.ndim not in (2, 3) or array.size == 0 or array.dtype.kind not in "biuf" or is_color(array):
        return False
    if array.dtype.kind != "f":
        return True
    return bool(np.all(np.abs(array) <= LARGEST_WHOLE) and np.all(array == np.rint(array)))  # not so for NaN
