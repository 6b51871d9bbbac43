"""Which true and predicted objects share pixels, and which of them match."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from flowseg import _checks


class Overlaps(NamedTuple):
    """Every pair of a true and a predicted object that share pixels."""

    true_labels: NDArray[Any]
    predicted_labels: NDArray[Any]
    true_areas: NDArray[np.int64]
    predicted_areas: NDArray[np.int64]
    true_index: NDArray[np.int64]  # of each pair
    predicted_index: NDArray[np.int64]
    intersection: NDArray[np.int64]

    @property
    def union(self) -> NDArray[np.int64]:
        """Pixels of either object of each pair."""
        total = self.true_areas[self.true_index] + self.predicted_areas[self.predicted_index]
        return total - self.intersection

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each pair."""
        return self.intersection / self.union


def find_overlaps(true: ArrayLike, predicted: ArrayLike, *, names: tuple[str, str] = ("true", "predicted")) -> Overlaps:
    """Compare two label images of the same shape; what `leave_out_ignored` leaves out does not count."""
    a, b = (_checks.as_countable(masks, name) for masks, name in zip((true, predicted), names, strict=True))
    _checks.check_same_shape(b.shape, a.shape, names[1], names[0])
    true_labels, true_index, true_areas = number_objects(a)
    predicted_labels, predicted_index, predicted_areas = number_objects(leave_out_ignored(a, b))
    both = (true_index > 0) & (predicted_index > 0)
    n_predicted = predicted_labels.size
    code = (true_index[both] - 1) * max(n_predicted, 1) + (predicted_index[both] - 1)
    pairs, intersection = np.unique(code, return_counts=True)
    i, j = np.divmod(pairs, max(n_predicted, 1))
    return Overlaps(true_labels, predicted_labels, true_areas, predicted_areas, i, j, intersection)


def leave_out_ignored(true: NDArray[Any], predicted: NDArray[Any]) -> NDArray[Any]:
    """Predicted objects without their pixels where ``true`` is negative, and none of those mostly there.

    So pixels that nobody annotated neither help nor harm, as in Kirillov et al., CVPR 2019 ("void").
    """
    ignored = true < 0
    if not ignored.any():
        return predicted
    labels, index, areas = np.unique(predicted, return_inverse=True, return_counts=True)
    hidden = np.bincount(index.reshape(true.shape)[ignored], minlength=labels.size)
    mostly = (2 * hidden > areas)[index.reshape(true.shape)]
    return np.where(ignored | mostly, 0, predicted)


def number_objects(masks: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    """Labels above 0, the objects' numbers 1..n per pixel (0 = background), and the areas."""
    labels, index, areas = np.unique(masks.ravel(), return_inverse=True, return_counts=True)
    n_background = int(np.count_nonzero(labels <= 0))
    number = np.maximum(index.astype(np.int64) - n_background + 1, 0)
    return labels[n_background:], number, areas[n_background:].astype(np.int64)


def assign(overlaps: Overlaps, threshold: float) -> NDArray[np.intp]:
    """Indices of the pairs that match: one to one, as many as possible, then with the largest sum of IoU."""
    iou = overlaps.iou
    candidates = np.flatnonzero(iou >= threshold)
    i, j = overlaps.true_index[candidates], overlaps.predicted_index[candidates]
    alone = (np.bincount(i, minlength=1)[i] == 1) & (np.bincount(j, minlength=1)[j] == 1)
    if alone.all():
        return candidates
    contested = candidates[~alone]
    rows, r = np.unique(overlaps.true_index[contested], return_inverse=True)
    columns, c = np.unique(overlaps.predicted_index[contested], return_inverse=True)
    gain = np.zeros((rows.size, columns.size))
    gain[r, c] = 1.0 + iou[contested] / (2.0 * min(gain.shape))
    pair_at = np.full(gain.shape, -1, dtype=np.intp)
    pair_at[r, c] = contested
    chosen = pair_at[linear_sum_assignment(gain, maximize=True)]
    return np.sort(np.concatenate([candidates[alone], chosen[chosen >= 0]]))


def count_objects(masks: NDArray[Any]) -> int:
    """Different labels above 0."""
    return int(np.count_nonzero(np.unique(masks) > 0))
