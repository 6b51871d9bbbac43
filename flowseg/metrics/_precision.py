"""Average precision of data sets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks
from flowseg._labels.overlaps import find_overlaps
from flowseg.metrics._matching import check_threshold, match_overlaps, ratio


def _count_matches(
    true: Sequence[ArrayLike], predicted: Sequence[ArrayLike], thresholds: Sequence[float]
) -> NDArray[np.int64]:
    """Return the counts tp, fp, fn, of shape (n_images, n_thresholds, 3)."""
    truths, predictions = _checks.as_list(true, "true"), _checks.as_list(predicted, "predicted")
    _checks.check_same_length(truths, predictions, ("true", "predicted"))
    if np.ndim(thresholds) != 1:
        raise TypeError(f"thresholds must be a sequence of numbers; got {thresholds!r}.")
    levels = [check_threshold(t) for t in thresholds]
    counts = np.zeros((len(truths), len(levels), 3), dtype=np.int64)
    for k, pair in enumerate(zip(truths, predictions, strict=True)):
        overlaps = find_overlaps(*pair, names=(f"true[{k}]", f"predicted[{k}]"))
        for m, level in enumerate(levels):
            result = match_overlaps(overlaps, level)
            counts[k, m] = result.tp, result.fp, result.fn
    return counts


def average_precision(
    true: Sequence[ArrayLike],
    predicted: Sequence[ArrayLike],
    *,
    thresholds: Sequence[float] = (0.5, 0.75, 0.9),
) -> NDArray[np.float64]:
    """Return the average precision of a data set, pooled: all objects have the same weight.

    Parameters
    ----------
    true, predicted : list of array_like of int
        Label images or volumes. Those of a pair have the same shape.
    thresholds : sequence of float
        IoU from which two objects match.

    Returns
    -------
    values : ndarray of float64, shape (n_thresholds,)
        ``tp / (tp + fp + fn)`` of the counts summed over the images.

    Raises
    ------
    TypeError, ValueError
        If the masks are not two lists of as many label images of the same shapes, or a threshold is not above 0 and
        at most 1.

    See Also
    --------
    average_precision_per_image : One value per image; in their mean all images have the same weight.

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
    return np.array([ratio(c[0], c.sum(), 0) for c in counts])


def average_precision_per_image(
    true: Sequence[ArrayLike],
    predicted: Sequence[ArrayLike],
    *,
    thresholds: Sequence[float] = (0.5, 0.75, 0.9),
) -> NDArray[np.float64]:
    """Return the average precision of every image of a data set.

    Parameters
    ----------
    true, predicted : list of array_like of int
        Label images or volumes. Those of a pair have the same shape.
    thresholds : sequence of float
        IoU from which two objects match.

    Returns
    -------
    values : ndarray of float64, shape (n_images, n_thresholds)
        ``tp / (tp + fp + fn)``; 1 where neither image of a pair has an object.

    Raises
    ------
    TypeError, ValueError
        If the masks are not two lists of as many label images of the same shapes, or a threshold is not above 0 and
        at most 1.

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
    return np.array([[ratio(c[0], c.sum(), 0) for c in row] for row in counts]).reshape(counts.shape[:2])
