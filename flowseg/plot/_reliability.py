"""Reliability of scores: how well they agree with the share of objects that match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks
from flowseg._labels.overlaps import leave_out_ignored
from flowseg.metrics import match

# Quantile of the normal distribution that bounds intervals of 95 %.
NORMAL_QUANTILE = 1.959964


@dataclass(frozen=True, eq=False)
class Reliability:
    """Scores of objects and the share of them that matches, by bins of the score; returned by `reliability`.

    Attributes
    ----------
    threshold : float
        IoU from which an object matches a true one.
    edges : ndarray of float, shape (n_bins + 1,)
        Bounds of the bins, from 0 to 1. A score on a bound belongs to the bin above; 1 belongs to the last bin.
    counts : ndarray of int, shape (n_bins,)
        Objects per bin.
    matched : ndarray of int, shape (n_bins,)
        Objects per bin that match.
    mean_scores : ndarray of float, shape (n_bins,)
        Mean score; NaN where a bin is empty.
    """

    threshold: float
    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    matched: NDArray[np.int64]
    mean_scores: NDArray[np.float64]

    @property
    def shares(self) -> NDArray[np.float64]:
        """``matched / counts``; NaN where a bin is empty."""
        return _divide(self.matched, self.counts)

    @property
    def intervals(self) -> NDArray[np.float64]:
        """Bounds of the 95 % interval of each share (Wilson's), shape (2, n_bins); NaN where a bin is empty.

        It takes objects for independent. Those of one image are less so: the truth is somewhat wider.
        """
        z2 = NORMAL_QUANTILE**2
        middle = _divide(self.matched + z2 / 2, self.counts + z2)
        variance = self.matched * _divide(self.counts - self.matched, self.counts) + z2 / 4
        half = NORMAL_QUANTILE * np.sqrt(variance) / (self.counts + z2)
        return np.clip(np.stack([middle - half, middle + half]), 0.0, 1.0)

    @property
    def expected_calibration_error(self) -> float:
        """Mean over all objects of the distance between their bin's share and its mean score."""
        distance = np.abs(self.matched - self.counts * np.nan_to_num(self.mean_scores))
        return float(distance.sum() / self.counts.sum())


def reliability(
    true: Sequence[ArrayLike],
    predicted: Sequence[ArrayLike],
    objects: Sequence[Any],
    *,
    threshold: float = 0.5,
    n_bins: int = 10,
) -> Reliability:
    """Compare the scores of predicted objects with the share of them that match true ones.

    Parameters
    ----------
    true : list of array_like of int
        True label images. Objects on pixels to ignore do not count, as in `flowseg.metrics`.
    predicted : list of array_like of int
        Predicted label images.
    objects : list of dict or pandas.DataFrame
        The table of each image, as `FlowSegmenter.predict_objects` returns it with the masks. Columns ``label`` and
        ``score`` are used.
    threshold : float
        IoU from which an object matches, one to one, as in `metrics.match`. Scores are made for 0.5.
    n_bins : int
        Bins of equal width from 0 to 1.

    Returns
    -------
    result : Reliability
        Input of `show_reliability`. If scores are calibrated, the share that matches is the mean score in every bin.

    Raises
    ------
    ValueError
        If lists or tables do not fit each other, or there are no objects or scores.

    Examples
    --------
    >>> import numpy as np
    >>> from flowseg import plot
    >>> true, predicted = [np.array([[1, 1, 0, 0]])], [np.array([[1, 1, 0, 2]])]
    >>> objects = [{"label": np.array([1, 2]), "score": np.array([0.9, 0.2])}]
    >>> result = plot.reliability(true, predicted, objects, n_bins=2)
    >>> result.counts, result.matched, round(result.expected_calibration_error, 3)
    (array([1, 1]), array([0, 1]), 0.15)
    """
    n = _checks.as_integer(n_bins, "n_bins", minimum=1)
    level = _checks.as_number(threshold, "threshold", low=0.0, high=1.0, open_low=True)
    scores, matched = find_matched(true, predicted, objects, level)
    edges = np.arange(n + 1) / n
    place = np.minimum(np.searchsorted(edges, scores, side="right") - 1, n - 1)
    counts = np.bincount(place, minlength=n)
    return Reliability(
        threshold=level,
        edges=edges,
        counts=counts,
        matched=np.bincount(place[matched], minlength=n),
        mean_scores=_divide(np.bincount(place, scores, n), counts),
    )


def find_matched(
    true: Sequence[ArrayLike], predicted: Sequence[ArrayLike], objects: Sequence[Any], threshold: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the scores of all objects that are not on pixels to ignore, and whether each matches a true one."""
    truths, predictions = _checks.as_list(true, "true"), _checks.as_list(predicted, "predicted")
    tables = as_tables(objects)
    _checks.check_same_length(truths, predictions, ("true", "predicted"))
    _checks.check_same_length(tables, predictions, ("objects", "predicted"))
    scores, matched, judged = as_scores(tables), [], []
    for k, (truth, prediction, table) in enumerate(zip(truths, predictions, tables, strict=True)):
        label = np.asarray(table["label"])
        found = _checks.as_masks(prediction, f"predicted[{k}]")
        present = np.unique(found)
        if not np.array_equal(np.sort(label), present[present > 0]):
            raise ValueError(
                f"objects[{k}] must have one row per object of predicted[{k}], with its label; "
                f"got {label.size} rows for {np.count_nonzero(present > 0)} objects."
            )
        matched.append(np.isin(label, match(truth, found, threshold=threshold).pairs[:, 1]))
        judged.append(np.isin(label, leave_out_ignored(np.asarray(truth), found)))
    counts = np.concatenate(judged)
    if not counts.any():
        raise ValueError("predicted must hold at least one object that is not on pixels to ignore; got none.")
    return scores[counts], np.concatenate(matched)[counts]


def as_tables(objects: Any) -> list[Any]:
    """Return a list of tables; one table becomes a list."""
    tables = list(objects) if isinstance(objects, list | tuple) else [objects]
    if not tables:
        raise ValueError("objects must hold at least one table; got an empty list.")
    for k, table in enumerate(tables):
        columns = list(map(str, table.keys())) if hasattr(table, "keys") else []
        if not {"label", "score"} <= set(columns):
            raise TypeError(
                f"objects[{k}] must be a table with the columns label and score, as FlowSegmenter.predict_objects "
                f"makes it; got {type(table).__name__} with {', '.join(columns) or 'no columns'}."
            )
    return tables


def as_scores(tables: Sequence[Any]) -> NDArray[np.float64]:
    """Return the scores of the objects of all tables, checked to be from 0 to 1."""
    columns = [np.asarray(table["score"]) for table in tables]
    for k, (table, column) in enumerate(zip(tables, columns, strict=True)):
        if column.dtype.kind not in "iuf" or column.ndim != 1 or column.shape != np.shape(table["label"]):
            raise ValueError(
                f"objects[{k}] must have a score, a number, for every label; got scores of shape {column.shape} and "
                f"dtype {column.dtype} for labels of shape {np.shape(table['label'])}."
            )
    scores = np.concatenate(columns).astype(np.float64)
    if scores.size == 0:
        raise ValueError("objects must hold at least one object; got none.")
    if np.isnan(scores).any():
        raise ValueError(
            f"objects must have scores; got NaN for {np.count_nonzero(np.isnan(scores))} of {scores.size} objects: a "
            "segmenter learns them in fit_thresholds, or in fit from validation images with fifty objects."
        )
    if scores.min() < 0 or scores.max() > 1:
        raise ValueError(f"objects must have scores from 0 to 1; got {scores.min():g} to {scores.max():g}.")
    return scores


def _divide(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """Return the quotient; NaN where the whole is 0."""
    quotient: NDArray[np.float64] = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=quotient, where=whole > 0)
    return quotient
