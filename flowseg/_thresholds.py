"""Choose thresholds on validation images, from one run of the network."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._dynamics import flows_to_masks
from flowseg._overlaps import number_objects
from flowseg._quality import Table, calibrate, describe_objects
from flowseg._selection import MATCH, Score, best_iou, is_judged, score_found, standard_error

# What is tried. Logits of the foreground; flow errors (infinite: no check); shares of the true objects' area.
CELLPROB_THRESHOLDS = (-3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
FLOW_THRESHOLDS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, np.inf)
SIZE_SHARES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)

# Probabilities that an object matches a real one; None keeps all objects.
SCORE_THRESHOLDS = (None, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
# Parts that the validation images are cut into: those of one are scored by what the others teach.
SCORE_FOLDS = 5

# A parameter with this value is chosen by fit.
AUTO = "auto"


Choice = TypeVar("Choice")


@dataclass(frozen=True)
class Thresholds:
    """What decides which pixels are foreground and which objects stay."""

    cellprob_threshold: float = 0.0
    flow_threshold: float | None = 0.4
    min_size: int = 15
    score_threshold: float | None = None


def check_thresholds(cellprob_threshold: Any, flow_threshold: Any, min_size: Any, score_threshold: Any) -> None:
    """Raise unless each is "auto" or what `flows_to_masks` takes, a score a probability."""
    if not is_auto(cellprob_threshold, "cellprob_threshold"):
        _checks.as_number(cellprob_threshold, "cellprob_threshold", low=-np.inf)
    if not is_auto(flow_threshold, "flow_threshold"):
        _checks.as_number(flow_threshold, "flow_threshold", low=0.0, none="no flow check")
    if not is_auto(min_size, "min_size"):
        _checks.as_integer(min_size, "min_size", minimum=0)
    if not is_auto(score_threshold, "score_threshold"):
        _checks.as_number(score_threshold, "score_threshold", low=0.0, high=1.0, none="keep all objects")


def is_auto(value: Any, name: str) -> bool:
    """Whether a parameter is left to fit; other words are refused."""
    if isinstance(value, str):
        _checks.check_choice(value, name, (AUTO,))
    return isinstance(value, str)


def read_thresholds(document: Any) -> Thresholds:
    """Thresholds of a model file's JSON, checked."""
    names = {field.name for field in fields(Thresholds)}
    if not isinstance(document, dict) or set(document) != names:
        raise ValueError(f"thresholds must be an object with {', '.join(sorted(names))}; got {document!r}.")
    if any(isinstance(value, str) for value in document.values()):
        raise ValueError(f"thresholds must be numbers; got {document!r}.")
    check_thresholds(**document)
    return Thresholds(**document)


@dataclass(frozen=True)
class _Candidates:
    """All objects of all images at one cellprob threshold."""

    iou: NDArray[np.float64]  # with the true object that it shares most with
    error: NDArray[np.float64]  # 0 where the flow check does not apply
    area: NDArray[np.float64]
    image: NDArray[np.intp]  # that it is in

    def score(self, flow_threshold: float, min_size: float, n_true: NDArray[np.intp]) -> Score:
        """Score when objects beyond these thresholds are dropped; ``n_true`` holds the true objects per image."""
        stay = (self.error <= flow_threshold) & (self.area >= min_size)
        return score_found(self.iou[stay], self.image[stay], n_true)


def choose_thresholds(
    outputs: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]],
    masks: Sequence[NDArray[Any]],
    given: dict[str, Any],
    *,
    n_iter: int | None,
    workers: int | None,
) -> Thresholds:
    """Thresholds for flows and cellprobs of images with known masks.

    ``given`` holds those that are not to be chosen. Of all whose score is no further below the largest than one
    standard error of the difference (jackknife over the images) those nearest to the defaults are taken: what a few
    images cannot tell apart is left as it was [1]_.

    References
    ----------
    .. [1] L. Breiman et al., "Classification and regression trees", 1984, section 3.4.3: the 1 SE rule.
    """
    areas = [number_objects(m)[2] for m in masks]
    median = float(np.median(np.concatenate(areas)))
    n_true = np.array([a.size for a in areas])
    default = Thresholds()
    levels = _choices(given, "cellprob_threshold", CELLPROB_THRESHOLDS, default.cellprob_threshold)
    errors = _choices(given, "flow_threshold", FLOW_THRESHOLDS, default.flow_threshold)
    sizes = _choices(given, "min_size", {default.min_size, *(int(s * median) for s in SIZE_SHARES)}, default.min_size)
    tried, scores = [], []
    for i, level in enumerate(levels):
        candidates = _find_candidates(outputs, masks, level, n_iter=n_iter, workers=workers)
        for (j, error), (k, size) in itertools.product(enumerate(errors), enumerate(sizes)):
            tried.append((i + j + k, Thresholds(level, None if np.isinf(error) else error, size)))
            scores.append(candidates.score(error, size, n_true))
    return _nearest_of_the_best(tried, np.array(scores))


def _choices(given: dict[str, Any], name: str, choices: Iterable[float], default: float | None) -> list[Any]:
    """What to try for one threshold, nearest to the default first."""
    start = _as_limit(default)
    return [_as_limit(given[name])] if name in given else sorted(choices, key=lambda value: (abs(value - start), value))


def choose_score_threshold(
    tables: Sequence[Table], iou: Sequence[NDArray[np.float64]], n_true: NDArray[np.intp], diameter: float
) -> float | None:
    """Smallest score to keep an object by, or None: the 1 SE rule of `choose_thresholds`.

    ``tables`` and ``iou`` hold what `describe_objects` and `best_iou` say of each image's objects, ``n_true`` how many
    are real. Objects are scored by what other images teach, or every score would look better than it is.
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
    score, values = np.concatenate(scores), np.concatenate(iou)
    image = np.repeat(np.arange(len(iou)), [v.size for v in iou])
    kept = [score >= _as_floor(t) for t in SCORE_THRESHOLDS]
    results = np.array([score_found(values[stay], image[stay], n_true) for stay in kept])
    return _nearest_of_the_best(list(enumerate(SCORE_THRESHOLDS)), results)


def _as_floor(score_threshold: float | None) -> float:
    return -np.inf if score_threshold is None else score_threshold


def _nearest_of_the_best(tried: list[tuple[int, Choice]], scores: NDArray[np.float64]) -> Choice:
    """The 1 SE rule; ``tried`` holds (distance from the defaults, choice)."""
    below = scores[np.argmax(scores[:, 0])] - scores
    good = np.flatnonzero(below[:, 0] <= standard_error(below))
    return min((tried[i] for i in good), key=lambda item: item[0])[1]


def _as_limit(flow_threshold: float | None) -> float:
    return np.inf if flow_threshold is None else flow_threshold


def _find_candidates(
    outputs: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]],
    masks: Sequence[NDArray[Any]],
    cellprob_threshold: float,
    *,
    n_iter: int | None,
    workers: int | None,
) -> _Candidates:
    iou, error, area, image = [], [], [], []
    for i, ((flows, cellprob), true) in enumerate(zip(outputs, masks, strict=True)):
        found = flows_to_masks(
            flows,
            cellprob,
            cellprob_threshold=cellprob_threshold,
            flow_threshold=None,
            min_size=0,
            n_iter=n_iter,
            workers=workers,
        )
        objects = describe_objects(found, flows, cellprob, workers=workers)
        judged = is_judged(true, found)
        iou.append(best_iou(true, found))
        error.append(np.where(objects["touches_border"], 0.0, objects["flow_error"])[judged])
        area.append(objects["area"][judged])
        image.append(np.full(np.count_nonzero(judged), i))
    return _Candidates(np.concatenate(iou), np.concatenate(error), np.concatenate(area), np.concatenate(image))
