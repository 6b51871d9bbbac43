"""Properties of the connected components of a label image: specks, distances, contact with the border."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._labels.annotation import find_annotation
from flowseg._labels.components import Components, find_components, touches_border
from flowseg._labels.sparse import complete_sparse

# A component is a speck if it has at most this many pixels, or this share of its label's largest component. Source:
# chosen.
SPECK_PIXELS = 3
SPECK_SHARE = 0.02

# Components of one label are several objects if they are further apart than this many diameters of the largest. Source:
# chosen.
FAR = 0.5

# Lengths of the last of three axes that make an array a color image: RGB and RGBA.
COLOR_CHANNELS = (3, 4)

# All integers up to here have a float64. Source: its 53 bits.
MAX_EXACT_FLOAT = 2.0**53


class ComponentProperties:
    """The connected components of a label image, by label.

    Parameters
    ----------
    array : ndarray of numbers, shape (rows, columns) or (planes, rows, columns)
        Label image; floats must be integers, see `holds_integers`.
    spacing : ndarray of float, shape (ndim,), optional
        Distance between pixels along each axis; 1 by default.
    reach : float
        Distance up to which components of one label are not far apart, whatever their size.
    """

    def __init__(self, array: NDArray[Any], spacing: NDArray[np.float64] | None = None, reach: float = 0) -> None:
        self.reach = reach
        self.spacing = np.ones(3)
        if spacing is not None:
            self.spacing[3 - array.ndim :] = spacing
        self.array = array.astype(np.int64) if array.dtype.kind in "fb" else array
        self.components: Components = find_components(self.array)
        self.image = self.components.image.reshape(array.shape)  # number of each pixel's component; 0 is background
        self.sizes = self.components.sizes
        # The labels, and the index among them of each component's label.
        self.labels, self.label_index = np.unique(self.array.ravel()[self.components.first], return_inverse=True)

    @property
    def n_objects(self) -> int:
        """Number of labels above 0."""
        return int(self.labels.size)

    @cached_property
    def largest(self) -> NDArray[np.intp]:
        """Index of the largest component of each label."""
        order = np.lexsort((self.sizes, self.label_index))
        last = np.append(np.diff(self.label_index[order]) != 0, True) if order.size else np.zeros(0, bool)
        return np.asarray(order[last])

    @cached_property
    def is_speck(self) -> NDArray[np.bool_]:
        """Whether each component is a speck."""
        main = self.sizes[self.largest][self.label_index]
        return np.asarray((self.sizes < main) & (self.sizes <= np.maximum(SPECK_PIXELS, SPECK_SHARE * main)))

    @cached_property
    def gap(self) -> NDArray[np.float64]:
        """Distance between the boxes of each component and of its label's largest component."""
        boxes = self.components.boxes
        main = boxes[self.largest][self.label_index]
        apart = np.maximum(boxes[:, :3] - main[:, 3:], main[:, :3] - boxes[:, 3:]).clip(min=0)
        return np.asarray(np.linalg.norm(apart * self.spacing, axis=1))

    @cached_property
    def is_far(self) -> NDArray[np.bool_]:
        """Whether each component is too far from its label's largest component to be part of the same object."""
        size = self.sizes[self.largest] * self.spacing.prod()
        diameter = 2 * np.sqrt(size / np.pi) if self.array.ndim == 2 else 2 * np.cbrt(0.75 * size / np.pi)
        return np.asarray(~self.is_speck & (self.gap > np.maximum(FAR * diameter[self.label_index], self.reach)))

    @cached_property
    def touches_border(self) -> NDArray[np.bool_]:
        """Whether each component reaches the image's border."""
        return touches_border(self.components)

    def count(self, chosen: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Return the number of chosen components of each label."""
        return np.bincount(self.label_index[chosen], minlength=self.n_objects)


def complete_objects(array: NDArray[Any], spacing: NDArray[np.float64] | None = None) -> ComponentProperties:
    """Return the properties of a partially annotated volume's objects, completed between annotated planes."""
    annotation = find_annotation(array)
    reach = annotation.gap * (1.0 if spacing is None else float(spacing.max())) if annotation is not None else 0.0
    return ComponentProperties(complete_sparse(array, spacing=spacing).labels, spacing, reach)


def is_color(array: NDArray[Any]) -> bool:
    """Return whether an array has the shape of a color image."""
    return array.ndim == 3 and array.shape[2] in COLOR_CHANNELS


def holds_integers(array: NDArray[Any]) -> bool:
    """Return whether an array could be a label image, perhaps with its integers stored in another dtype."""
    if array.ndim not in (2, 3) or array.size == 0 or array.dtype.kind not in "biuf" or is_color(array):
        return False
    if array.dtype.kind != "f":
        return True
    return bool(np.all(np.abs(array) <= MAX_EXACT_FLOAT) and np.all(array == np.rint(array)))  # False for NaN
