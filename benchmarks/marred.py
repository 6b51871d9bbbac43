"""What the pretrained model finds in images that are padded or partly saturated.

python benchmarks/marred.py DATA --json benchmarks/marred.json [--table docs/tables/marred.csv]

Six test images of DSB 2018, marred in the ways below. "Plain" are intensities stretched to the 1st
and 99th percentiles of all pixels, "default" what the model does. ``--table`` only writes what the JSON file holds.
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

from flowseg import FlowSegmenter

Array = NDArray[np.integer]
# Every STEP-th of the images of at most MOST_PIXELS.
STEP, N_IMAGES, MOST_PIXELS = 7, 6, 160_000
# Added to all intensities, as the offset of a camera, before they are padded.
OFFSET = 1000
WHITE = 65535


def frame(share: float, value: int) -> Callable[[Array], Array]:
    """Pad by a share of the rows; masks are padded with 0."""
    return lambda array: np.pad(array, round(share * len(array)), constant_values=value)


def strip(share: float, value: int) -> Callable[[Array], Array]:
    """Fill a share of the columns, on the right."""

    def change(array: Array) -> Array:
        filled = array.copy()
        filled[:, -max(1, round(share * array.shape[1])) :] = value
        return filled

    return change


def field(value: int) -> Callable[[Array], Array]:
    """Fill all outside the largest disk."""

    def change(array: Array) -> Array:
        middle = [(n - 1) / 2 for n in array.shape]
        distance = np.hypot(*(i - m for i, m in zip(np.indices(array.shape), middle, strict=True)))
        return np.where(distance < min(array.shape) / 2, array, value)

    return change


def turn(order: int) -> Callable[[Array], Array]:
    """Turn by 20 degrees; the corners are 0."""
    return lambda array: ndimage.rotate(array, 20, order=order)


# Name -> what becomes of an image and of its masks.
CHANGES: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "as they are": (lambda image: image, lambda masks: masks),
    "frame of zeros": (frame(0.5, 0), frame(0.5, 0)),
    "saturated strip, 2.5 %": (strip(0.025, WHITE), strip(0.025, 0)),
    "saturated strip, 0.5 %": (strip(0.005, WHITE), strip(0.005, 0)),
    "rotated, corners of zeros": (turn(1), turn(0)),
    "round field": (field(0), field(0)),
    "white frame": (frame(0.5, WHITE), frame(0.5, 0)),
}
MOSAIC = "mosaic in zeros"


def make_mosaic(arrays: list[Array], *, number: bool) -> Array:
    """Two rows of three in a frame of zeros; with ``number`` the labels of each go on from the one before."""
    rows, columns = (max(a.shape[axis] for a in arrays) + 20 for axis in (0, 1))
    mosaic = np.zeros((2 * rows, 3 * columns), dtype=np.int64)
    for k, array in enumerate(arrays):
        row, column = k // 3 * rows + 10, k % 3 * columns + 10
        place = mosaic[row : row + array.shape[0], column : column + array.shape[1]]
        place[...] = np.where(array > 0, array + (mosaic.max() if number else 0), 0)
    return mosaic


def measure(segmenter: FlowSegmenter, images: list[Array], true: list[Array]) -> dict[str, list[float]]:
    """Pooled average precision with plain percentiles and by default."""
    default = segmenter.predict(images)
    segmenter.set_params(normalize=None)
    plain = segmenter.predict([stretch(image) for image in images])
    segmenter.set_params(normalize=("percentiles", 1.0, 99.0))
    return {"plain": pooled_precision(true, plain), "default": pooled_precision(true, default)}


def stretch(image: Array) -> NDArray[np.float64]:
    """The 1st and 99th percentile of all pixels become 0 and 1."""
    low, high = np.percentile(image, [1, 99])
    return (image - low) / (high - low)


def write_table(results: dict[str, dict[str, list[float]]], file: Path) -> None:
    """A row per change."""
    with open(file, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([f"AP at IoU {format_thresholds(SHOWN)}", "plain percentiles", "default"])
        for name, result in results.items():
            writer.writerow([name, *(format_precision(result[key], SHOWN) for key in ("plain", "default"))])


def main() -> None:
    """Measure, or write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds dsb2018")
    parser.add_argument("--json", type=Path, required=True, help="results; those that it holds are not made again")
    parser.add_argument("--table", type=Path, help="only write what the JSON file holds as a table (CSV)")
    options = parser.parse_args()
    results = json.loads(options.json.read_text()) if options.json.exists() else {}
    if options.table:
        write_table(results, options.table)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "packed.npz"
        pack(options.data, "dsb2018", file)
        pairs = zip(read(file, "test", "image"), read(file, "test", "mask"), strict=True)
        chosen = [pair for pair in pairs if pair[0].size <= MOST_PIXELS][::STEP][:N_IMAGES]
    images, true = [image.astype(np.uint16) + OFFSET for image, _ in chosen], [masks for _, masks in chosen]
    segmenter = FlowSegmenter.from_pretrained("nuclei")
    if MOSAIC not in results:
        results[MOSAIC] = measure(segmenter, [make_mosaic(images, number=False)], [make_mosaic(true, number=True)])
        write_results(results, options.json)
    for name, (change, change_masks) in CHANGES.items():
        if name not in results:
            results[name] = measure(segmenter, [change(x) for x in images], [change_masks(y) for y in true])
            write_results(results, options.json)


if __name__ == "__main__":
    main()
