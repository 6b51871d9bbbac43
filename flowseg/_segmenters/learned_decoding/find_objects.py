"""Masks and a table of scored objects from flows and cellprob, with learned thresholds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._flows.decoding import flows_to_masks
from flowseg._nets.lattice import PixelShape
from flowseg._segmenters.learned_decoding.object_scores import Calibration, read_calibration
from flowseg._segmenters.learned_decoding.object_table import Table, as_learned, describe_objects
from flowseg._segmenters.learned_decoding.thresholds import Thresholds, read_thresholds

Floats = NDArray[np.float32]
Pixel = PixelShape | None  # None: as long along every axis


@dataclass(frozen=True)
class Decoding:
    """How outputs become masks: thresholds, and the calibration of scores if there were objects to learn it from."""

    thresholds: Thresholds = field(default_factory=Thresholds)
    calibration: Calibration | None = None

    def as_document(self) -> dict[str, Any]:
        """Return it as JSON values for a model file."""
        score = asdict(self.calibration) if self.calibration else None
        return {"thresholds": asdict(self.thresholds), "score": score}


def read_decoding(document: dict[str, Any]) -> Decoding:
    """Return the decoding in a model file's JSON, checked."""
    decoding = Decoding(read_thresholds(document.get("thresholds")), read_calibration(document.get("score")))
    if decoding.thresholds.score_threshold is not None and decoding.calibration is None:
        raise ValueError("score must be there where score_threshold is a number; got null.")
    return decoding


def find_masks(
    flows: Floats, cellprob: Floats, decoding: Decoding, pixel: Pixel = None, *, n_iter: int | None, workers: int | None
) -> NDArray[np.int32]:
    """Return the label image, 1..n."""
    thresholds = decoding.thresholds
    masks = flows_to_masks(
        flows,
        cellprob,
        cellprob_threshold=thresholds.cellprob_threshold,
        flow_threshold=thresholds.flow_threshold,
        min_size=thresholds.min_size,
        n_iter=n_iter,
        workers=workers,
    )
    if thresholds.score_threshold is None:
        return masks
    return _score_objects(masks, (flows, cellprob), decoding, pixel, workers)[0]


def find_objects(
    flows: Floats, cellprob: Floats, decoding: Decoding, pixel: Pixel = None, *, n_iter: int | None, workers: int | None
) -> tuple[NDArray[np.int32], Table]:
    """Return the label image, and the table of `describe_objects` with a column of scores; NaN without calibration."""
    unscored = Decoding(replace(decoding.thresholds, score_threshold=None))
    masks = find_masks(flows, cellprob, unscored, pixel, n_iter=n_iter, workers=workers)
    return _score_objects(masks, (flows, cellprob), decoding, pixel, workers)


def _score_objects(
    masks: NDArray[np.int32],
    outputs: tuple[Floats, Floats],
    decoding: Decoding,
    pixel: Pixel,
    workers: int | None,
) -> tuple[NDArray[np.int32], Table]:
    """Return the objects whose score reaches the threshold, if there is one, numbered again, and their table."""
    objects = describe_objects(masks, *outputs, pixel=pixel, workers=workers)
    number, kept = score_objects(objects, decoding, pixel)
    return (masks if kept["label"].size == objects["label"].size else number[masks]), kept


def score_objects(objects: Table, decoding: Decoding, pixel: Pixel = None) -> tuple[NDArray[np.int32], Table]:
    """Return new numbers of the objects 0..n, 0 for scores below the threshold, and the table of the others."""
    n = objects["label"].size
    if decoding.calibration is None:
        return np.arange(n + 1, dtype=np.int32), objects | {"score": np.full(n, np.nan)}
    scored = objects | {"score": decoding.calibration.score(as_learned(objects, pixel))}
    if decoding.thresholds.score_threshold is None:
        return np.arange(n + 1, dtype=np.int32), scored
    keep = scored["score"] >= decoding.thresholds.score_threshold
    number = np.concatenate([[0], np.where(keep, np.cumsum(keep), 0)]).astype(np.int32)
    kept = {name: column[keep] for name, column in scored.items()}
    return number, kept | {"label": np.arange(1, np.count_nonzero(keep) + 1)}
