"""A comparison as lines to read and as a document, and how such answers are reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowseg._compare.differences import THRESHOLDS
from flowseg._nets.durations import format_duration
from flowseg._report.score_table import as_document
from flowseg._system.files import write_atomically
from flowseg.cli._shared.terminal import print_json, print_lines

if TYPE_CHECKING:
    from flowseg import Comparison

# IoU of the scores, as the keys of a document.
IOU_NAMES = tuple(f"{threshold:g}" for threshold in THRESHOLDS)


def describe_comparison(result: Comparison) -> dict[str, Any]:
    """Return the document of ``--json``."""
    segmenters = [
        {
            "name": one.name,
            "way": one.way,
            "average_precision": by_iou(one.precision),
            "interval": by_iou(one.interval),
            "training_seconds": one.training_seconds,
            "prediction_seconds": one.prediction_seconds,
        }
        for one in result.summary
    ]
    pairs = [
        {
            "first": pair.first,
            "second": pair.second,
            "difference": by_iou(pair.difference),
            "interval": by_iou(pair.interval),
            "wins": pair.wins,
            "losses": pair.losses,
            "ties": pair.ties,
        }
        for pair in result.pairs
    ]
    parts = {"segmenters": segmenters, "pairs": pairs, "per_image": as_rows(result.per_image)}
    scores: dict[str, Any] = as_document(parts)
    return {"command": "compare", "answer": result.sentence, "remarks": list(result.remarks)} | scores


def as_rows(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Return the rows of a table."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def by_iou(values: Any) -> dict[str, Any]:
    """Return values at the IoU of the scores by these."""
    return dict(zip(IOU_NAMES, values.tolist(), strict=True))


def as_lines(result: Comparison) -> list[str]:
    """Return the answer, and a table of the segmenters with 95 % intervals at IoU 0.5."""
    width = max(len(one.name) for one in result.summary)
    lines = [result.sentence, *result.remarks, "", f"{'':{width}}  " + "".join(f"IoU {t:<6}" for t in IOU_NAMES)]
    for one in result.summary:
        values = "".join(f"{value:<10.3f}" for value in one.precision)
        trained = f"training {format_duration(one.training_seconds)}, " if one.training_seconds else ""
        lines.append(f"{one.name:{width}}  {values}{trained}prediction {format_duration(one.prediction_seconds)}")
    return lines


def report_answer(document: dict[str, Any], lines: list[str], page: Path, *, as_json: bool) -> None:
    """Write the document beside the page, and print it or the lines."""
    text = json.dumps(document, indent=1) + "\n"
    write_atomically(page.with_suffix(".json"), lambda beside: beside.write_text(text, encoding="ascii"))
    if as_json:
        print_json(document)
    else:
        print_lines(*lines, "", f"page: {page}")
