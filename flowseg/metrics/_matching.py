"""Match true and predicted objects one to one, and count true and false positives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks
from flowseg._labels.overlaps import Overlaps, assign, find_overlaps


@dataclass(frozen=True, eq=False)
class Match:
    """True positives, false positives and false negatives of one or more images, as `match` returns them.

    Attributes
    ----------
    threshold : float
        IoU from which a true and a predicted object match.
    tp, fp, fn : int
        True positives (matched pairs), false positives (predicted objects without a partner) and false negatives (true
        objects without a partner).
    pairs : ndarray of int, shape (tp, 2)
        Labels of the matched pairs, true before predicted.
    pair_iou : ndarray of float, shape (tp,)
        IoU of each pair.
    iou : ndarray of float, shape (n_true,)
        Largest IoU of every true object with any predicted one, in the order of increasing label.
    """

    threshold: float
    tp: int
    fp: int
    fn: int
    pairs: NDArray[np.int64]
    pair_iou: NDArray[np.float64]
    iou: NDArray[np.float64]

    @property
    def precision(self) -> float:
        """Precision, ``tp / (tp + fp)``."""
        return ratio(self.tp, self.tp + self.fp, self.fn)

    @property
    def recall(self) -> float:
        """Recall, ``tp / (tp + fn)``."""
        return ratio(self.tp, self.tp + self.fn, self.fp)

    @property
    def f1(self) -> float:
        """F1 score, ``2 tp / (2 tp + fp + fn)``."""
        return ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn, 0)

    @property
    def average_precision(self) -> float:
        """Average precision, ``tp / (tp + fp + fn)``, as since the 2018 Data Science Bowl."""
        return ratio(self.tp, self.tp + self.fp + self.fn, 0)

    @property
    def panoptic_quality(self) -> float:
        """Panoptic quality, the sum of the pairs' IoU over ``tp + (fp + fn) / 2`` (Kirillov et al., CVPR 2019)."""
        return ratio(float(self.pair_iou.sum()), self.tp + 0.5 * (self.fp + self.fn), 0)


def ratio(part: float, whole: float, others: float) -> float:
    """Return ``part / whole``; if ``whole`` is 0, 1 if ``others`` is 0 as well, else 0."""
    if whole == 0:
        return 1.0 if others == 0 else 0.0
    return part / whole


def match(true: ArrayLike, predicted: ArrayLike, *, threshold: float = 0.5) -> Match:
    """Match true and predicted objects of one image one to one.

    Parameters
    ----------
    true, predicted : array_like of int, of the same shape
        Label images (rows, columns) or volumes (planes, rows, columns), 0 = background. Any integers, gaps allowed.
    threshold : float
        IoU from which two objects match, above 0 and at most 1.

    Returns
    -------
    match : Match
        Counts, scores and per-object IoU.

    Raises
    ------
    TypeError, ValueError
        If the masks are not label images of the same shape, or the threshold is not above 0 and at most 1.

    Examples
    --------
    >>> import numpy as np
    >>> from flowseg import metrics
    >>> true = np.array([[1, 1, 0, 2, 2]])
    >>> predicted = np.array([[5, 5, 0, 0, 9]])
    >>> result = metrics.match(true, predicted, threshold=0.75)
    >>> result.tp, result.fp, result.fn, round(result.average_precision, 3)
    (1, 1, 1, 0.333)
    """
    level = check_threshold(threshold)
    return match_overlaps(find_overlaps(true, predicted), level)


def check_threshold(threshold: float) -> float:
    """Return an IoU threshold above 0 and at most 1, or raise."""
    return _checks.as_number(threshold, "threshold", low=0.0, high=1.0, open_low=True)


def match_overlaps(overlaps: Overlaps, threshold: float) -> Match:
    """Return the match of two label images from their overlaps."""
    chosen = assign(overlaps, threshold)
    iou = overlaps.iou
    best = np.zeros(overlaps.true_labels.size)
    np.maximum.at(best, overlaps.true_index, iou)
    i, j = overlaps.true_index[chosen], overlaps.predicted_index[chosen]
    labels = overlaps.true_labels[i].astype(np.int64), overlaps.predicted_labels[j].astype(np.int64)
    return Match(
        threshold=threshold,
        tp=chosen.size,
        fp=overlaps.predicted_labels.size - chosen.size,
        fn=overlaps.true_labels.size - chosen.size,
        pairs=np.stack(labels, axis=1),
        pair_iou=iou[chosen],
        iou=best,
    )


def pool(matches: Iterable[Match]) -> Match:
    """Pool the matches of several images.

    Parameters
    ----------
    matches : iterable of Match
        Matches at the same threshold.

    Returns
    -------
    pooled : Match
        Counts and scores over all objects. Labels in `pairs` are those of each image.

    Raises
    ------
    TypeError, ValueError
        If there is no match, if their thresholds differ, or if an item is no Match.

    Examples
    --------
    >>> import numpy as np
    >>> from flowseg import metrics
    >>> one, two = metrics.match(np.eye(2, dtype=int), np.eye(2, dtype=int)), metrics.match([[1, 0]], [[0, 1]])
    >>> metrics.pool([one, two]).f1
    0.5
    """
    every = list(matches) if isinstance(matches, Iterable) else [None]
    if not all(isinstance(m, Match) for m in every):
        raise TypeError(f"matches must be several of what match returns; got {matches!r}.")
    if len({m.threshold for m in every}) != 1:
        raise ValueError("matches must be at least one, all of the same threshold.")
    return Match(
        threshold=every[0].threshold,
        tp=sum(m.tp for m in every),
        fp=sum(m.fp for m in every),
        fn=sum(m.fn for m in every),
        pairs=np.concatenate([m.pairs for m in every]),
        pair_iou=np.concatenate([m.pair_iou for m in every]),
        iou=np.concatenate([m.iou for m in every]),
    )
