"""How well the classes of objects are found, of objects that match."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks
from flowseg._labels.classes.given import Known, as_classes
from flowseg._labels.overlaps import find_overlaps
from flowseg.metrics._matching import check_threshold, match_overlaps, ratio


@dataclass(frozen=True, eq=False)
class Classification:
    """Classes of objects against true ones, as `classification` returns them.

    Attributes
    ----------
    names : tuple of str
        Names of the classes, in alphabetical order.
    confusion : ndarray of int, shape (n_classes, n_classes)
        Matched objects by their true class (row) and predicted class (column).
    """

    names: tuple[str, ...]
    confusion: NDArray[np.int64]

    @property
    def accuracy(self) -> float:
        """Share of the matched objects whose class is right; 1 if there are none."""
        return ratio(int(np.trace(self.confusion)), int(self.confusion.sum()), 0)

    @property
    def f1(self) -> NDArray[np.float64]:
        """F1 score of each class, ``2 tp / (2 tp + fp + fn)``, NaN for one that no matched object has or is given."""
        either = self.confusion.sum(axis=0) + self.confusion.sum(axis=1)
        scores = np.full(len(self.names), np.nan)
        np.divide(2 * np.diag(self.confusion), either, out=scores, where=either > 0)
        return scores

    @property
    def macro_f1(self) -> float:
        """Mean of the F1 scores of the classes that there are; 1 if there are none."""
        scores = self.f1[np.isfinite(self.f1)]
        return float(scores.mean()) if scores.size else 1.0


def classification(
    true: Sequence[ArrayLike],
    predicted: Sequence[ArrayLike],
    true_classes: Sequence[Any],
    predicted_classes: Sequence[Any],
    *,
    threshold: float = 0.5,
) -> Classification:
    """Compare the classes of predicted objects with those of the true objects that they match.

    Parameters
    ----------
    true, predicted : list of array_like of int
        Label images or volumes. Those of a pair have the same shape.
    true_classes, predicted_classes : list
        Class of each object: for each image a dict of labels and class names, or a table with columns ``label`` and
        ``class``, as from `FlowSegmenter.predict_objects`. A true class may be None: such an object does not count.
    threshold : float
        IoU from which a true and a predicted object match, above 0 and at most 1.

    Returns
    -------
    scores : Classification
        Counts and scores over all matched objects; objects without a partner do not count.

    Raises
    ------
    TypeError, ValueError
        If masks or classes are not one per image, or an object has no class, or a class has no object.

    Examples
    --------
    >>> from flowseg import metrics
    >>> true, predicted = [[1, 1, 0, 2, 2, 0, 3]], [[4, 4, 0, 5, 5, 0, 0]]
    >>> classes = {1: "round", 2: "long", 3: "long"}, {4: "round", 5: "round"}
    >>> scores = metrics.classification([true], [predicted], [classes[0]], [classes[1]])
    >>> scores.names, scores.confusion.tolist(), round(scores.macro_f1, 3)
    (('long', 'round'), [[0, 1], [0, 1]], 0.333)
    """
    level = check_threshold(threshold)
    truths, predictions = _as_masks(true, "true"), _as_masks(predicted, "predicted")
    _checks.check_same_length(truths, predictions, ("true", "predicted"))
    known = as_classes(true_classes, truths, ("true_classes", "true"))
    found = as_classes(predicted_classes, predictions, ("predicted_classes", "predicted"))
    parts = []
    for k, (a, b) in enumerate(zip(truths, predictions, strict=True)):
        overlaps = find_overlaps(a, b, names=(f"true[{k}]", f"predicted[{k}]"))
        pairs = match_overlaps(overlaps, level).pairs
        names = tuple(sorted({*known[k].values(), *found[k].values()}))
        confusion = np.zeros((len(names), len(names)), dtype=np.int64)
        for i, j in _pair_classes(pairs, known[k], found[k], f"predicted_classes[{k}]"):
            confusion[names.index(i), names.index(j)] += 1
        parts.append(Classification(names, confusion))
    return join_classifications(parts)


def _as_masks(masks: Any, name: str) -> list[NDArray[Any]]:
    return [_checks.as_countable(array, f"{name}[{k}]") for k, array in enumerate(_checks.as_list(masks, name))]


def _pair_classes(pairs: NDArray[np.int64], known: Mapping[int, str], found: Known, name: str) -> list[tuple[str, str]]:
    """Return true and predicted class of each matched pair of labels whose true class is known."""
    judged = [(i, j) for i, j in pairs.tolist() if i in known]
    missing = [j for _, j in judged if j not in found]
    if missing:
        raise ValueError(f"{name} must name a class for every object; got None for label {missing[0]}.")
    return [(known[i], found[j]) for i, j in judged]


def join_classifications(parts: Iterable[Classification]) -> Classification:
    """Return the classification of all images from those of parts of them."""
    every = list(parts)
    names = sorted({name for part in every for name in part.names})
    confusion = np.zeros((len(names), len(names)), dtype=np.int64)
    for part in every:
        place = [names.index(name) for name in part.names]
        confusion[np.ix_(place, place)] += part.confusion
    return Classification(tuple(names), confusion)
