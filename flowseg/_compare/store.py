"""Results of folds in a folder, so that an interrupted comparison continues where it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from flowseg._system.files import write_atomically, write_safetensors
from flowseg._system.invalid_file import StoredFile
from flowseg._system.strict_json import read_strictly

PLAN_NAME = "comparison-plan.json"
KEY = "flowseg_comparison"


@dataclass(frozen=True, eq=False)
class FoldResult:
    """What a segmenter found in the test images of a fold, and how long it took."""

    masks: list[NDArray[np.int32]]
    training_seconds: float
    prediction_seconds: float


class Store:
    """The folder of a comparison.

    Parameters
    ----------
    folder : Path
        Where results are kept; it must exist.
    plan : mapping of str
        What `Plan.describe` returns.

    Raises
    ------
    ValueError
        If the folder holds the results of another comparison.
    """

    def __init__(self, folder: Path, plan: Mapping[str, str]) -> None:
        self.folder = folder
        file = folder / PLAN_NAME
        if not file.exists():
            text = json.dumps(plan, indent=1) + "\n"
            write_atomically(file, lambda beside: beside.write_text(text, encoding="ascii"))
            return
        stored = StoredFile(file, "plan of a comparison")
        with stored.parsing(UnicodeDecodeError):
            known = read_strictly(stored.read_bytes().decode("utf-8"), stored.invalid)
        if not isinstance(known, dict):
            raise stored.invalid("no JSON object")
        other = next((name for name in {**plan, **known} if plan.get(name) != known.get(name)), None)
        if other is not None:
            raise ValueError(
                f"{folder} must be a new folder or hold results of the same comparison; the {other} "
                f"{'are' if other.endswith('s') else 'is'} not the same."
            )

    def read(self, fold: int, candidate: int) -> FoldResult | None:
        """Return the result of a segmenter in a fold; None if there is none yet."""
        file = self._file(fold, candidate)
        if not file.exists():
            return None
        stored = StoredFile(file, "result of a comparison")
        with stored.parsing(), safe_open(file, framework="numpy") as opened:
            times = read_strictly(opened.metadata()[KEY], stored.invalid)
            masks = [opened.get_tensor(str(k)).astype(np.int32) for k in range(len(opened.keys()))]
            return FoldResult(masks, float(times["training"]), float(times["prediction"]))

    def write(self, fold: int, candidate: int, result: FoldResult) -> None:
        """Keep a result."""
        times = json.dumps({"training": result.training_seconds, "prediction": result.prediction_seconds})
        tensors = {str(k): _narrow(labels) for k, labels in enumerate(result.masks)}
        write_safetensors(self._file(fold, candidate), tensors, {KEY: times})

    def _file(self, fold: int, candidate: int) -> Path:
        return self.folder / f"fold-{fold + 1}-segmenter-{candidate + 1}.safetensors"


def _narrow(labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels in two bytes each where they fit."""
    dtype = np.uint16 if labels.max(initial=0) <= np.iinfo(np.uint16).max else np.int32
    return np.ascontiguousarray(labels, dtype=dtype)
