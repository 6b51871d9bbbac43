"""Which planes of a label image are annotated."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# A plane, or a box, is annotated if at least this share of it is: the rest was left out on purpose. Of objects that
# were painted one by one less is. Source: chosen.
MIN_ANNOTATED_SHARE = 0.5

Box = tuple[slice, ...]


class Annotation(NamedTuple):
    """Planes that are annotated."""

    counts: tuple[int, ...]  # of planes across each axis; all 0 if one box is annotated
    gap: int  # from one plane to the next, at most


def find_annotation(masks: NDArray[Any]) -> Annotation | None:
    """Return which planes are annotated; None if neither planes nor a box is."""
    box = bounding_box(masks >= 0)
    planes = None if box is None else find_planes(masks[box] >= 0)
    if box is None or planes is None:
        return None
    lengths = [part.stop - part.start for part in box]
    if 1 in lengths:  # one plane, of which all lines are annotated as well
        return Annotation(tuple(int(n == 1) for n in lengths), 1)
    if any(chosen.size == n for chosen, n in zip(planes, lengths, strict=True)):
        return Annotation((0,) * masks.ndim, 1)
    gap = max(int(np.diff(chosen).max(initial=1)) for chosen in planes)
    return Annotation(tuple(int(chosen.size) for chosen in planes), gap)


def find_annotated_region(masks: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Return which pixels are in annotated planes, or in the annotated box; None if neither planes nor a box is."""
    box = bounding_box(masks >= 0)
    planes = None if box is None else find_planes(masks[box] >= 0)
    if box is None or planes is None:
        return None
    region = np.zeros(masks.shape, dtype=bool)
    for axis, chosen in enumerate(planes):
        region[box][across(masks.ndim, axis, chosen)] = True
    return region


def bounding_box(annotated: NDArray[np.bool_]) -> Box | None:
    """Return the box of all annotated pixels; None if there is none."""
    boxes: list[Box | None] = ndimage.find_objects(annotated.view(np.uint8), 1)
    return boxes[0]


def find_planes(annotated: NDArray[np.bool_]) -> list[NDArray[np.intp]] | None:
    """Return the indices of annotated planes across each axis of a bounding box; None if it has no such structure."""
    shape = annotated.shape
    shares = [
        annotated.mean(axis=tuple(other for other in range(len(shape)) if other != axis)) for axis in range(len(shape))
    ]
    is_sparse = [bool(np.any(s == 0) and np.all((s == 0) | (s >= MIN_ANNOTATED_SHARE))) for s in shares]
    if sum(is_sparse) == 1:  # planes of one orientation
        return [np.flatnonzero(share * sparse) for share, sparse in zip(shares, is_sparse, strict=True)]
    planes = [np.flatnonzero(share == 1) for share in shares]
    rest = [np.delete(np.arange(n), chosen) for n, chosen in zip(shape, planes, strict=True)]
    if not annotated[np.ix_(*rest)].any():
        return planes
    is_box = annotated.mean() >= MIN_ANNOTATED_SHARE
    return [np.arange(n) for n in shape] if is_box else None


def across(ndim: int, axis: int, place: slice | NDArray[np.intp]) -> tuple[slice | NDArray[np.intp], ...]:
    """Return the indices of planes across an axis."""
    return tuple(place if k == axis else slice(None) for k in range(ndim))
