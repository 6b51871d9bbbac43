"""Numbers of split and of merged objects."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from flowseg import _checks
from flowseg._labels.overlaps import exceeds, find_overlaps

# IoU above which two objects are partners. Source: Caicedo et al., Cytometry A 95, 952 (2019).
PARTNER_IOU = 0.1


class SplitsMerges(NamedTuple):
    """Numbers of true objects that are split, and of predicted objects that merge true ones."""

    splits: int
    merges: int


def splits_merges(true: ArrayLike, predicted: ArrayLike, *, overlap: float = PARTNER_IOU) -> SplitsMerges:
    """Count true objects that are split, and predicted objects that merge true ones.

    Parameters
    ----------
    true, predicted : array_like of int, of the same shape
        Label images (rows, columns) or volumes (planes, rows, columns), 0 = background.
    overlap : float
        IoU above which an object counts as a partner.

    Returns
    -------
    counts : SplitsMerges
        ``splits`` is the number of true objects with more than one predicted partner, ``merges`` that of predicted
        objects with more than one true partner.

    Raises
    ------
    TypeError, ValueError
        If the masks are not label images of the same shape, or ``overlap`` is out of range.

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
