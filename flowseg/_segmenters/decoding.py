"""From flows and foreground to masks, by thresholds and a score of objects that validation images have taught."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._flows.decoding import flows_to_masks
from flowseg._labels.overlaps import count_objects
from flowseg._segmenters.calibration import Calibration, Table, calibrate, describe_objects, read_calibration
from flowseg._segmenters.candidates import Split
from flowseg._segmenters.thresholds import Thresholds, choose_score_threshold, choose_thresholds, read_thresholds
from flowseg._segmenters.validation_scores import MATCH

# With fewer objects in the validation images nothing is chosen on them: chance would do it.
LEAST_OBJECTS = 50


@dataclass(frozen=True)
class Decoding:
    """How outputs become masks: thresholds, and the score, if there was anything to learn it from."""

    thresholds: Thresholds = field(default_factory=Thresholds)
    calibration: Calibration | None = None

    def as_document(self) -> dict[str, Any]:
        """For a model file."""
        score = asdict(self.calibration) if self.calibration else None
        return {"thresholds": asdict(self.thresholds), "score": score}


def read_decoding(document: dict[str, Any]) -> Decoding:
    """That of a model file's JSON, checked."""
    decoding = Decoding(read_thresholds(document.get("thresholds")), read_calibration(document.get("score")))
    if decoding.thresholds.score_threshold is not None and decoding.calibration is None:
        raise ValueError("score must be there where score_threshold is a number; got null.")
    return decoding


def find_masks(
    flows: NDArray[np.float32],
    cellprob: NDArray[np.float32],
    decoding: Decoding,
    *,
    n_iter: int | None,
    workers: int | None,
) -> NDArray[np.int32]:
    """Label image, 1..n."""
    if decoding.thresholds.score_threshold is None:
        return _follow(flows, cellprob, decoding.thresholds, n_iter, workers)
    return find_objects(flows, cellprob, decoding, n_iter=n_iter, workers=workers)[0]


def find_objects(
    flows: NDArray[np.float32],
    cellprob: NDArray[np.float32],
    decoding: Decoding,
    *,
    n_iter: int | None,
    workers: int | None,
) -> tuple[NDArray[np.int32], Table]:
    """Label image, and what `describe_objects` says of its objects with their score; NaN where nobody taught it."""
    masks = _follow(flows, cellprob, decoding.thresholds, n_iter, workers)
    objects = describe_objects(masks, flows, cellprob, workers=workers)
    if decoding.calibration is None:
        return masks, objects | {"score": np.full(objects["label"].size, np.nan)}
    objects["score"] = decoding.calibration.score(objects)
    if decoding.thresholds.score_threshold is None:
        return masks, objects
    return _keep(masks, objects, objects["score"] >= decoding.thresholds.score_threshold)


def _follow(
    flows: NDArray[np.float32],
    cellprob: NDArray[np.float32],
    thresholds: Thresholds,
    n_iter: int | None,
    workers: int | None,
) -> NDArray[np.int32]:
    return flows_to_masks(
        flows,
        cellprob,
        cellprob_threshold=thresholds.cellprob_threshold,
        flow_threshold=thresholds.flow_threshold,
        min_size=thresholds.min_size,
        n_iter=n_iter,
        workers=workers,
    )


def _keep(masks: NDArray[np.int32], objects: Table, stay: NDArray[np.bool_]) -> tuple[NDArray[np.int32], Table]:
    """Drop objects 1..n that do not stay; the others are numbered again."""
    number = np.concatenate([[0], np.where(stay, np.cumsum(stay), 0)]).astype(np.int32)
    kept = {name: column[stay] for name, column in objects.items()}
    return number[masks], kept | {"label": np.arange(1, np.count_nonzero(stay) + 1)}


def learn_decoding(
    outputs: Iterable[Split],
    masks: Sequence[NDArray[Any]],
    given: Mapping[str, Any],
    *,
    diameter: float,
    n_iter: int | None,
    workers: int | None,
) -> Decoding:
    """Thresholds and score from flows and cellprobs of images with known masks; ``given`` holds those not to choose."""
    chosen, found = choose_thresholds(outputs, masks, given, n_iter=n_iter, workers=workers)
    calibration = calibrate(found.tables, [values >= MATCH for values in found.iou], diameter)
    if calibration is None:
        return Decoding(chosen, None)
    if "score_threshold" in given:
        return Decoding(replace(chosen, score_threshold=given["score_threshold"]), calibration)
    n_true = np.array([count_objects(m) for m in masks])
    score_threshold = choose_score_threshold(found.tables, found.iou, n_true, diameter)
    return Decoding(replace(chosen, score_threshold=score_threshold), calibration)
