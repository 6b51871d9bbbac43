"""What models still find in images that are lit otherwise, noisier or blurred.

python benchmarks/robustness.py DATA --json benchmarks/robustness.json --model ships=nuclei \
    [--model NAME=FILE ...] [--table docs/tables/robustness.csv]

The validation images of DSB 2018 are stretched so that their 1st and 99th percentiles are 0 and 1, then
changed. Each model predicts as it does by default. ``--table`` only writes what the JSON file holds.
"""

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).parent / "accuracy"))

from data import pack, read
from scores import SHOWN, format_precision, format_thresholds, pooled_precision, write_results

from flowseg import FlowSegmenter, load_segmenter, normalize

Image = NDArray[np.float32]
CHANGES: dict[str, Callable[[Image, np.random.Generator], Image]] = {
    "as they are": lambda image, _: image,
    "gamma 0.7": lambda image, _: np.copysign(np.abs(image) ** 0.7, image),
    "gamma 1.4": lambda image, _: np.copysign(np.abs(image) ** 1.4, image),
    "noise 0.05": lambda image, rng: image + np.float32(0.05) * rng.standard_normal(image.shape, np.float32),
    "noise 0.15": lambda image, rng: image + np.float32(0.15) * rng.standard_normal(image.shape, np.float32),
    "blur of 1 pixel": lambda image, _: ndimage.gaussian_filter(image, 1.0),
}


def measure(segmenter: FlowSegmenter, images: list[Image], true: list[np.ndarray]) -> dict[str, list[float]]:
    """Pooled average precision for every change."""
    results = {}
    for name, change in CHANGES.items():
        rng = np.random.default_rng(0)
        found = segmenter.predict([change(image, rng) for image in images])
        results[name] = pooled_precision(true, found)
    return results


def write_table(results: dict[str, dict[str, list[float]]], file: Path) -> None:
    """A row per change, a column per model."""
    with open(file, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([f"AP at IoU {format_thresholds(SHOWN)}", *results])
        for name in CHANGES:
            writer.writerow([name, *(format_precision(r[name], SHOWN) for r in results.values())])


def main() -> None:
    """Measure models, or write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds dsb2018")
    parser.add_argument("--json", type=Path, required=True, help="results; models that are not measured stay")
    parser.add_argument(
        "--model", action="append", default=[], metavar="NAME=FILE", help="a name that ships, or a file"
    )
    parser.add_argument("--table", type=Path, help="only write what the JSON file holds as a table (CSV)")
    options = parser.parse_args()
    results = json.loads(options.json.read_text()) if options.json.exists() else {}
    if options.table:
        write_table(results, options.table)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "packed.npz"
        pack(options.data, "dsb2018", file)
        images, true = read(file, "validation", "image"), read(file, "validation", "mask")
    images = [normalize(image) for image in images]
    for name, equals, model in (text.partition("=") for text in options.model):
        if not equals:
            parser.error(f"--model must be NAME=FILE; got {name}")
        is_file = Path(model).exists()
        segmenter = load_segmenter(model) if is_file else FlowSegmenter.from_pretrained(model)
        results[name] = measure(segmenter, images, true)
        write_results(results, options.json)


if __name__ == "__main__":
    main()
