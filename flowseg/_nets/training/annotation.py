"""What is known of the objects in a training image: annotated pixels, and what follows for those between them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowseg._labels.sparse import complete_sparse
from flowseg._nets.lattice import Spacing


class Annotation(NamedTuple):
    """A label image, completed where only some planes of a volume, or a box, are annotated.

    A network learns from annotated pixels only. The flows there are those of the completed objects: the visible part of
    an object in one plane has another center.
    """

    completed: NDArray[Any]  # the label image; negative where nothing is known
    annotated: NDArray[np.bool_] | None = None  # pixels to learn from; None: all that are not negative
    cut: NDArray[Any] = np.zeros(0, dtype=np.int64)  # labels of objects that may go on where nothing is known

    def on_annotated(self, masks: NDArray[Any]) -> NDArray[Any]:
        """Return masks, such as predicted ones, without the pixels between the annotated ones."""
        return masks if self.annotated is None else np.where(self.annotated, masks, 0)

    @property
    def to_compare(self) -> NDArray[Any]:
        """The label image that masks on annotated pixels are compared with."""
        return self.completed if self.annotated is None else np.where(self.annotated, self.completed, 0)


def annotate(masks: NDArray[Any], spacing: Spacing | None = None) -> Annotation:
    """Return the annotation of a label image, whose negative pixels are not annotated; volumes are completed."""
    if masks.ndim == 2 or not (masks < 0).any():
        return Annotation(masks)
    found = complete_sparse(masks, spacing=spacing)
    if not found.cut.size and np.array_equal(found.labels, masks):  # some pixels are ignored, but no whole planes
        return Annotation(masks)
    return Annotation(found.labels, masks >= 0, found.cut)
