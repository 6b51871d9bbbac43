"""The report of a learning curve: one HTML page without scripts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flowseg._compare.differences import THRESHOLDS
from flowseg._curve.chart import draw_chart
from flowseg._nets.durations import format_duration
from flowseg._report.answer_page import (
    Answer,
    make_answer_page,
    make_details,
    make_table,
    scroll,
    table_of_columns,
    with_interval,
)
from flowseg._system.files import write_atomically

if TYPE_CHECKING:
    from flowseg._curve.result import LearningCurve, SegmenterCurve

SCORES = tuple(f"IoU {threshold:g}" for threshold in THRESHOLDS)


def write_page(path: Path, result: LearningCurve) -> None:
    """Write the page atomically."""
    text = make_page(result)
    write_atomically(path, lambda beside: beside.write_text(text, encoding="utf-8"))


def make_page(result: LearningCurve) -> str:
    """Return the page."""
    measured = [row for curve in result.curves for row in _rows_of_sizes(curve)]
    predicted = [row for curve in result.curves for row in _rows_of_prediction(curve)]
    parts = [draw_chart(result.curves)]
    if predicted:
        head = ("twice the images (95 % interval)", "images", *SCORES, *(f"gain, {score}" for score in SCORES))
        parts += ["<h2>Predicted</h2>", scroll(make_table(head, predicted))]
    head = ("average precision on unseen images (95 % interval)", "images", "objects", *SCORES, "folds, IoU 0.5")
    parts += ["<h2>Measured</h2>", scroll(make_table(head, measured))]
    times = [_times_of(curve) for curve in result.curves]
    parts += [scroll(make_table(("time", "steps of each training", "trainings", "predictions"), times))]
    parts.append(make_details("Every image", table_of_columns(result.per_image)))
    answer = Answer("Learning curve", result.sentence, result.remarks)
    return make_answer_page(answer, "\n".join(part for part in parts if part), ("curve.css",))


def _rows_of_sizes(curve: SegmenterCurve) -> list[list[str]]:
    rows = []
    for k, n_images in enumerate(curve.train_sizes.tolist()):
        scores = [with_interval(*values) for values in zip(curve.precision[k], curve.interval[k], strict=True)]
        folds = ", ".join(f"{score:.2f}" for score in curve.test_scores[k, :, 0])
        rows.append([f"{curve.name} ({curve.way})", str(n_images), describe_objects(curve, k), *scores, folds])
    return rows


def describe_objects(curve: SegmenterCurve, size: int) -> str:
    """Return the numbers of objects in the training sets of a size: they differ between folds."""
    low, high = int(np.min(curve.train_objects[size])), int(np.max(curve.train_objects[size]))
    return str(low) if low == high else f"{low} to {high}"


def _rows_of_prediction(curve: SegmenterCurve) -> list[list[str]]:
    found = curve.prediction
    if found is None:
        return []
    scores = [with_interval(*values) for values in zip(found.precision[-1], found.interval[-1], strict=True)]
    gains = [with_interval(*values, "+") for values in zip(found.gain, found.gain_interval, strict=True)]
    return [[curve.name, str(round(float(found.n_images[-1]))), *scores, *gains]]


def _times_of(curve: SegmenterCurve) -> list[str]:
    training = format_duration(curve.training_seconds) if curve.training_seconds else "-"
    return [curve.name, str(curve.n_steps), training, format_duration(curve.prediction_seconds)]
