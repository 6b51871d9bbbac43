"""From flows and foreground to masks, by thresholds and a score of objects that validation images have taught."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._flows.decoding import flows_to_masks
from flowseg._labels.overlaps import count_objects
from flowseg._segmenters.candidates import Split
from flowseg._segmenters.quality import Calibration, Table, calibrate, describe_objects, read_calibration
from flowseg._segmenters.selection import MATCH
from flowseg._segmenters.thresholds import Thresholds, choose_score_threshold, choose_thresholds, read_thresholds


@dataclass(frozen=True)
class Learned:
    """What `fit` learns for it: what "auto" stands for, and the score, if there was anything to learn it from."""

    thresholds: Thresholds = field(default_factory=Thresholds)
    calibration: Calibration | None = None

    def as_document(self) -> dict[str, Any]:
        """For a model file."""
        score = asdict(self.calibration) if self.calibration else None
        return {"thresholds": asdict(self.thresholds), "score": score}


def read_learned(document: dict[str, Any]) -> Learned:
    """That of a model file's JSON, checked."""
    learned = Learned(read_thresholds(document.get("thresholds")), read_calibration(document.get("score")))
    if learned.thresholds.score_threshold is not None and learned.calibration is None:
        raise ValueError("score must be there where score_threshold is a number; got null.")
    return learned


@dataclass(frozen=True)
class Decoder:
    """The way from a network's outputs to masks."""

    thresholds: Thresholds
    calibration: Calibration | None
    n_iter: int | None
    workers: int | None

    def masks(self, flows: NDArray[np.float32], cellprob: NDArray[np.float32]) -> NDArray[np.int32]:
        """Label image, 1..n."""
        if self.thresholds.score_threshold is None:
            return self._follow(flows, cellprob)
        return self.objects(flows, cellprob)[0]

    def objects(self, flows: NDArray[np.float32], cellprob: NDArray[np.float32]) -> tuple[NDArray[np.int32], Table]:
        """Label image, and what `describe_objects` says of its objects with their score; NaN where nobody taught it."""
        masks = self._follow(flows, cellprob)
        objects = describe_objects(masks, flows, cellprob, workers=self.workers)
        if self.calibration is None:
            return masks, objects | {"score": np.full(objects["label"].size, np.nan)}
        objects["score"] = self.calibration.score(objects)
        if self.thresholds.score_threshold is None:
            return masks, objects
        return _keep(masks, objects, objects["score"] >= self.thresholds.score_threshold)

    def _follow(self, flows: NDArray[np.float32], cellprob: NDArray[np.float32]) -> NDArray[np.int32]:
        return flows_to_masks(
            flows,
            cellprob,
            cellprob_threshold=self.thresholds.cellprob_threshold,
            flow_threshold=self.thresholds.flow_threshold,
            min_size=self.thresholds.min_size,
            n_iter=self.n_iter,
            workers=self.workers,
        )


def _keep(masks: NDArray[np.int32], objects: Table, stay: NDArray[np.bool_]) -> tuple[NDArray[np.int32], Table]:
    """Drop objects 1..n that do not stay; the others are numbered anew."""
    number = np.concatenate([[0], np.where(stay, np.cumsum(stay), 0)]).astype(np.int32)
    kept = {name: column[stay] for name, column in objects.items()}
    return number[masks], kept | {"label": np.arange(1, np.count_nonzero(stay) + 1)}


def learn_decoding(
    outputs: Iterable[Split],
    masks: Sequence[NDArray[Any]],
    given: dict[str, Any],
    *,
    diameter: float,
    n_iter: int | None,
    workers: int | None,
) -> Learned:
    """Thresholds and score from flows and cellprobs of images with known masks; ``given`` holds those not to choose."""
    chosen, found = choose_thresholds(outputs, masks, given, n_iter=n_iter, workers=workers)
    calibration = calibrate(found.tables, [values >= MATCH for values in found.iou], diameter)
    if calibration is None:
        return Learned(chosen, None)
    if "score_threshold" in given:
        return Learned(replace(chosen, score_threshold=given["score_threshold"]), calibration)
    n_true = np.array([count_objects(m) for m in masks])
    score_threshold = choose_score_threshold(found.tables, found.iou, n_true, diameter)
    return Learned(replace(chosen, score_threshold=score_threshold), calibration)
