"""What the scripts of all tools share; they run in environments of their own that have NumPy in common.

use_TOOL.py train DATA FOLDER KIND SECONDS SEED
use_TOOL.py predict DATA FOLDER WAY OUTPUT
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Spacing = tuple[float, ...] | None
Train = Callable[[str, Path, str, float, int], dict[str, Any]]
Load = Callable[[Path, str, Spacing], Callable[[np.ndarray], np.ndarray]]

# Seconds. A shorter prediction is made twice and the second one counts: compiling is not what is measured.
SHORT = 60.0


def read(file: str, split: str, kinds: tuple[str, str] = ("image", "mask")) -> tuple[list[np.ndarray], ...]:
    """Images and masks of a split, or planes and their masks."""
    with np.load(file) as arrays:
        names = sorted(arrays.files)
        return tuple([arrays[n] for n in names if n.startswith(f"{split}/{kind}/")] for kind in kinds)


def read_planes(file: str, split: str) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Planes, their masks, and how often to repeat each so that all orientations have the same share."""
    planes, masks = read(file, split, ("plane", "plane_mask"))
    with np.load(file) as arrays:
        return planes, masks, arrays[f"{split}/plane_repeats"]


def read_spacing(file: str) -> Spacing:
    """Spacing that the tools are given, or None."""
    with np.load(file) as arrays:
        return tuple(float(s) for s in arrays["spacing"]) or None


def peak_mib() -> int | None:
    """Peak memory of this process (Linux); that of ``resource`` may be the parent's."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((round(int(line.split()[1]) / 1024) for line in lines if line.startswith("VmHWM:")), None)


def _time(segment: Callable[[np.ndarray], np.ndarray], volume: np.ndarray) -> tuple[np.ndarray, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    masks = segment(volume)
    return masks, time.perf_counter() - wall, time.process_time() - cpu


def _predict(load: Load, data: str, folder: Path, way: str, output: str) -> dict[str, Any]:
    segment = load(folder, way, read_spacing(data))
    found, wall, cpu, n = {}, 0.0, 0.0, 0
    for i, volume in enumerate(read(data, "test")[0]):
        timed = _time(segment, volume)
        timed = _time(segment, volume) if timed[1] < SHORT else timed
        found[f"{i:04d}"] = timed[0].astype(np.int32)
        wall, cpu, n = wall + timed[1], cpu + timed[2], n + volume.size
    np.savez_compressed(output, **found)
    mega = n / 1e6
    return {"seconds_per_megavoxel": round(wall / mega, 2), "cpu_seconds_per_megavoxel": round(cpu / mega, 2)}


def main(train: Train, load: Load) -> None:
    """Train, or load and predict, as the command line says; the last line of the output is what was measured."""
    step, data, folder, kind, *rest = sys.argv[1:]
    if step == "train":
        found = train(data, Path(folder), kind, float(rest[0]), int(rest[1]))
        print(json.dumps(found | {"cpu_seconds": round(time.process_time()), "train_peak_mib": peak_mib()}))
    else:
        found = _predict(load, data, Path(folder), kind, rest[0])
        print(json.dumps(found | {"predict_peak_mib": peak_mib()}))
