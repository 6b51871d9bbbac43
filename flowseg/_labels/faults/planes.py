"""Find faults of volumes: planes that do not fit together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._labels.faults.findings import Finding
from flowseg._labels.numbering import number_values

# Planes number their objects each by itself if at least this share of them has the labels 1..n, although less than the
# other share of the pixels that are objects in two neighboring planes has one label. Source: three of twelve annotated
# volumes have 1..n in more than 0.3 of their planes, as all objects go through, and one label on all such pixels.
MIN_RESTARTED_SHARE = 0.9
MAX_RESTARTED_SAME = 0.97

# Labels change from plane to plane if the share of pixels with one label is below this. Source: it is 0.93 and more in
# twelve annotated volumes, and 0.38 and more in every eighth plane of them. Between two planes all labels change. They
# are compared if at least MIN_BOTH pixels are objects in both.
MAX_CHANGED_SAME = 0.3
MIN_BOTH = 50

# A plane is shifted if its neighbors agree at least by this factor better with each other than with it, and it agrees
# with them by the same factor better after a shift of MIN_SHIFT pixels or more. Source: chosen; tests shift planes.
MIN_GAIN = 1.2
MIN_SHIFT = 2
MAX_SHIFT = 20

# Planes that the message of one finding names. Source: chosen; a line on a screen.
MAX_NAMED = 5


def check_planes(array: NDArray[Any]) -> Iterator[Finding]:
    """Find faults of a volume of labels (planes, rows, columns), among its planes with annotation."""
    index = np.flatnonzero((array >= 0).any(axis=(1, 2)))
    planes = array[index]
    n_same, n_both = _agreement(planes[:-1], planes[1:])
    stack = _find_stack(planes, n_same, n_both)
    if stack is not None:
        yield stack
        return
    empty = find_empty_planes(array)
    if empty.size:
        yield Finding("empty plane", f"no object in {_list_planes(empty)}, although objects go on on both sides.")
    shifted = {k: shift for k in _suspects(planes, n_both) if (shift := _shift_of_plane(planes, k))}
    for k, (rows, columns) in shifted.items():
        what = f"plane {index[k]} fits its neighbors {-rows:+d} rows and {-columns:+d} columns away"
        yield Finding("shifted plane", f"{what}: shifted?")
    changed = np.flatnonzero((n_both >= MIN_BOTH) & (n_same == 0))
    pairs = [f"{index[k]} and {index[k + 1]}" for k in changed.tolist() if k not in shifted and k + 1 not in shifted]
    if pairs:
        more = f" and {len(pairs) - MAX_NAMED} more pairs" if len(pairs) > MAX_NAMED else ""
        named = ", ".join(pairs[:MAX_NAMED])
        yield Finding("stack", f"all labels change between planes {named}{more}, although objects overlap there.")


def find_empty_planes(array: NDArray[Any]) -> NDArray[np.intp]:
    """Return the planes without an object between planes of which some object goes on; unannotated ones are none."""
    is_empty = np.asarray(~(array > 0).any(axis=(1, 2)) & (array >= 0).all(axis=(1, 2)))
    filled = np.flatnonzero((array > 0).any(axis=(1, 2)))
    found = []
    for below, above in pairwise(filled.tolist()):
        between = np.arange(below + 1, above)
        if between.size and is_empty[between].all() and _agreement(array[below], array[above])[0] > 0:
            found.append(between)
    return np.concatenate(found) if found else np.zeros(0, dtype=np.intp)


def _find_stack(array: NDArray[Any], n_same: NDArray[np.intp], n_both: NDArray[np.intp]) -> Finding | None:
    """Return the finding that planes number their objects each by itself; None if they do not."""
    labels = [np.unique(plane[plane > 0]) for plane in array]
    filled = [values for values in labels if values.size]
    if len(filled) < 2 or max(values.size for values in filled) < 3:
        return None
    same = float(n_same.sum()) / max(int(n_both.sum()), 1)
    restarted = np.mean([int(values[-1]) == values.size for values in filled])
    many = len(filled) > 2 or len({values.size for values in filled}) > 1
    if restarted >= MIN_RESTARTED_SHARE and same < MAX_RESTARTED_SAME and many:
        what = f"every plane has labels from 1 on, and objects change theirs from plane to plane ({same:.0%} keep them)"
        return Finding("stack", f"{what}: 2-D label images, not a volume?")
    if n_both.sum() < MIN_BOTH or same >= MAX_CHANGED_SAME:
        return None
    what = f"{1 - same:.0%} of the pixels that are objects in two neighboring planes have different labels there"
    if len(array) in (3, 4):
        return Finding("color", f"{what}: color channels in place of planes?")
    return Finding("stack", f"{what}: 2-D label images, not a volume?")


def _agreement(below: NDArray[Any], above: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the numbers of pixels with one label in both planes, and of pixels with any in both."""
    both = (below > 0) & (above > 0)
    same = both & (below == above)
    return np.asarray(same.sum(axis=(-2, -1))), np.asarray(both.sum(axis=(-2, -1)))


def _overlap(below: NDArray[Any], above: NDArray[Any]) -> float:
    """Return the share of object pixels of two planes that have one label in both."""
    either = int(np.count_nonzero((below > 0) | (above > 0)))
    return float(_agreement(below, above)[0]) / max(either, 1)


def _suspects(array: NDArray[Any], n_both: NDArray[np.intp]) -> list[int]:
    """Return the planes whose neighbors agree better with each other than with them."""
    found = []
    for k in range(1, len(array) - 1):
        below, plane, above = array[k - 1 : k + 2]
        if (plane > 0).any() and min(n_both[k - 1], n_both[k]) >= MIN_BOTH:
            with_plane = max(_overlap(below, plane), _overlap(plane, above))
            if _overlap(below, above) > MIN_GAIN * with_plane:
                found.append(k)
    return found


def _shift_of_plane(array: NDArray[Any], k: int) -> tuple[int, int] | None:
    """Return by how many rows and columns a plane is shifted against its neighbors; None if it is not."""
    from scipy import signal  # takes half a second

    around = array[k - 1 : k + 2]
    _, number, _ = number_values(np.maximum(around, 0))
    signs = np.random.default_rng(0).choice([-1.0, 1.0], int(number.max()) + 1)  # so that different labels cancel
    signs[0] = 0
    below, plane, above = signs[number].reshape(around.shape)
    sums = signal.fftconvolve(np.pad(below + above, MAX_SHIFT), plane[::-1, ::-1], mode="valid")
    place = np.unravel_index(np.argmax(sums), sums.shape)
    rows, columns = MAX_SHIFT - int(place[0]), MAX_SHIFT - int(place[1])
    before, after = (_overlap_after(around, shift) for shift in ((0, 0), (rows, columns)))
    is_shifted = max(abs(rows), abs(columns)) >= MIN_SHIFT and after > MIN_GAIN * before
    return (rows, columns) if is_shifted else None


def _overlap_after(around: NDArray[Any], shift: tuple[int, int]) -> float:
    """Return the overlap of the middle one of three planes with the other two after it was moved back."""
    rows, columns = shift
    height, width = around.shape[1:]
    here = np.s_[max(rows, 0) : height + min(rows, 0), max(columns, 0) : width + min(columns, 0)]
    there = np.s_[max(-rows, 0) : height - max(rows, 0), max(-columns, 0) : width - max(columns, 0)]
    below, plane, above = around
    return _overlap(below[there], plane[here]) + _overlap(plane[here], above[there])


def find_flat_objects(boxes: NDArray[np.intp], n_planes: int) -> NDArray[np.bool_]:
    """Return which boxes are one plane deep, at no end of the volume."""
    return np.asarray((boxes[:, 3] - boxes[:, 0] == 1) & (boxes[:, 0] > 0) & (boxes[:, 3] < n_planes))


def _list_planes(planes: NDArray[np.intp]) -> str:
    """Return some planes as words, such as "planes 3, 7 and 2 more"."""
    named = ", ".join(map(str, planes[:MAX_NAMED].tolist()))
    more = f" and {planes.size - MAX_NAMED} more" if planes.size > MAX_NAMED else ""
    return f"plane{'s' if planes.size > 1 else ''} {named}{more}"
