"""How often the model that ships warns that an image is unlike its training images.

python benchmarks/unlike.py DATA --json benchmarks/unlike.json [--split test_open] [--table docs/tables/unlike.csv]

Images of the split of DSB 2018 as they are, inverted, three times larger or smaller while the diameter that is given
stays, stained tissue as gray images, and images of background and noise without objects; then sets of other
microscopes. All statistics go to the JSON file; ``--table`` only writes what it holds. ``--ranges MODEL`` learns the
ranges from the validation images as `fit` does, and writes them into a model file without touching its weights.
"""

import argparse
import csv
import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from scipy import ndimage

from flowseg import FlowSegmenter, io, normalize
from flowseg._segmenters.likeness.image_check import ImageCheck
from flowseg._segmenters.likeness.ranges import learn_ranges
from flowseg._segmenters.model_files.reading import read_document
from flowseg._segmenters.model_files.writing import write_document
from flowseg._segmenters.pipeline import pipeline_of

Image = NDArray[np.generic]
MAGNIFICATION = 3
# Rows and columns of an image that are shown larger: of a microscope with a stronger objective, too, the camera stays.
LEAST_PART = 128
SIDE = 256
GRAY = (0.2125, 0.7154, 0.0721)  # weights of red, green and blue
OTHERS = ("aitslab", "coelho2009_nuclei", "bacteria_omnipose", "dsb2018_brightfield")
N_EMPTY = 40
N_OTHERS = 20


def rows_of(data: Path, name: str, split: str | None) -> list[dict[str, str]]:
    """Rows of a set's table, with the paths of images and masks."""
    with open(data / name / "samples.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    chosen = [row for row in rows if split is None or row["split"] == split]
    return [row | {kind: str(data / name / row[kind]) for kind in ("image", "label")} for row in chosen]


def gray(image: Image) -> Image:
    """One channel."""
    return image if image.ndim == 2 else np.rint(image[..., :3] @ np.array(GRAY)).astype(image.dtype)


def resize(image: Image, factor: float) -> Image:
    """Resized, as a microscope of another magnification shows it; 8 bits."""
    values = image.astype(np.float32)
    if factor < 1:
        values = ndimage.uniform_filter(values, round(1 / factor))
    return np.clip(np.rint(ndimage.zoom(values, factor, order=1)), 0, 255).astype(np.uint8)


def part(image: Image, masks: Image) -> Image:
    """The part with the most objects."""
    sides = [min(n, max(LEAST_PART, n // MAGNIFICATION)) for n in image.shape]
    starts = [(i, j) for i in range(0, image.shape[0] - sides[0] + 1, 32) for j in range(0, image.shape[1] - sides[1] + 1, 32)]
    places = [np.s_[i : i + sides[0], j : j + sides[1]] for i, j in starts]
    return image[max(places, key=lambda place: np.unique(masks[place]).size)]


def empty(image: Image, number: int, seed: int) -> Image:
    """Background at the level of an image with noise of a kind, no objects."""
    rng, level = np.random.default_rng(seed + number), max(float(np.percentile(image, 20)), 8.0)
    shape = (SIDE, SIDE)
    distance = np.hypot(*(np.mgrid[:SIDE, :SIDE] / SIDE - rng.random(2)[:, None, None]))
    smooth = ndimage.gaussian_filter(rng.standard_normal(shape), 1.0, mode="wrap")
    kinds = (
        rng.normal(level, 3, shape),
        rng.poisson(level, shape),
        rng.poisson(level * (1.5 - 0.7 * distance)),
        level + 3 * smooth / smooth.std(),
    )
    return np.clip(np.rint(kinds[number % len(kinds)]), 0, 255).astype(np.uint8)


def images_of(data: Path, split: str) -> Iterator[tuple[str, Image, float | None]]:
    """Kind, image, and the diameter that is given."""
    rows = rows_of(data, "dsb2018", split)
    images = [io.read_image(row["image"]) for row in rows]
    sizes = [float(row["median_diameter"]) for row in rows]
    for image in images:
        yield "as they are", image, None
    for image, size in zip(images, sizes, strict=True):
        yield "three times smaller", resize(image, 1 / MAGNIFICATION), size
    for row, image, size in zip(rows, images, sizes, strict=True):
        yield "three times larger", resize(part(image, io.read_masks(row["label"])), MAGNIFICATION), size
    for row in rows_of(data, "dsb2018_histology", split):
        yield "stained tissue", gray(io.read_image(row["image"], keep_color=True)), None
    for image in images:
        yield "inverted", image.max() - image, None
    seed = 1000 * (split == "test_open")
    for number in range(N_EMPTY):
        yield "empty", empty(images[number % len(images)], number, seed), None
    if split == "test_open":
        for name in OTHERS:
            for row in rows_of(data, name, None)[:: max(1, len(rows_of(data, name, None)) // N_OTHERS)]:
                if row.get("target", "nuclei") == "nuclei":
                    yield f"{name}", gray(io.read_image(row["image"])), None


def measure(segmenter: FlowSegmenter, data: Path, split: str, file: Path) -> None:
    """Write the statistics of every image to the JSON file."""
    results = json.loads(file.read_text()) if file.exists() else {}
    pipeline = pipeline_of(segmenter)
    found: dict[str, list[dict[str, float]]] = {}
    for kind, image, size in images_of(data, split):
        outputs = pipeline.run(image, size)
        masks = pipeline.decode(outputs)
        check = ImageCheck(pipeline.fitted.least_sharpness, None, pipeline.statistics)
        check.look(image, outputs, masks)
        noise = {"noise": float(bool(check.sentences()))}
        found.setdefault(kind, []).append(pipeline.statistics(image, outputs, masks) | noise)
        results[split] = found
        file.write_text(json.dumps(results, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--split", default="test_open")
    options = parser.parse_args()
    measure(FlowSegmenter.from_pretrained("nuclei"), options.data, options.split, options.json)


if __name__ == "__main__":
    main()
