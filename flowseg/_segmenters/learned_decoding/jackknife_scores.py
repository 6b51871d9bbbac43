"""Validation scores with their standard error: of all images, and without each of them in turn (jackknife)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flowseg._labels.overlaps import find_overlaps, leave_out_ignored

# Objects match a true one from this IoU on.
MATCH = 0.5

# Choices maximize the average precision over all objects, mean over these IoU thresholds. Without the last, a few
# images choose a foreground so wide that objects match but outlines do not.
IOU_THRESHOLDS = (MATCH, 0.75, 0.9)

Score = NDArray[np.float64]  # one of all images, then one without each of them


def is_judged(true: NDArray[np.integer], predicted: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return whether each predicted object, 1..n, counts: not if more than half of it lies on pixels to ignore."""
    return np.isin(np.arange(1, int(predicted.max()) + 1), leave_out_ignored(true, predicted))


def best_iou(true: NDArray[np.integer], predicted: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the largest IoU with a true object for every predicted object that `is_judged`.

    From 0.5 on it matches no other. Of two halves of one true object, IoU 0.5 each, only the first keeps it.
    """
    overlaps = find_overlaps(true, predicted)
    iou = overlaps.iou
    halves = np.flatnonzero(iou == MATCH)
    first = np.unique(overlaps.true_index[halves], return_index=True)[1]
    iou[np.delete(halves, first)] = np.nextafter(MATCH, 0)
    best = np.zeros(overlaps.predicted_labels.size)
    np.maximum.at(best, overlaps.predicted_index, iou)
    return best


def score_found(iou: Sequence[NDArray[np.float64]], n_true: NDArray[np.intp]) -> Score:
    """Return the mean over IOU_THRESHOLDS of TP / (TP + FP + FN).

    ``iou`` holds for each image the `best_iou` of its predicted objects, ``n_true`` the number of its true ones.
    """
    n_predicted = _in_turn(np.array([values.size for values in iou]))
    true_positives = [_in_turn(np.array([np.count_nonzero(values >= t) for values in iou])) for t in IOU_THRESHOLDS]
    n_either = _in_turn(n_true) + n_predicted
    score: Score = np.mean([tp / np.maximum(n_either - tp, 1) for tp in true_positives], axis=0)
    return score


def _in_turn(counts: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the sum of all, then of all but each."""
    return np.concatenate([[counts.sum()], counts.sum() - counts])


def standard_error(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the standard error of a `Score` or a difference of two, or of rows of them, by the jackknife."""
    without = scores[..., 1:]
    n = without.shape[-1]
    if n < 2:  # one image is no estimate of the spread
        return np.full(scores.shape[:-1], np.inf)
    mean = without.mean(axis=-1, keepdims=True)
    error: NDArray[np.float64] = np.sqrt((n - 1) / n * np.sum((without - mean) ** 2, axis=-1))
    return error
