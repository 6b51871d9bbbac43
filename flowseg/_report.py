"""Scores of a whole set of masks, as plain values and as a table to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flowseg import metrics

THRESHOLDS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.9)


def score(true: Sequence[Any], predicted: Sequence[Any]) -> dict[str, Any]:
    """Everything `flowseg.metrics` says of pairs of label images."""
    matches = [metrics.match(a, b) for a, b in zip(true, predicted, strict=True)]
    errors = [metrics.splits_merges(a, b) for a, b in zip(true, predicted, strict=True)]
    tp, fp, fn = (sum(getattr(m, name) for m in matches) for name in ("tp", "fp", "fn"))
    jaccard = [metrics.aggregated_jaccard(a, b) for a, b in zip(true, predicted, strict=True)]
    pooled = metrics.average_precision(true, predicted, thresholds=THRESHOLDS)
    per_image = metrics.average_precision_per_image(true, predicted, thresholds=THRESHOLDS)
    return {
        "images": len(matches),
        "true_objects": tp + fn,
        "predicted_objects": tp + fp,
        "thresholds": list(THRESHOLDS),
        "average_precision_pooled": pooled.round(4).tolist(),
        "average_precision_mean": per_image.mean(axis=0).round(4).tolist(),
        "at_0.5": {
            "precision": round(tp / (tp + fp), 4) if tp + fp else float(tp + fn == 0),
            "recall": round(tp / (tp + fn), 4) if tp + fn else float(tp + fp == 0),
            "f1": round(2 * tp / (2 * tp + fp + fn), 4) if tp + fp + fn else 1.0,
            "panoptic_quality": round(_pooled_quality(matches), 4),
        },
        "aggregated_jaccard_mean": round(float(np.mean(jaccard)), 4),
        "splits": sum(e.splits for e in errors),
        "merges": sum(e.merges for e in errors),
    }


def _pooled_quality(matches: Sequence[metrics.Match]) -> float:
    whole = sum(m.tp + 0.5 * (m.fp + m.fn) for m in matches)
    return sum(float(m.pair_iou.sum()) for m in matches) / whole if whole else 1.0


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
