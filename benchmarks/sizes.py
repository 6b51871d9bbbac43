"""Objects from 8 to 300 pixels across: what the model that ships finds if their size is given, and if it is not.

python benchmarks/sizes.py DATA --json benchmarks/sizes.json [--table docs/tables/sizes.csv]

Validation images of DSB 2018, cut to eight of their objects' diameters and resized so that the median
diameter is the wanted one. ``--table`` only writes what the JSON file holds.
"""

import argparse
import csv
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

sys.path.insert(0, str(Path(__file__).parent / "accuracy"))

from data import pack, read
from scores import SHOWN, format_precision, format_thresholds, pooled_precision, write_results

from flowseg import FlowSegmenter, diameters

SIZES = (8, 12, 17, 24, 48, 94, 150, 300)

# Diameters across a cut-out, the least objects in it, and of how many such images one is taken: each passes through
# the network some twenty times, the largest at more than 20 megapixels.
ACROSS = 8
LEAST_OBJECTS = 5
EVERY = 3

# Below this much there is no outline left to enlarge.
LEAST_DIAMETER = 12.0

Pair = tuple[NDArray[Any], NDArray[Any]]


def cut_outs(file: Path) -> list[Pair]:
    """Images with masks, few objects in each."""
    pairs = []
    for image, masks in zip(read(file, "validation", "image"), read(file, "validation", "mask"), strict=True):
        side = round(ACROSS * np.median(diameters(masks))) if masks.any() else 0
        part = masks[:side, :side]
        if np.unique(part).size > LEAST_OBJECTS and np.median(diameters(part)) >= LEAST_DIAMETER:
            pairs.append((image[:side, :side], part))
    return pairs[::EVERY]


def resized(pair: Pair, diameter: float) -> Pair:
    """An image and its masks with objects of this median diameter."""
    image, masks = pair
    factor = diameter / np.median(diameters(masks))
    shape = tuple(round(n * factor) for n in masks.shape)
    image = resize(image.astype(np.float32), shape, order=1, anti_aliasing=factor < 1)
    return image, resize(masks, shape, order=0, anti_aliasing=False, preserve_range=True).astype(masks.dtype)


def measure(segmenter: FlowSegmenter, pairs: list[Pair], diameter: float) -> dict[str, list[float]]:
    """Pooled average precision with the diameter given, by default, and estimated."""
    images, true = zip(*[resized(pair, diameter) for pair in pairs], strict=True)
    result = {}
    for name, given in (("given", diameter), ("default", None), ("estimated", "estimate")):
        found = segmenter.predict(list(images), diameters=given)
        result[name] = pooled_precision(true, found)
    return result


def write_table(results: dict[str, dict[str, list[float]]], file: Path) -> None:
    """A row per size, a column per way."""
    with open(file, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([f"pixels across; AP at IoU {format_thresholds(SHOWN)}", *next(iter(results.values()))])
        for size, ways in results.items():
            writer.writerow([size, *(format_precision(values, SHOWN) for values in ways.values())])


def main() -> None:
    """Measure sizes that the JSON file does not hold, or write what it holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds dsb2018")
    parser.add_argument("--json", type=Path, required=True, help="results, kept after every size")
    parser.add_argument("--table", type=Path, help="only write what the JSON file holds as a table (CSV)")
    options = parser.parse_args()
    results = json.loads(options.json.read_text()) if options.json.exists() else {}
    if options.table:
        write_table(results, options.table)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "packed.npz"
        pack(options.data, "dsb2018", file)
        pairs = cut_outs(file)
    segmenter = FlowSegmenter.from_pretrained("nuclei")
    for size in SIZES:
        if str(size) not in results:
            results[str(size)] = measure(segmenter, pairs, size)
            write_results(results, options.json)
            print(size, results[str(size)], flush=True)
    print(f"{len(pairs)} images with {sum(np.unique(m).size - 1 for _, m in pairs)} objects")


if __name__ == "__main__":
    main()
