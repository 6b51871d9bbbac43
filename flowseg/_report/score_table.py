"""Scores as a table to read, and as a document with rounded numbers."""

from __future__ import annotations

from typing import Any

from flowseg._report.bootstrap import CONFIDENCE

# Decimals of numbers in a document.
DECIMALS = 4


def as_document(scores: Any) -> Any:
    """Return scores with numbers rounded to `DECIMALS`."""
    if isinstance(scores, dict):
        return {name: as_document(value) for name, value in scores.items()}
    if isinstance(scores, list):
        return [as_document(value) for value in scores]
    return round(scores, DECIMALS) if isinstance(scores, float) else scores


def as_table(scores: dict[str, Any]) -> str:
    """Return scores as lines of a table."""
    at_half = scores["at_0.5"]
    rows = [
        f"{scores['images']} images, {scores['true_objects']} true and {scores['predicted_objects']} predicted objects",
        "",
        "average precision at IoU  " + "".join(f"{t:>8g}" for t in scores["thresholds"]),
        *_table_rows("all objects (pooled)", "average_precision_pooled", scores),
        *_table_rows("mean over images", "average_precision_mean", scores),
        "",
        f"at IoU 0.5: precision {at_half['precision']:.3f}, recall {at_half['recall']:.3f}, F1 {at_half['f1']:.3f}, "
        f"panoptic quality {at_half['panoptic_quality']:.3f}",
        f"aggregated Jaccard {scores['aggregated_jaccard_mean']:.3f} (mean over images); "
        f"{scores['splits']} splits, {scores['merges']} merges",
    ]
    return "\n".join(rows)


def _table_rows(title: str, name: str, scores: dict[str, Any]) -> list[str]:
    lines = [(f"  {title}", scores[name])]
    if scores["intervals"]:
        low, high = zip(*scores["intervals"][name], strict=True)
        lines += [(f"    {CONFIDENCE:.0%} interval from", low), ("                 to", high)]
    return [f"{start:26}" + "".join(f"{value:8.3f}" for value in values) for start, values in lines]
