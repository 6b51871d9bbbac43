"""Choose thresholds on validation images, from one run of the network, by the rule of one standard error."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from flowseg._labels.overlaps import number_objects
from flowseg._segmenters.inputs import Auto
from flowseg._segmenters.learned_decoding.candidates import Candidates, Seen, find_candidates
from flowseg._segmenters.learned_decoding.jackknife_scores import MATCH, score_found, standard_error
from flowseg._segmenters.learned_decoding.object_scores import calibrate
from flowseg._segmenters.learned_decoding.object_table import Table
from flowseg._segmenters.learned_decoding.thresholds import GivenThresholds, Thresholds, default_thresholds

# Values that are tried: logits of the foreground; flow errors (infinite: no check); shares of the true objects' median
# area. Above a tenth, a few images of large objects would drop small true ones.
CELLPROB_THRESHOLDS = (-3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
FLOW_THRESHOLDS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, np.inf)
SIZE_SHARES = (0.0, 0.05, 0.1)

# Scores that are tried, probabilities that an object matches a true one; None keeps all objects.
SCORE_THRESHOLDS = (None, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
# Folds of the validation images: objects of one are scored by a calibration learned from the others.
SCORE_FOLDS = 5


Choice = TypeVar("Choice")


def choose_thresholds(
    outputs: Iterable[Seen],
    masks: Sequence[NDArray[Any]],
    given: GivenThresholds,
    *,
    n_iter: int | None,
    workers: int | None,
) -> tuple[Thresholds, Candidates]:
    """Return thresholds for flows and cellprobs of images with known masks, and the objects that they find.

    ``given`` thresholds are not chosen. Of all choices whose score is at most one standard error of the difference
    (jackknife over the images) below the largest, the one nearest to the defaults is taken: a difference that a few
    images do not show changes nothing [1]_.

    References
    ----------
    .. [1] L. Breiman et al., "Classification and regression trees", 1984, section 3.4.3: the 1 SE rule.
    """
    areas = [number_objects(m)[2] for m in masks]
    median = float(np.median(np.concatenate(areas)))
    n_true = np.array([a.size for a in areas])
    default = default_thresholds(masks[0].ndim)
    shares = {default.min_size, *(int(share * median) for share in SIZE_SHARES)}
    levels = _choices(given.cellprob_threshold, CELLPROB_THRESHOLDS, default.cellprob_threshold)
    errors = _choices(given.flow_threshold, FLOW_THRESHOLDS, default.flow_threshold)
    sizes = _choices(given.min_size, shares, default.min_size)
    found = find_candidates(outputs, masks, levels, n_iter=n_iter, workers=workers)
    tried, scores = [], []
    for (i, level), (j, error), (k, size) in itertools.product(*map(enumerate, (levels, errors, sizes))):
        tried.append((i + j + k, (i, Thresholds(level, None if np.isinf(error) else error, size))))
        scores.append(score_found(found[i].kept_iou(error, size), n_true))
    i, chosen = _nearest_of_the_best(tried, np.array(scores))
    return chosen, found[i].kept(chosen.max_flow_error, chosen.min_size)


def _choices(given: float | Auto | None, choices: Iterable[float], default: float | None) -> list[Any]:
    """Return the values to try for one threshold, nearest to the default first; the given value alone, if it is."""
    if not isinstance(given, str):
        return [_as_limit(given)]
    start = _as_limit(default)
    return sorted(choices, key=lambda value: (abs(value - start), value))


def choose_score_threshold(
    tables: Sequence[Table], iou: Sequence[NDArray[np.float64]], n_true: NDArray[np.intp], diameter: float
) -> float | None:
    """Return the smallest score of objects to keep, or None, by the 1 SE rule of `choose_thresholds`.

    ``tables`` and ``iou`` hold the results of `describe_objects` and `best_iou` for each image, ``n_true`` its number
    of true objects. Objects are scored by a calibration from other images, or every score would look too good.
    """
    if len(tables) < SCORE_FOLDS:
        return None
    matched = [values >= MATCH for values in iou]
    scores: list[NDArray[np.float64]] = [np.ones(0)] * len(tables)
    for fold in range(SCORE_FOLDS):
        others = [i for i in range(len(tables)) if i % SCORE_FOLDS != fold]
        calibration = calibrate([tables[i] for i in others], [matched[i] for i in others], diameter)
        for i in range(fold, len(tables), SCORE_FOLDS):
            scores[i] = np.ones(iou[i].size) if calibration is None else calibration.score(tables[i])
    kept = [[v[s >= _as_floor(t)] for v, s in zip(iou, scores, strict=True)] for t in SCORE_THRESHOLDS]
    results = np.array([score_found(values, n_true) for values in kept])
    return _nearest_of_the_best(list(enumerate(SCORE_THRESHOLDS)), results)


def _as_floor(score_threshold: float | None) -> float:
    return -np.inf if score_threshold is None else score_threshold


def _nearest_of_the_best(tried: list[tuple[int, Choice]], scores: NDArray[np.float64]) -> Choice:
    """Return the choice of the 1 SE rule; ``tried`` holds (distance from the defaults, choice)."""
    below = scores[np.argmax(scores[:, 0])] - scores
    good = np.flatnonzero(below[:, 0] <= standard_error(below))
    return min((tried[i] for i in good), key=lambda item: item[0])[1]


def _as_limit(flow_threshold: float | None) -> float:
    return np.inf if flow_threshold is None else flow_threshold
