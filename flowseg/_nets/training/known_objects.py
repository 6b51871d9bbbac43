"""What is known of the objects in a training image: annotated pixels, and what follows for those between them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowseg._labels.sparse import complete_sparse
from flowseg._nets.lattice import Spacing


class KnownObjects(NamedTuple):
    """A label image, completed where only some planes of a volume, or a box, are annotated.

    A network learns from annotated pixels only. The flows there are those of the completed objects: the visible part of
    an object in one plane has another center.
    """

    masks: NDArray[Any]  # negative where nothing is known
    annotated: NDArray[np.bool_] | None = None  # pixels to learn from; None: all that are not negative
    cut: NDArray[Any] = np.zeros(0, dtype=np.int64)  # labels of objects that may go on where nothing is known


def find_known_objects(masks: NDArray[Any], spacing: Spacing | None = None) -> KnownObjects:
    """Return what is known from a label image, whose negative pixels are not annotated; volumes are completed."""
    if masks.ndim == 2 or not (masks < 0).any():
        return KnownObjects(masks)
    found = complete_sparse(masks, spacing=spacing)
    if not found.cut.size and np.array_equal(found.labels, masks):  # some pixels are ignored, but no whole planes
        return KnownObjects(masks)
    return KnownObjects(found.labels, masks >= 0, found.cut)
