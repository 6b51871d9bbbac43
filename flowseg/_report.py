"""Scores of a whole set of masks, as plain values and as a table to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flowseg import metrics

THRESHOLDS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.9)
AT_HALF = ("precision", "recall", "f1", "panoptic_quality")


def score(true: Sequence[Any], predicted: Sequence[Any]) -> dict[str, Any]:
    """Everything `flowseg.metrics` says of pairs of label images."""
    pairs = list(zip(true, predicted, strict=True))
    matches = [metrics.match(a, b) for a, b in pairs]
    errors = [metrics.splits_merges(a, b) for a, b in pairs]
    at_half = metrics.pool(matches)
    per_image = metrics.average_precision_per_image(true, predicted, thresholds=THRESHOLDS)
    return {
        "images": len(matches),
        "true_objects": at_half.tp + at_half.fn,
        "predicted_objects": at_half.tp + at_half.fp,
        "thresholds": list(THRESHOLDS),
        "average_precision_pooled": metrics.average_precision(true, predicted, thresholds=THRESHOLDS).round(4).tolist(),
        "average_precision_mean": per_image.mean(axis=0).round(4).tolist(),
        "at_0.5": {name: round(getattr(at_half, name), 4) for name in AT_HALF},
        "aggregated_jaccard_mean": round(float(np.mean([metrics.aggregated_jaccard(a, b) for a, b in pairs])), 4),
        "splits": sum(e.splits for e in errors),
        "merges": sum(e.merges for e in errors),
    }


def as_table(scores: dict[str, Any]) -> str:
    """Lines for people to read."""
    at_half = scores["at_0.5"]
    rows = [
        f"{scores['images']} images, {scores['true_objects']} true and {scores['predicted_objects']} predicted objects",
        "",
        "average precision at IoU  " + "".join(f"{t:>8g}" for t in scores["thresholds"]),
        "  all objects (pooled)    " + "".join(f"{v:8.3f}" for v in scores["average_precision_pooled"]),
        "  mean over images        " + "".join(f"{v:8.3f}" for v in scores["average_precision_mean"]),
        "",
        f"at IoU 0.5: precision {at_half['precision']:.3f}, recall {at_half['recall']:.3f}, F1 {at_half['f1']:.3f}, "
        f"panoptic quality {at_half['panoptic_quality']:.3f}",
        f"aggregated Jaccard {scores['aggregated_jaccard_mean']:.3f} (mean over images); "
        f"{scores['splits']} splits, {scores['merges']} merges",
    ]
    return "\n".join(rows)
