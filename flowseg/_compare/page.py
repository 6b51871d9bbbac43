"""The report of a comparison: one HTML page without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flowseg._compare.differences import THRESHOLDS, Difference
from flowseg._compare.panels import as_picture, choose_plane, draw_found, draw_true
from flowseg._nets.durations import format_duration
from flowseg._report.answer_page import (
    Answer,
    escape,
    make_answer_page,
    make_details,
    make_table,
    scroll,
    table_of_columns,
    with_interval,
)
from flowseg._system.files import write_atomically
from flowseg._system.printable import shown

if TYPE_CHECKING:
    from flowseg._compare.comparison import Comparison, SegmenterScore

# Images that the page shows: more are not looked at.
N_SHOWN = 6


def write_page(path: Path, result: Comparison) -> None:
    """Write the page atomically."""
    text = make_page(result)
    write_atomically(path, lambda beside: beside.write_text(text, encoding="utf-8"))


def make_page(result: Comparison) -> str:
    """Return the page."""
    scores = make_table(("segmenter", *map(_at, THRESHOLDS), "training", "prediction"), map(_row, result.summary))
    parts = [
        "<h2>Average precision on unseen images</h2>",
        scroll(scores),
        scroll(_describe_pairs(result.pairs)),
        _show_images(result),
        make_details("Every image", table_of_columns(result.per_image)),
    ]
    answer = Answer("Comparison of segmenters", result.sentence, result.remarks)
    return make_answer_page(answer, "\n".join(parts), ("comparison.css",))


def _at(threshold: float) -> str:
    return f"IoU {threshold:g}"


def _row(score: SegmenterScore) -> list[str]:
    training = format_duration(score.training_seconds) if score.training_seconds else "-"
    values = [with_interval(*values) for values in zip(score.precision, score.interval, strict=True)]
    return [f"{score.name} ({score.way})", *values, training, format_duration(score.prediction_seconds)]


def _describe_pairs(pairs: Sequence[Difference]) -> str:
    if not pairs:
        return ""
    rows = []
    for pair in pairs:
        values = [with_interval(*found, "+") for found in zip(pair.difference, pair.interval, strict=True)]
        wins = (f"{number}" for number in (pair.wins, pair.losses, pair.ties))
        rows.append([f"{pair.first} minus {pair.second}", *values, *wins])
    head = ("difference", *map(_at, THRESHOLDS), "images better", "worse", "equal")
    return "<h2>Differences</h2>\n" + make_table(head, rows)


def choose_images(result: Comparison) -> list[int]:
    """Return the images on which the average precision of the two best differs most, the largest difference first."""
    names = [score.name for score in result.summary[:2]]
    values = {name: _column(result, name, "ap_0.5") for name in names}
    differences = np.abs(values[names[0]] - values[names[-1]])
    return [int(i) for i in np.argsort(-differences, kind="stable") if differences[i] > 0][:N_SHOWN]


def _column(result: Comparison, segmenter: str, column: str) -> NDArray[np.float64]:
    """Return a column of the table for one segmenter, image by image."""
    table = result.per_image
    chosen = [k for k, name in enumerate(table["segmenter"]) if name == segmenter]
    return np.array([table[column][k] for k in chosen])


def _show_images(result: Comparison) -> str:
    chosen = choose_images(result)
    if not chosen:
        return ""
    legend = (
        '<p class="legend"><span class="match">found</span> <span class="extra">no true object</span> '
        '<span class="missed">missed</span></p>'
    )
    shown_images = "\n".join(_show_image(result, i, len(chosen)) for i in chosen)
    return f"<h2>Where the two best differ most</h2>\n{legend}\n{shown_images}"


def _show_image(result: Comparison, number: int, n_images: int) -> str:
    names = [score.name for score in result.summary[:2]]
    title, image, masks = result.images_and_masks(number, names)
    image, (true, *found) = choose_plane(image, masks)
    picture = as_picture(image, n_images)
    panels = [draw_true(picture, true)]
    for name, labels in zip(names, found, strict=True):
        precision = _column(result, name, "ap_0.5")[number]
        panels.append(draw_found(picture, true, labels, f"{shown(name)}: average precision {precision:.2f}"))
    return f'<h3>{escape(title)}</h3>\n<div class="panels">{"".join(panels)}</div>'
