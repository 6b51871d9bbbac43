"""Which planes of a label image are annotated.

All that is asked of the image is how many pixels are annotated in each plane, so it may be read in blocks.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# A plane, or a box, is annotated if at least this share of it is: the rest was left out on purpose. Of objects that
# were painted one by one less is. Source: chosen.
MIN_ANNOTATED_SHARE = 0.5

Box = tuple[slice, ...]
Counts = list[NDArray[np.int64]]  # of annotated pixels, for each plane across each axis


class Annotation(NamedTuple):
    """Planes that are annotated."""

    counts: tuple[int, ...]  # of planes across each axis; all 0 if one box is annotated
    gap: int  # from one plane to the next, at most


def find_annotation(masks: NDArray[Any]) -> Annotation | None:
    """Return which planes are annotated; None if neither planes nor a box is."""
    region = find_region(count_annotated(masks >= 0))
    if region is None:
        return None
    box, planes = region
    lengths = [part.stop - part.start for part in box]
    if 1 in lengths:  # one plane, of which all lines are annotated as well
        return Annotation(tuple(int(n == 1) for n in lengths), 1)
    if any(chosen.size == n for chosen, n in zip(planes, lengths, strict=True)):
        return Annotation((0,) * masks.ndim, 1)
    gap = max(int(np.diff(chosen).max(initial=1)) for chosen in planes)
    return Annotation(tuple(int(chosen.size) for chosen in planes), gap)


class Region(NamedTuple):
    """Planes, or a box, of an image."""

    box: Box  # of all that is annotated
    planes: list[NDArray[np.intp]]  # across each axis, counted from the box

    def within(self, window: Box) -> NDArray[np.bool_]:
        """Return which pixels of a window of the image are in the region."""
        inside = np.zeros([part.stop - part.start for part in window], dtype=bool)
        for axis, chosen in enumerate(self.planes):
            indices = chosen + self.box[axis].start - window[axis].start
            indices = indices[(indices >= 0) & (indices < inside.shape[axis])]
            inside[across(inside.ndim, axis, indices)] = True
        for axis, (part, of_window) in enumerate(zip(self.box, window, strict=True)):
            before, after = max(part.start - of_window.start, 0), max(part.stop - of_window.start, 0)
            inside[across(inside.ndim, axis, slice(0, before))] = False
            inside[across(inside.ndim, axis, slice(after, None))] = False
        return inside


def find_annotated_region(masks: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Return which pixels are in annotated planes, or in the annotated box; None if neither planes nor a box is."""
    region = find_region(count_annotated(masks >= 0))
    return None if region is None else region.within(tuple(slice(0, n) for n in masks.shape))


def count_annotated(annotated: NDArray[np.bool_]) -> Counts:
    """Return the number of annotated pixels in each plane across each axis."""
    axes = range(annotated.ndim)
    return [np.count_nonzero(annotated, axis=tuple(other for other in axes if other != axis)) for axis in axes]


def find_region(counts: Counts) -> Region | None:
    """Return the annotated planes or box of an image; None if neither planes nor a box is."""
    places = [np.flatnonzero(of_axis) for of_axis in counts]
    if not all(place.size for place in places):
        return None
    box = tuple(slice(int(place[0]), int(place[-1]) + 1) for place in places)
    planes = _find_planes([of_axis[part] for of_axis, part in zip(counts, box, strict=True)])
    return None if planes is None else Region(box, planes)


def _find_planes(counts: Counts) -> list[NDArray[np.intp]] | None:
    """Return the indices of annotated planes across each axis of a bounding box; None if it has no such structure."""
    shape = [of_axis.size for of_axis in counts]
    n_pixels, n_annotated = prod(shape), int(counts[0].sum())
    shares = [of_axis / (n_pixels // of_axis.size) for of_axis in counts]
    is_sparse = [bool(np.any(s == 0) and np.all((s == 0) | (s >= MIN_ANNOTATED_SHARE))) for s in shares]
    if sum(is_sparse) == 1:  # planes of one orientation
        return [np.flatnonzero(share * sparse) for share, sparse in zip(shares, is_sparse, strict=True)]
    planes = [np.flatnonzero(share == 1) for share in shares]
    n_elsewhere = prod(n - chosen.size for n, chosen in zip(shape, planes, strict=True))
    if n_annotated == n_pixels - n_elsewhere:  # no more than whole planes
        return planes
    return [np.arange(n) for n in shape] if n_annotated >= MIN_ANNOTATED_SHARE * n_pixels else None


def across(ndim: int, axis: int, place: slice | NDArray[np.intp]) -> tuple[slice | NDArray[np.intp], ...]:
    """Return the indices of planes across an axis."""
    return tuple(place if k == axis else slice(None) for k in range(ndim))
