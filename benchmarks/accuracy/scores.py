"""The scorer, the same for all tools."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from data import folds

import flowseg
from flowseg import metrics

THRESHOLDS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.9)
N_BOOTSTRAP = 1000

# Where in these the ones stand that most tables show.
SHOWN = [THRESHOLDS.index(t) for t in (0.5, 0.75, 0.9)]


def count(true: np.ndarray, found: np.ndarray) -> list[list[int]]:
    """True positives, false positives, false negatives of one image at each threshold."""
    matches = [metrics.match(true, found, threshold=t) for t in THRESHOLDS]
    return [[m.tp, m.fp, m.fn] for m in matches]


def precision(counts: np.ndarray) -> np.ndarray:
    """Pooled TP / (TP + FP + FN) at each threshold; ``counts`` has shape (images, thresholds, 3)."""
    total = counts.sum(axis=0)
    return total[:, 0] / np.maximum(total.sum(axis=1), 1)


def pooled(result: dict[str, Any]) -> np.ndarray:
    """Pooled average precision of a result, of its counts: what is stored is rounded, and would be rounded twice."""
    return precision(np.array(result["counts"]))


def pooled_precision(true: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> list[float]:
    """That of some images, without all the rest that `score` gives."""
    return precision(np.array([count(a, b) for a, b in zip(true, found, strict=True)])).round(4).tolist()


def score(true: list[np.ndarray], found: list[np.ndarray], groups: np.ndarray) -> dict[str, Any]:
    """Pooled average precision with its 95 % interval, mean over images, F1, splits, merges, counts per image."""
    counts = np.array([count(a, b) for a, b in zip(true, found, strict=True)])
    drawn = np.array([precision(counts[sample]) for sample in folds(groups, N_BOOTSTRAP, seed=0)])
    tp, fp, fn = counts.sum(axis=0)[0]
    errors = [metrics.splits_merges(a, b) for a, b in zip(true, found, strict=True)]
    per_image = metrics.average_precision_per_image(true, found, thresholds=THRESHOLDS)
    return {
        "thresholds": list(THRESHOLDS),
        "pooled": precision(counts).round(4).tolist(),
        "low": np.quantile(drawn, 0.025, axis=0).round(4).tolist(),
        "high": np.quantile(drawn, 0.975, axis=0).round(4).tolist(),
        "mean": per_image.mean(axis=0).round(4).tolist(),
        "f1": round(float(2 * tp / max(2 * tp + fp + fn, 1)), 4),
        "splits": sum(e.splits for e in errors),
        "merges": sum(e.merges for e in errors),
        "counts": counts.tolist(),
    }


def difference(a: dict[str, Any], b: dict[str, Any], groups: np.ndarray) -> dict[str, list[float]]:
    """Pooled average precision of ``a`` less that of ``b``, and the 95 % interval, over the same drawn fields."""
    first, second = np.array(a["counts"]), np.array(b["counts"])
    drawn = np.array([precision(first[s]) - precision(second[s]) for s in folds(groups, N_BOOTSTRAP, seed=0)])
    return {
        "difference": (precision(first) - precision(second)).tolist(),
        "low": np.quantile(drawn, 0.025, axis=0).tolist(),
        "high": np.quantile(drawn, 0.975, axis=0).tolist(),
    }


def format_thresholds(at: Sequence[int]) -> str:
    """Some of the thresholds, for the head of a column of `format_precision`."""
    return " / ".join(f"{THRESHOLDS[i]:g}" for i in at)


def format_precision(values: Sequence[float] | np.ndarray, at: Sequence[int]) -> str:
    """Average precision at some of the thresholds."""
    return " / ".join(f"{values[i]:.3f}" for i in at)


def say_difference(found: dict[str, list[float]], i: int) -> str:
    """What `difference` found at one threshold, with its interval."""
    return f"{found['difference'][i]:+.3f} ({found['low'][i]:+.3f} to {found['high'][i]:+.3f})"


def ceiling(true: list[np.ndarray]) -> list[np.ndarray]:
    """What the true masks become on the way through flows and back: the best that any network could do."""
    return [flowseg.flows_to_masks(flowseg.masks_to_flows(m), np.where(m > 0, 5.0, -5.0)) for m in true]


def write_results(results: dict[str, Any], file: Path) -> None:
    """JSON, a line per result."""
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in results.items()]
    beside = file.with_suffix(".part")
    beside.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    beside.replace(file)
