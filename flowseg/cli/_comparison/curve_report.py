"""A learning curve as lines to read and as a document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowseg._report.score_table import as_document
from flowseg.cli._comparison.report import IOU_NAMES, as_rows, by_iou

if TYPE_CHECKING:
    from flowseg import LearningCurve
    from flowseg._curve.result import SegmenterCurve


def describe_curve(result: LearningCurve) -> dict[str, Any]:
    """Return the document of ``--json``."""
    curves = list(map(_describe_one, result.curves))
    scores: dict[str, Any] = as_document({"curves": curves, "per_image": as_rows(result.per_image)})
    return {"command": "curve", "answer": result.sentence, "remarks": list(result.remarks)} | scores


def _describe_one(curve: SegmenterCurve) -> dict[str, Any]:
    sizes = [
        {
            "images": int(curve.train_sizes[k]),
            "objects": curve.train_objects[k].tolist(),
            "average_precision": by_iou(curve.precision[k]),
            "interval": by_iou(curve.interval[k]),
            "folds": [by_iou(scores) for scores in curve.test_scores[k]],
        }
        for k in range(len(curve.train_sizes))
    ]
    return {
        "name": curve.name,
        "way": curve.way,
        "steps": curve.n_steps,
        "sizes": sizes,
        "predicted": _describe_prediction(curve),
        "training_seconds": curve.training_seconds,
        "prediction_seconds": curve.prediction_seconds,
    }


def _describe_prediction(curve: SegmenterCurve) -> dict[str, Any] | None:
    found = curve.prediction
    if found is None:
        return None
    points = zip(found.n_images.tolist(), found.precision, found.interval, strict=True)
    return {
        "images": round(float(found.n_images[-1])),
        "gain": by_iou(found.gain),
        "gain_interval": by_iou(found.gain_interval),
        "exponent": by_iou(found.exponent),
        "curve": [
            {"images": n, "average_precision": by_iou(value), "interval": by_iou(ends)} for n, value, ends in points
        ],
    }


def as_lines(result: LearningCurve) -> list[str]:
    """Return the answer, and a table of the segmenters and numbers of training images."""
    width = max(len(curve.name) for curve in result.curves)
    lines = [
        result.sentence,
        *result.remarks,
        "",
        f"{'':{width}}  images  " + "".join(f"IoU {t:<6}" for t in IOU_NAMES),
    ]
    for curve in result.curves:
        for n_images, scores in zip(curve.train_sizes.tolist(), curve.precision, strict=True):
            lines.append(f"{curve.name:{width}}  {n_images:6}  " + "".join(f"{value:<10.3f}" for value in scores))
        if curve.prediction is not None:
            twice, scores = round(float(curve.prediction.n_images[-1])), curve.prediction.precision[-1]
            values = "".join(f"{value:<10.3f}" for value in scores)
            lines.append(f"{curve.name:{width}}  {twice:6}  {values}predicted")
    return lines
