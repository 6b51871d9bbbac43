"""Scores of the classes of objects, as lines of text and as a JSON document."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowseg.metrics import Classification


def classes_as_table(scores: Classification) -> list[str]:
    """Return the F1 score of each class, and their mean, in lines of text."""
    n = int(scores.confusion.sum())
    width = max(map(len, scores.names), default=0)
    lines = [f"classes of {n} objects that match: macro F1 {scores.macro_f1:.3f}, accuracy {scores.accuracy:.3f}"]
    for name, score, number in zip(scores.names, scores.f1, scores.confusion.sum(axis=1), strict=True):
        lines.append(f"  {name:{width}}  F1 {'none' if np.isnan(score) else f'{score:.3f}'}  {number} objects")
    return lines


def classes_as_document(scores: Classification) -> dict[str, Any]:
    """Return the same as JSON values, with the counts by true and by predicted class."""
    return {
        "names": list(scores.names),
        "macro_f1": scores.macro_f1,
        "accuracy": scores.accuracy,
        "f1": [None if np.isnan(score) else float(score) for score in scores.f1],
        "confusion": scores.confusion.tolist(),
    }
