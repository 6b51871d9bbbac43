"""Average precision of each segmenter, and the difference of every two, with intervals over groups of images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowseg._labels.overlaps import find_overlaps
from flowseg._report.bootstrap import bootstrap
from flowseg._report.scores import IOU_THRESHOLDS, ratio, score_image

# IoU of the average precision that is reported; segmenters are ranked by the first.
THRESHOLDS = (0.5, 0.75, 0.9)
CHOSEN = [IOU_THRESHOLDS.index(t) for t in THRESHOLDS]

Floats = NDArray[np.float64]


class Difference(NamedTuple):
    """The average precision of one segmenter minus that of another.

    Attributes
    ----------
    first, second : str
        Names of the segmenters; the first is the better one at IoU 0.5.
    difference : ndarray, shape (3,)
        At IoU 0.5, 0.75 and 0.9, over all objects.
    interval : ndarray, shape (3, 2)
        95 % bootstrap interval over groups of images, which are the same for both.
    wins, losses, ties : int
        Images on which the first has the higher, the lower, or the same average precision at IoU 0.5.
    """

    first: str
    second: str
    difference: Floats
    interval: Floats
    wins: int
    losses: int
    ties: int


class Estimates(NamedTuple):
    """Average precision (n_segmenters, 3) with intervals (n_segmenters, 3, 2), and the difference of every two."""

    precision: Floats
    intervals: Floats
    pairs: list[Difference]


def count_matches(true: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    """Return tp, fp and fn of every image at every threshold, of shape (n_images, n_thresholds, 3)."""
    overlaps = (find_overlaps(*pair) for pair in zip(true, found, strict=True))
    return np.array([score_image("", one).counts[CHOSEN] for one in overlaps])


def precision_of(counts: NDArray[np.int64]) -> Floats:
    """Return TP / (TP + FP + FN) of counts, whose last axis is tp, fp, fn."""
    return ratio(counts[..., 0], counts.sum(axis=-1))


def tabulate_counts(counts: NDArray[np.int64]) -> dict[str, list[Any]]:
    """Return columns of counts (n_rows, n_thresholds, 3): tp, fp and fn at IoU 0.5, and average precision."""
    columns: dict[str, list[Any]] = {name: counts[:, 0, n].tolist() for n, name in enumerate(("tp", "fp", "fn"))}
    return columns | {f"ap_{t:g}": precision_of(counts[:, n]).tolist() for n, t in enumerate(THRESHOLDS)}


def sum_by_group(counts: NDArray[np.int64], groups: NDArray[np.intp]) -> Floats:
    """Return counts (n, n_images, ...) summed over the images of each group, of shape (n, n_groups, ...)."""
    sums = np.zeros((len(counts), int(groups.max()) + 1, *counts.shape[2:]))
    for k, group in enumerate(groups):
        sums[:, group] += counts[:, k]
    return sums


def estimate(names: list[str], counts: NDArray[np.int64], groups: NDArray[np.intp]) -> Estimates:
    """Return scores and differences of counts (n_segmenters, n_images, n_thresholds, 3).

    Every resampled set has the same groups for all segmenters: what is hard for all of them cancels in differences.
    """
    sums = sum_by_group(counts, groups)
    precision, per_image = precision_of(counts.sum(axis=1)), precision_of(counts)[..., 0]
    order = sorted(range(len(names)), key=lambda k: -precision[k, 0])
    pairs = list(combinations(order, 2))

    def score(weights: Floats) -> dict[str, Floats]:
        """Return the scores of sets of groups, of shape (n_sets, ...)."""
        drawn = precision_of(np.einsum("sg,kgtc->sktc", weights, sums))
        first, second = ([pair[side] for pair in pairs] for side in range(2))
        return {"alone": drawn, "pairs": drawn[:, first] - drawn[:, second]}

    ends = {name: np.moveaxis(values, 0, -1) for name, values in bootstrap(score, sums.shape[1]).items()}
    differences = [
        Difference(
            names[a],
            names[b],
            precision[a] - precision[b],
            ends["pairs"][k],
            int(np.sum(per_image[a] > per_image[b])),
            int(np.sum(per_image[a] < per_image[b])),
            int(np.sum(per_image[a] == per_image[b])),
        )
        for k, (a, b) in enumerate(pairs)
    ]
    return Estimates(precision, ends["alone"], differences)
