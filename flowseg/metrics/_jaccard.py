"""The aggregated Jaccard index."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from flowseg._labels.overlaps import Overlaps, find_overlaps
from flowseg.metrics._matching import ratio


def aggregated_jaccard(true: ArrayLike, predicted: ArrayLike) -> float:
    """Return the aggregated Jaccard index of one image.

    Parameters
    ----------
    true, predicted : array_like of int, of the same shape
        Label images (rows, columns) or volumes (planes, rows, columns), 0 = background.

    Returns
    -------
    value : float
        From 0 to 1. Every true object is paired with the predicted one of largest IoU. The sum of the intersections is
        divided by the sum of the unions and of the areas of unpaired objects [1]_.

    Raises
    ------
    TypeError, ValueError
        If the masks are not label images of the same shape.

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
    return jaccard_of_overlaps(find_overlaps(true, predicted))


def jaccard_of_overlaps(overlaps: Overlaps) -> float:
    """Return the aggregated Jaccard index of two label images from their overlaps."""
    n_true, n_predicted = overlaps.true_labels.size, overlaps.predicted_labels.size
    if n_true == 0 or n_predicted == 0:
        return ratio(0, n_true + n_predicted, 0)
    order = np.lexsort((overlaps.predicted_index, -overlaps.iou, overlaps.true_index))
    first = order[np.unique(overlaps.true_index[order], return_index=True)[1]]
    found = np.zeros(n_true, dtype=bool)
    found[overlaps.true_index[first]] = True
    paired = np.zeros(n_predicted, dtype=bool)
    paired[overlaps.predicted_index[first]] = True
    union = overlaps.union[first].sum() + overlaps.true_areas[~found].sum()
    return float(overlaps.intersection[first].sum() / (union + overlaps.predicted_areas[~paired].sum()))
