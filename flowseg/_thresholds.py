"""Choose thresholds on validation images, from one run of the network."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._dynamics import flows_to_masks
from flowseg._overlaps import find_overlaps, number_objects
from flowseg._quality import describe_objects

# What is tried. Logits of the foreground; flow errors (infinite: no check); shares of the true objects' area.
CELLPROB_THRESHOLDS = (-3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
FLOW_THRESHOLDS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, np.inf)
SIZE_SHARES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)

# A parameter with this value is chosen by fit.
AUTO = "auto"

# The score that is made as large as possible: average precision over all objects, mean over these thresholds.
IOU_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Thresholds:
    """What decides which pixels are foreground and which objects stay."""

    cellprob_threshold: float = 0.0
    flow_threshold: float | None = 0.4
    min_size: int = 15


def check_thresholds(cellprob_threshold: Any, flow_threshold: Any, min_size: Any) -> None:
    """Raise unless each is "auto" or what `flows_to_masks` takes."""
    if not is_auto(cellprob_threshold, "cellprob_threshold"):
        _checks.as_number(cellprob_threshold, "cellprob_threshold", low=-np.inf)
    if not is_auto(flow_threshold, "flow_threshold"):
        _checks.as_number(flow_threshold, "flow_threshold", low=0.0, none="no flow check")
    if not is_auto(min_size, "min_size"):
        _checks.as_integer(min_size, "min_size", minimum=0)


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

    def score(self, flow_threshold: float, min_size: float, n_true: int) -> float:
        """Mean over IoU_THRESHOLDS of TP / (TP + FP + FN), when the others are dropped."""
        iou = self.iou[(self.error <= flow_threshold) & (self.area >= min_size)]
        found = np.array([np.count_nonzero(iou >= t) for t in IOU_THRESHOLDS])
        return float(np.mean(found / (n_true + iou.size - found)))


def best_iou(true: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.float64]:
    """For every predicted object, 1..n, the largest IoU with a true one; above 0.5 it matches no other."""
    overlaps = find_overlaps(true, predicted)
    best = np.zeros(overlaps.predicted_labels.size)
    np.maximum.at(best, overlaps.predicted_index, overlaps.iou)
    return best


def choose_thresholds(
    outputs: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]],
    masks: Sequence[NDArray[Any]],
    given: dict[str, Any],
    *,
    n_iter: int | None,
    workers: int | None,
) -> Thresholds:
    """The thresholds with the largest score on flows and cellprobs of images with known masks.

    ``given`` holds those that are not to be chosen. Of equals those nearest to the defaults win: the first in order of
    distance.
    """
    areas = np.concatenate([number_objects(m)[2] for m in masks])
    default = Thresholds()
    levels = [given["cellprob_threshold"]] if "cellprob_threshold" in given else CELLPROB_THRESHOLDS
    errors = [_as_limit(given["flow_threshold"])] if "flow_threshold" in given else FLOW_THRESHOLDS
    sizes = [given["min_size"]] if "min_size" in given else {int(s * np.median(areas)) for s in SIZE_SHARES}
    levels = sorted(levels, key=lambda level: abs(level - default.cellprob_threshold))
    errors = sorted(errors, key=lambda error: abs(error - _as_limit(default.flow_threshold)))
    sizes = sorted(sizes, key=lambda size: abs(size - default.min_size))
    best, chosen = -1.0, default
    for level in levels:
        candidates = _find_candidates(outputs, masks, level, n_iter=n_iter, workers=workers)
        for error, size in itertools.product(errors, sizes):
            score = candidates.score(error, size, areas.size)
            if score > best:
                best, chosen = score, Thresholds(level, None if np.isinf(error) else error, size)
    return chosen


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
    iou, error, area = [], [], []
    for (flows, cellprob), true in zip(outputs, masks, strict=True):
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
        iou.append(best_iou(true, found))
        error.append(np.where(objects["touches_border"], 0.0, objects["flow_error"]))
        area.append(objects["area"])
    return _Candidates(np.concatenate(iou), np.concatenate(error), np.concatenate(area))
