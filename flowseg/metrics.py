"""How well predicted masks agree with true ones.

Objects are compared by their overlap: the intersection over union (IoU) of their pixels. 0 is background. Where true
masks are negative, pixels are ignored: those of predicted objects do not count, nor do predicted objects of which
more than half lies there. Two empty images agree perfectly: every score is then 1; where only one of them is empty it
is 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks
from flowseg._labels.overlaps import Overlaps, assign, exceeds, find_overlaps

__all__ = [
    "Match",
    "SplitsMerges",
    "aggregated_jaccard",
    "average_precision",
    "average_precision_per_image",
    "match",
    "pool",
    "splits_merges",
]

# Overlap (IoU) from which a partner counts in splits and merges, as in Caicedo et al., Cytometry A 95, 952 (2019).
PARTNER_IOU = 0.1


@dataclass(frozen=True, eq=False)
class Match:
    """Objects found, missed and invented in one image; made by `match`.

    Attributes
    ----------
    threshold : float
        IoU from which a true and a predicted object match.
    tp, fp, fn : int
        Matched pairs; predicted objects without a partner; true objects without a partner.
    pairs : ndarray of int, shape (tp, 2)
        Labels of the matched pairs, true before predicted.
    pair_iou : ndarray of float, shape (tp,)
        IoU of each pair.
    iou : ndarray of float, shape (n_true,)
        For every true object, in the order of increasing label, the largest IoU with any predicted one.
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
        """``tp / (tp + fp)``: the share of predicted objects that are real."""
        return _ratio(self.tp, self.tp + self.fp, self.fn)

    @property
    def recall(self) -> float:
        """``tp / (tp + fn)``: the share of true objects that were found."""
        return _ratio(self.tp, self.tp + self.fn, self.fp)

    @property
    def f1(self) -> float:
        """``2 tp / (2 tp + fp + fn)``."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn, 0)

    @property
    def average_precision(self) -> float:
        """``tp / (tp + fp + fn)``, as the field calls it since the 2018 Data Science Bowl."""
        return _ratio(self.tp, self.tp + self.fp + self.fn, 0)

    @property
    def panoptic_quality(self) -> float:
        """Sum of the pairs' IoU over ``tp + (fp + fn) / 2`` (Kirillov et al., CVPR 2019)."""
        return _ratio(float(self.pair_iou.sum()), self.tp + 0.5 * (self.fp + self.fn), 0)


class SplitsMerges(NamedTuple):
    """Numbers of true objects in several parts and of predicted objects over several true ones."""

    splits: int
    merges: int


def _ratio(part: float, whole: float, others: float) -> float:
    """``part / whole``; of nothing it is 1 when the other side has nothing either, else 0."""
    if whole == 0:
        return 1.0 if others == 0 else 0.0
    return part / whole


def match(true: ArrayLike, predicted: ArrayLike, *, threshold: float = 0.5) -> Match:
    """Match the objects of one image one to one.

    Parameters
    ----------
    true, predicted : array_like of int, of the same shape
        Label images, 0 = background; any numbers, gaps allowed.
    threshold : float
        IoU from which two objects match, above 0 and at most 1.

    Returns
    -------
    match : Match
        Counts, scores and per-object IoU.

    Raises
    ------
    TypeError, ValueError
        If they are no label images of the same shape, or the threshold is not above 0 and at most 1.

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
    level = _check_threshold(threshold)
    return _match(find_overlaps(true, predicted), level)


def _check_threshold(threshold: float) -> float:
    return _checks.as_number(threshold, "threshold", low=0.0, high=1.0, open_low=True)


def _match(overlaps: Overlaps, threshold: float) -> Match:
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
    """Put the matches of several images together.

    Parameters
    ----------
    matches : iterable of Match
        Of the same threshold.

    Returns
    -------
    pooled : Match
        Counts and scores over all objects. Labels in `pairs` are those of the single images.

    Raises
    ------
    TypeError, ValueError
        If there is no match, or their thresholds differ, or it is something else.

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


def _count_matches(
    true: Sequence[ArrayLike], predicted: Sequence[ArrayLike], thresholds: Sequence[float]
) -> NDArray[np.int64]:
    """Counts tp, fp, fn of shape (n_images, n_thresholds, 3)."""
    truths, predictions = _checks.as_list(true, "true"), _checks.as_list(predicted, "predicted")
    _checks.check_same_length(truths, predictions, ("true", "predicted"))
    if np.ndim(thresholds) != 1:
        raise TypeError(f"thresholds must be a sequence of numbers; got {thresholds!r}.")
    levels = [_check_threshold(t) for t in thresholds]
    counts = np.zeros((len(truths), len(levels), 3), dtype=np.int64)
    for k, pair in enumerate(zip(truths, predictions, strict=True)):
        overlaps = find_overlaps(*pair, names=(f"true[{k}]", f"predicted[{k}]"))
        for m, level in enumerate(levels):
            result = _match(overlaps, level)
            counts[k, m] = result.tp, result.fp, result.fn
    return counts


def average_precision(
    true: Sequence[ArrayLike],
    predicted: Sequence[ArrayLike],
    *,
    thresholds: Sequence[float] = (0.5, 0.75, 0.9),
) -> NDArray[np.float64]:
    """Average precision of a data set, pooled: all objects count alike, whichever image they are in.

    Parameters
    ----------
    true, predicted : list of array_like of int
        Label images, pair by pair of the same shape.
    thresholds : sequence of float
        IoU from which two objects match.

    Returns
    -------
    values : ndarray of float64, shape (n_thresholds,)
        ``TP / (TP + FP + FN)`` of the counts summed over the images.

    Raises
    ------
    TypeError, ValueError
        If they are no lists of as many label images of the same shapes, or a threshold is not above 0 and at
        most 1.

    See Also
    --------
    average_precision_per_image : one value per image; their mean weighs images alike.

    Examples
    --------
    >>> import numpy as np
    >>> from flowseg import metrics
    >>> true = [np.array([[1, 1, 0, 2]]), np.array([[0, 0, 3]])]
    >>> predicted = [np.array([[1, 1, 0, 0]]), np.array([[0, 0, 1]])]
    >>> metrics.average_precision(true, predicted, thresholds=[0.5]).round(3)
    array([0.667])
    """
    counts = _count_matches(true, predicted, thresholds).sum(axis=0)
    return np.array([_ratio(c[0], c.sum(), 0) for c in counts])


def average_precision_per_image(
    true: Sequence[ArrayLike],
    predicted: Sequence[ArrayLike],
    *,
    thresholds: Sequence[float] = (0.5, 0.75, 0.9),
) -> NDArray[np.float64]:
    """Average precision of every image of a data set.

    Parameters
    ----------
    true, predicted : list of array_like of int
        Label images, pair by pair of the same shape.
    thresholds : sequence of float
        IoU from which two objects match.

    Returns
    -------
    values : ndarray of float64, shape (n_images, n_thresholds)
        ``TP / (TP + FP + FN)``; 1 where neither image has an object.

    Raises
    ------
    TypeError, ValueError
        If they are no lists of as many label images of the same shapes, or a threshold is not above 0 and at
        most 1.

    Examples
    --------
    >>> import numpy as np
    >>> from flowseg import metrics
    >>> true = [np.array([[1, 1, 0, 2]]), np.array([[0, 0, 3]])]
    >>> predicted = [np.array([[1, 1, 0, 0]]), np.array([[0, 0, 1]])]
    >>> metrics.average_precision_per_image(true, predicted, thresholds=[0.5]).ravel()
    array([0.5, 1. ])
    """
    counts = _count_matches(true, predicted, thresholds)
    return np.array([[_ratio(c[0], c.sum(), 0) for c in row] for row in counts]).reshape(counts.shape[:2])


def aggregated_jaccard(true: ArrayLike, predicted: ArrayLike) -> float:
    """Aggregated Jaccard index of one image.

    Parameters
    ----------
    true, predicted : array_like of int, of the same shape
        Label images, 0 = background.

    Returns
    -------
    value : float
        From 0 to 1. Every true object takes the predicted one of largest IoU; the sum of the intersections is
        divided by the sum of the unions plus the pixels of predicted objects that nobody took [1]_.

    Raises
    ------
    TypeError, ValueError
        If they are no label images of the same shape.

    References
    ----------
    .. [1] N. Kumar et al., "A dataset and a technique for generalized nuclear segmentation for computational
       pathology", IEEE Transactions on Medical Imaging 36, 1550-1560 (2017).

    Examples
    --------
    >>> import numpy as np
    >>> from flowseg import metrics
    >>> metrics.aggregated_jaccard(np.array([[1, 1, 0, 2]]), np.array([[1, 1, 3, 0]]))
    0.5
    """
    overlaps = find_overlaps(true, predicted)
    n_true, n_predicted = overlaps.true_labels.size, overlaps.predicted_labels.size
    if n_true == 0 or n_predicted == 0:
        return _ratio(0, n_true + n_predicted, 0)
    order = np.lexsort((overlaps.predicted_index, -overlaps.iou, overlaps.true_index))
    first = order[np.unique(overlaps.true_index[order], return_index=True)[1]]
    found = np.zeros(n_true, dtype=bool)
    found[overlaps.true_index[first]] = True
    taken = np.zeros(n_predicted, dtype=bool)
    taken[overlaps.predicted_index[first]] = True
    union = overlaps.union[first].sum() + overlaps.true_areas[~found].sum()
    return float(overlaps.intersection[first].sum() / (union + overlaps.predicted_areas[~taken].sum()))


def splits_merges(true: ArrayLike, predicted: ArrayLike, *, overlap: float = PARTNER_IOU) -> SplitsMerges:
    """Count true objects cut into several and predicted objects that cover several.

    Parameters
    ----------
    true, predicted : array_like of int, of the same shape
        Label images, 0 = background.
    overlap : float
        IoU above which an object counts as a partner.

    Returns
    -------
    counts : SplitsMerges
        ``splits``: true objects with more than one predicted partner; ``merges``: predicted objects with more than
        one true partner.

    Raises
    ------
    TypeError, ValueError
        If they are no label images of the same shape, or ``overlap`` is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from flowseg import metrics
    >>> metrics.splits_merges(np.array([[1, 1, 2, 2]]), np.array([[3, 3, 3, 3]]))
    SplitsMerges(splits=0, merges=1)
    """
    level = _checks.as_number(overlap, "overlap", low=0.0, high=1.0)
    overlaps = find_overlaps(true, predicted)
    partners = exceeds(overlaps.iou, level)
    per_true = np.bincount(overlaps.true_index[partners], minlength=1)
    per_predicted = np.bincount(overlaps.predicted_index[partners], minlength=1)
    return SplitsMerges(int(np.sum(per_true > 1)), int(np.sum(per_predicted > 1)))
