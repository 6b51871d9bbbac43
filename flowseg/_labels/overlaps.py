"""Overlaps of true and predicted objects, and their one-to-one assignment."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching

from flowseg import _checks
from flowseg._labels.annotation import find_annotated_region
from flowseg._labels.numbering import number_values, parts_of, sum_by_key, values_of
from flowseg._system.threads import interruptibly, size_of

# Difference up to which an IoU and a threshold are equal. Source: twenty steps of 0.05 add up with an error below
# 1e-15; an IoU differs from a threshold of two decimals by more than 1e-12 if its union has less than 1e10 pixels.
ROUNDING = 1e-12

# Speed of a comparison in pixels per second, to estimate its time. Source: a rough figure for one core.
PIXELS_PER_SECOND = 1e7

# Groups of pairs are assigned in a dense table of at most this many cells, which is faster. Source: 8 MB of float64.
MAX_DENSE_CELLS = 1 << 20


class Overlaps(NamedTuple):
    """All pairs of a true and a predicted object that share pixels."""

    true_labels: NDArray[Any]
    predicted_labels: NDArray[Any]
    true_areas: NDArray[np.int64]
    predicted_areas: NDArray[np.int64]
    true_index: NDArray[np.int64]  # per pair, into true_labels
    predicted_index: NDArray[np.int64]  # per pair, into predicted_labels
    intersection: NDArray[np.int64]  # per pair, in pixels

    @property
    def union(self) -> NDArray[np.int64]:
        """Number of pixels in either object of each pair."""
        total = self.true_areas[self.true_index] + self.predicted_areas[self.predicted_index]
        return total - self.intersection

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each pair."""
        return self.intersection / self.union


def find_overlaps(true: ArrayLike, predicted: ArrayLike, *, names: tuple[str, str] = ("true", "predicted")) -> Overlaps:
    """Return the overlaps of two label images of the same shape, without what `leave_out_ignored` leaves out."""
    return interruptibly(_find_overlaps, true, predicted, names, seconds=size_of(true) / PIXELS_PER_SECOND)


def _find_overlaps(true: ArrayLike, predicted: ArrayLike, names: tuple[str, str]) -> Overlaps:
    a, b = (_checks.as_countable(masks, name) for masks, name in zip((true, predicted), names, strict=True))
    _checks.check_same_shape(b.shape, a.shape, names[1], names[0])
    true_labels, true_index, true_areas = number_objects(a)
    predicted_labels, predicted_index, predicted_areas = number_objects(leave_out_ignored(a, b))
    n_predicted = max(predicted_labels.size, 1)
    keys, counts = [], []
    for part in parts_of(true_index.size):
        i, j = true_index[part], predicted_index[part]
        both = (i > 0) & (j > 0)
        key, count = np.unique((i[both] - 1) * n_predicted + (j[both] - 1), return_counts=True)
        keys.append(key)
        counts.append(count)
    pairs, intersection = sum_by_key(np.concatenate(keys), np.concatenate(counts))
    i, j = np.divmod(pairs, n_predicted)
    return Overlaps(true_labels, predicted_labels, true_areas, predicted_areas, i, j, intersection)


def leave_out_ignored(true: NDArray[Any], predicted: NDArray[Any]) -> NDArray[Any]:
    """Return predicted masks without ignored pixels, where ``true`` is negative, and without objects mostly there.

    So pixels that nobody annotated have no effect on scores, as in Kirillov et al., CVPR 2019 ("void"). Of a volume of
    which whole planes or a box are annotated, only these count: most of every object is elsewhere.
    """
    ignored = true < 0
    if not ignored.any():
        return predicted
    region = find_annotated_region(true) if true.ndim == 3 else None
    if region is not None:
        predicted = np.where(region, predicted, 0)
    _, index, areas = number_values(predicted)
    index = index.reshape(true.shape)
    hidden = np.bincount(index[ignored], minlength=areas.size)
    mostly = (2 * hidden > areas)[index]
    return np.where(ignored | mostly, 0, predicted)


def number_objects(masks: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    """Return the labels above 0, the number 1..n of each pixel's object (0 = background), flat, and the areas."""
    labels, number, areas = number_values(masks)
    n_background = int(np.count_nonzero(labels <= 0))
    for part in parts_of(number.size):
        number[part] = np.maximum(number[part] - (n_background - 1), 0)
    return labels[n_background:], number, areas[n_background:]


def reaches(iou: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Return whether an IoU is at least a threshold, whatever the rounding: 12 / 20 reaches 0.6."""
    return np.asarray(iou >= threshold - ROUNDING)


def exceeds(iou: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Return whether an IoU is above a threshold, whatever the rounding."""
    return np.asarray(iou > threshold + ROUNDING)


def assign(overlaps: Overlaps, threshold: float) -> NDArray[np.intp]:
    """Return the indices of the pairs that match: one to one, as many as possible, then with the largest sum of IoU.

    Every connected group of candidate pairs is solved separately, so that memory is proportional to the candidates.
    """
    iou = overlaps.iou
    candidates = np.flatnonzero(reaches(iou, threshold))
    i, j = overlaps.true_index[candidates], overlaps.predicted_index[candidates]
    alone = (np.bincount(i, minlength=1)[i] == 1) & (np.bincount(j, minlength=1)[j] == 1)
    if alone.all():
        return candidates
    pairs, i, j = candidates[~alone], i[~alone], j[~alone] + overlaps.true_labels.size
    size = overlaps.true_labels.size + overlaps.predicted_labels.size
    links = coo_array((np.ones(pairs.size), (i, j)), shape=(size, size))
    group = connected_components(links, directed=False)[1][i]
    order = np.argsort(group, kind="stable")
    chosen = [
        part[_assign_group(i[part], j[part], iou[pairs[part]])]
        for part in np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    ]
    return np.sort(np.concatenate([candidates[alone], pairs[np.concatenate(chosen)]]))


def _assign_group(i: NDArray[np.intp], j: NDArray[np.intp], iou: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the indices of the pairs that match in one group, from the numbers of their objects."""
    from scipy.optimize import linear_sum_assignment  # takes a quarter of a second

    rows, r = np.unique(i, return_inverse=True)
    columns, c = np.unique(j, return_inverse=True)
    if min(rows.size, columns.size) == 1:
        return np.array([iou.argmax()])
    gain = 1.0 + iou / (2.0 * min(rows.size, columns.size))  # one more pair has more weight than all IoU together
    if rows.size * columns.size <= MAX_DENSE_CELLS:
        table = np.zeros((rows.size, columns.size))
        table[r, c] = gain
        assigned = linear_sum_assignment(table, maximize=True)
    else:  # every row gets another column, as it must have one; 1 is added to all entries, as 0 would be none
        k = np.arange(rows.size)
        places = np.concatenate([r, k]), np.concatenate([c, columns.size + k])
        shape = rows.size, columns.size + rows.size
        table = csr_array((np.concatenate([1.0 + gain, np.ones(rows.size)]), places), shape=shape)
        assigned = min_weight_full_bipartite_matching(table, maximize=True)
    partner = np.full(rows.size, -1)
    partner[assigned[0]] = assigned[1]
    return np.flatnonzero(partner[r] == c)


def count_objects(masks: NDArray[Any]) -> int:
    """Return the number of different labels above 0."""
    return int(np.count_nonzero(values_of(masks) > 0))
