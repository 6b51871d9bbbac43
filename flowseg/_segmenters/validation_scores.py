"""Scores to choose by: of all validation images together, and without each of them in turn (jackknife)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flowseg._labels.overlaps import find_overlaps, leave_out_ignored

# Objects match a real one from this IoU on.
MATCH = 0.5

# What is made as large as possible: average precision over all objects, mean over these IoU thresholds. Without the
# last, a few images choose foreground so wide that objects match but outlines do not.
IOU_THRESHOLDS = (MATCH, 0.75, 0.9)

Score = NDArray[np.float64]  # of all images, then without each of them


def is_judged(true: NDArray[np.integer], predicted: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Whether each predicted object, 1..n, counts: not where more than half of it lies on pixels to ignore."""
    return np.isin(np.arange(1, int(predicted.max()) + 1), leave_out_ignored(true, predicted))


def best_iou(true: NDArray[np.integer], predicted: NDArray[np.integer]) -> NDArray[np.float64]:
    """For every predicted object that `is_judged`, the largest IoU with a true one; from 0.5 on it matches no other.

    Of two that are the halves of one true object, IoU 0.5 each, only the first has it.
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
    """Mean over IOU_THRESHOLDS of TP / (TP + FP + FN).

    ``iou`` holds, for each image, the `best_iou` of the found objects; ``n_true`` the number of its true ones.
    """
    n_found = _in_turn(np.array([values.size for values in iou]))
    hits = [_in_turn(np.array([np.count_nonzero(values >= t) for values in iou])) for t in IOU_THRESHOLDS]
    return np.mean([h / np.maximum(_in_turn(n_true) + n_found - h, 1) for h in hits], axis=0)


def _in_turn(counts: NDArray[np.intp]) -> NDArray[np.intp]:
    """Sum of all, then of all but each."""
    return np.concatenate([[counts.sum()], counts.sum() - counts])


def standard_error(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a `Score` or a difference of two, or of rows of them, by the jackknife over the images."""
    without = scores[..., 1:]
    n = without.shape[-1]
    if n < 2:  # one image tells nothing of others
        return np.full(scores.shape[:-1], np.inf)
    mean = without.mean(axis=-1, keepdims=True)
    return np.sqrt((n - 1) / n * np.sum((without - mean) ** 2, axis=-1))
