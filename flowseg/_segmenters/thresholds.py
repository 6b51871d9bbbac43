"""Choose thresholds on validation images, from one run of the network."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._checks import is_auto
from flowseg._labels.overlaps import number_objects
from flowseg._segmenters.calibration import Table, calibrate
from flowseg._segmenters.candidates import Candidates, Split, find_candidates
from flowseg._segmenters.validation_scores import MATCH, score_found, standard_error

if TYPE_CHECKING:
    from flowseg._segmenters.flow import FlowSegmenter

# What is tried. Logits of the foreground; flow errors (infinite: no check); shares of the true objects' median area:
# above a tenth a few images of large objects would say that small ones are not real.
CELLPROB_THRESHOLDS = (-3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
FLOW_THRESHOLDS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, np.inf)
SIZE_SHARES = (0.0, 0.05, 0.1)

# Probabilities that an object matches a real one; None keeps all objects.
SCORE_THRESHOLDS = (None, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
# Parts that the validation images are cut into: those of one are scored by what the others teach.
SCORE_FOLDS = 5


Choice = TypeVar("Choice")


@dataclass(frozen=True)
class Thresholds:
    """What decides which pixels are foreground and which objects stay."""

    cellprob_threshold: float = 0.0
    flow_threshold: float | None = 0.4
    min_size: int = 15
    score_threshold: float | None = None


def plain_thresholds(segmenter: FlowSegmenter) -> dict[str, Any]:
    """Those that are a segmenter's parameters; NumPy's numbers as plain ones, so that they can be saved."""
    values = {field.name: getattr(segmenter, field.name) for field in fields(Thresholds)}
    return {k: v.item() if isinstance(v, np.generic | np.ndarray) and v.ndim == 0 else v for k, v in values.items()}


def check_thresholds(cellprob_threshold: Any, flow_threshold: Any, min_size: Any, score_threshold: Any) -> None:
    """Raise unless each is "auto" or what `flows_to_masks` takes, a score a probability."""
    if not is_auto(cellprob_threshold, "cellprob_threshold", "a number"):
        _checks.as_number(cellprob_threshold, "cellprob_threshold", low=-np.inf)
    if not is_auto(flow_threshold, "flow_threshold", "a number, None"):
        _checks.as_number(flow_threshold, "flow_threshold", low=0.0, none="no flow check")
    if not is_auto(min_size, "min_size", "an integer"):
        _checks.as_integer(min_size, "min_size", minimum=0)
    if not is_auto(score_threshold, "score_threshold", "a number, None"):
        _checks.as_number(score_threshold, "score_threshold", low=0.0, high=1.0, none="keep all objects")


def read_thresholds(document: Any) -> Thresholds:
    """Thresholds of a model file's JSON, checked."""
    names = {field.name for field in fields(Thresholds)}
    if not isinstance(document, dict) or set(document) != names:
        raise ValueError(f"thresholds must be an object with {', '.join(sorted(names))}; got {document!r}.")
    if any(isinstance(value, str) for value in document.values()):
        raise ValueError(f"thresholds must be numbers; got {document!r}.")
    check_thresholds(**document)
    return Thresholds(**document)


def choose_thresholds(
    outputs: Iterable[Split],
    masks: Sequence[NDArray[Any]],
    given: Mapping[str, Any],
    *,
    n_iter: int | None,
    workers: int | None,
) -> tuple[Thresholds, Candidates]:
    """Thresholds for flows and cellprobs of images with known masks, and the objects that are found with them.

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
    found = find_candidates(outputs, masks, levels, n_iter=n_iter, workers=workers)
    tried, scores = [], []
    for (i, level), (j, error), (k, size) in itertools.product(*map(enumerate, (levels, errors, sizes))):
        tried.append((i + j + k, (i, Thresholds(level, None if np.isinf(error) else error, size))))
        scores.append(score_found(found[i].kept_iou(error, size), n_true))
    i, chosen = _nearest_of_the_best(tried, np.array(scores))
    return chosen, found[i].kept(_as_limit(chosen.flow_threshold), chosen.min_size)


def _choices(given: Mapping[str, Any], name: str, choices: Iterable[float], default: float | None) -> list[Any]:
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
    kept = [[v[s >= _as_floor(t)] for v, s in zip(iou, scores, strict=True)] for t in SCORE_THRESHOLDS]
    results = np.array([score_found(values, n_true) for values in kept])
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
