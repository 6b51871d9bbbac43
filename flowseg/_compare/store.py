"""Results of trials in a folder, so that an interrupted comparison continues where it was."""

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

KEY = "flowseg_comparison"


@dataclass(frozen=True, eq=False)
class TrialResult:
    """What a segmenter found in test images, and how long it took."""

    masks: list[NDArray[np.int32]]
    training_seconds: float
    prediction_seconds: float


class Store:
    """The folder of a comparison or of a learning curve.

    Parameters
    ----------
    folder : Path
        Where results are kept; it must exist.
    plan : mapping of str
        What `Plan.describe` returns.
    kind : {"comparison", "learning curve"}
        What it is the folder of.

    Raises
    ------
    ValueError
        If the folder holds the results of another one.
    """

    def __init__(self, folder: Path, plan: Mapping[str, str], kind: str) -> None:
        self.folder = folder
        self.kind = kind
        file = folder / f"{kind.replace(' ', '-')}-plan.json"
        if not file.exists():
            text = json.dumps(plan, indent=1) + "\n"
            write_atomically(file, lambda beside: beside.write_text(text, encoding="ascii"))
            return
        stored = StoredFile(file, f"plan of a {kind}")
        with stored.parsing(UnicodeDecodeError):
            known = read_strictly(stored.read_bytes().decode("utf-8"), stored.invalid)
        if not isinstance(known, dict):
            raise stored.invalid("no JSON object")
        other = next((name for name in {**plan, **known} if plan.get(name) != known.get(name)), None)
        if other is not None:
            raise ValueError(
                f"{folder} must be a new folder or hold results of the same {kind}; the {other} "
                f"{'are' if other.endswith('s') else 'is'} not the same."
            )

    def read(self, key: str) -> TrialResult | None:
        """Return the result of a trial; None if there is none yet."""
        file = self._file(key)
        if not file.exists():
            return None
        stored = StoredFile(file, f"result of a {self.kind}")
        with stored.parsing(), safe_open(file, framework="numpy") as opened:
            times = read_strictly(opened.metadata()[KEY], stored.invalid)
            masks = [opened.get_tensor(str(k)).astype(np.int32) for k in range(len(opened.keys()))]
            return TrialResult(masks, float(times["training"]), float(times["prediction"]))

    def write(self, key: str, result: TrialResult) -> None:
        """Keep a result."""
        times = json.dumps({"training": result.training_seconds, "prediction": result.prediction_seconds})
        tensors = {str(k): _narrow(labels) for k, labels in enumerate(result.masks)}
        write_safetensors(self._file(key), tensors, {KEY: times})

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"


def _narrow(labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels in two bytes each where they fit."""
    dtype = np.uint16 if labels.max(initial=0) <= np.iinfo(np.uint16).max else np.int32
    return np.ascontiguousarray(labels, dtype=dtype)
