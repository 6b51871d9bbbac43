"""What the options of prediction gain and cost with the model that ships, and whether its scores can be believed.

python benchmarks/pretrained.py DATA --json benchmarks/pretrained.json [--docs docs]

Every image is predicted in every way, one after the other, so that a busy machine does not count in the ratios. On the
validation images, which chose the thresholds of the defaults, and on test images. ``--docs`` only writes table
and picture.
"""

import argparse
import csv
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "accuracy"))

from data import pack, read
from scores import SHOWN, difference, format_precision, format_thresholds, pooled, say_difference, score, write_results

from flowseg import FlowSegmenter, plot

MODEL = "nuclei"
SPLITS = {"validation": "validation images", "test": "test images"}
DEFAULTS = "defaults"
WAYS: dict[str, dict[str, Any]] = {
    DEFAULTS: {},
    "diameters not estimated": {"estimate_diameters": False},
    "all objects kept, whatever their score": {"score_threshold": None},
    "test-time augmentation": {"test_time_augmentation": True},
}


def measure(file: Path, split: str) -> dict[str, dict[str, Any]]:
    """Scores and seconds of every way, and of all objects the scores with whether they match."""
    images, true = read(file, split, "image"), read(file, split, "mask")
    with np.load(file) as arrays:
        groups = arrays[f"{split}/groups"]
    ways = {name: FlowSegmenter.from_pretrained(MODEL).set_params(**change) for name, change in WAYS.items()}
    found: dict[str, list[Any]] = {name: [] for name in ways}
    seconds = dict.fromkeys(ways, 0.0)
    for segmenter in ways.values():
        segmenter.predict(images[0])  # compiles
    for image in images:
        for name, segmenter in ways.items():
            start = time.perf_counter()
            found[name].append(segmenter.predict_objects(image))
            seconds[name] += time.perf_counter() - start
    results = {}
    for name, pairs in found.items():
        masks, objects = (list(part) for part in zip(*pairs, strict=True))
        result = plot.reliability(true, masks, objects)
        results[f"{split} | {name}"] = {
            "groups": groups.tolist(),
            "seconds": round(seconds[name], 2),
            "expected_calibration_error": round(result.expected_calibration_error, 4),
            "bins": {"n": result.counts.tolist(), "matched": result.matched.tolist()},
            "bin_scores": np.nan_to_num(result.mean_scores).round(4).tolist(),
            **score(true, masks, groups),
        }
    return results


def write_table(results: dict[str, Any], file: Path) -> None:
    """A row per way and split."""
    with open(file, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(
            ["", f"AP at IoU {format_thresholds(SHOWN)}", "gain at 0.5", "gain at 0.75", "gain at 0.9", "time", "ECE"]
        )
        for split, said in SPLITS.items():
            base = results[f"{split} | {DEFAULTS}"]
            for name in WAYS:
                result = results[f"{split} | {name}"]
                gains = [""] * len(SHOWN)
                if result is not base:
                    d = difference(result, base, np.array(result["groups"]))
                    gains = [say_difference(d, i) for i in SHOWN]
                reached = format_precision(pooled(result), SHOWN)
                times = f"{result['seconds'] / base['seconds']:.1f}"
                error = f"{result['expected_calibration_error']:.3f}"
                writer.writerow([f"{said}: {name}", reached, *gains, times, error])


def draw(results: dict[str, Any], file: Path) -> None:
    """Scores against the share that matches, on the test images, all objects kept."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    result = results[f"test | {list(WAYS)[2]}"]
    counts, matched = (np.array(result["bins"][name]) for name in ("n", "matched"))
    reliability = plot.Reliability(
        threshold=0.5,
        edges=np.arange(counts.size + 1) / counts.size,
        counts=counts,
        matched=matched,
        mean_scores=np.where(counts > 0, result["bin_scores"], np.nan),
    )
    figure, ax = plt.subplots(figsize=(4.0, 4.0), layout="constrained")
    plot.show_reliability(reliability, ax=ax)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def main() -> None:
    """Measure, or write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds dsb2018")
    parser.add_argument("--json", type=Path, required=True, help="results")
    parser.add_argument("--docs", type=Path, help="folder of the documentation, to write table and picture to")
    options = parser.parse_args()
    if options.docs:
        results = json.loads(options.json.read_text())
        write_table(results, options.docs / "tables" / "pretrained.csv")
        draw(results, options.docs / "images" / "reliability.png")
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "packed.npz"
        pack(options.data, "dsb2018", file)
        results = {}
        for split in SPLITS:
            results |= measure(file, split)
            write_results(results, options.json)


if __name__ == "__main__":
    main()
