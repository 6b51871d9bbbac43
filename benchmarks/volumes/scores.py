"""The scorer, the same for all tools, and the table."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

import flowseg
from flowseg import metrics

THRESHOLDS = (0.3, 0.5, 0.75)


def score(true: list[np.ndarray], found: list[np.ndarray]) -> dict[str, Any]:
    """Average precision pooled over the objects of all volumes, splits, merges, counts at each threshold."""
    pooled = [
        metrics.pool([metrics.match(a, b, threshold=t) for a, b in zip(true, found, strict=True)]) for t in THRESHOLDS
    ]
    errors = [metrics.splits_merges(a, b) for a, b in zip(true, found, strict=True)]
    return {
        "thresholds": list(THRESHOLDS),
        "pooled": [round(m.average_precision, 4) for m in pooled],
        "mean_iou": round(float(pooled[0].iou.mean()), 4),  # best IoU of each true object
        "splits": sum(e.splits for e in errors),
        "merges": sum(e.merges for e in errors),
        "counts": [[m.tp, m.fp, m.fn] for m in pooled],
    }


def ceiling(true: list[np.ndarray]) -> list[np.ndarray]:
    """What the true masks become on the way through flows and back: the best that any network could do."""
    positive = [np.maximum(m, 0) for m in true]
    return [flowseg.flows_to_masks(flowseg.masks_to_flows(m), np.where(m > 0, 5.0, -5.0)) for m in positive]


def write_results(results: dict[str, Any], file: Path) -> None:
    """JSON, a line per result."""
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in results.items()]
    beside = file.with_suffix(".part")
    beside.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    beside.replace(file)


def write_table(results: dict[str, Any], file: Path) -> None:
    """CSV for the documentation, in the order of the results."""
    with open(file, "w", newline="") as opened:
        table = csv.writer(opened, lineterminator="\n")
        table.writerow(
            ["Volumes", "Method", *(f"AP at {t:g}" for t in THRESHOLDS), "Splits", "Merges", "Seconds per megavoxel",
             "Peak memory (GiB)", "Training (min)", "Steps"]
        )  # fmt: skip
        for result in results.values():
            peak = [result[name] for name in ("train_peak_mib", "predict_peak_mib") if result.get(name)]
            trained, speed = result.get("train_seconds"), result.get("seconds_per_megavoxel")
            table.writerow([
                result["set"], result["method"], *(f"{p:.3f}" for p in result["pooled"]), result["splits"],
                result["merges"], "" if speed is None else f"{speed:.1f}", " / ".join(f"{m / 1024:.1f}" for m in peak),
                "" if trained is None else f"{trained / 60:.1f}", result.get("steps", ""),
            ])  # fmt: skip
