"""How often the model that ships warns that an image is unlike its training images.

python benchmarks/unlike.py DATA --json benchmarks/unlike.json [--split val | test_open]
python benchmarks/unlike.py --json benchmarks/unlike.json --table docs/tables/unlike.csv

Images of a split of DSB 2018 as they are, inverted, and three times larger or smaller while the diameter that is given
stays; stained tissue as gray images; background and noise without objects. With test_open also images of other sets.
The statistics of all images go to the JSON file, and ``--table`` judges them by the ranges of the model.
"""

import argparse
import csv
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flowseg import FlowSegmenter, io
from flowseg._segmenters.likeness.image_check import ImageCheck
from flowseg._segmenters.pipeline import pipeline_of

Image = NDArray[np.generic]
MAGNIFICATION = 3
# Rows and columns of an image that are shown larger: of a microscope with a stronger objective, too, the camera stays.
LEAST_PART, STEP = 128, 32
SIDE = 256
GRAY = (0.2125, 0.7154, 0.0721)  # weights of red, green and blue
OTHERS = ("aitslab", "coelho2009_nuclei", "bacteria_omnipose", "dsb2018_brightfield")
N_EMPTY = 20
N_OTHERS = 5
NOISE = "noise"  # in the place of a statistic: the warning of objects that look like noise


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
    rows, columns = (range(0, n - side + 1, STEP) for n, side in zip(image.shape, sides, strict=True))
    places = [np.s_[i : i + sides[0], j : j + sides[1]] for i in rows for j in columns]
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
    for image in images[::2]:  # the network is slow where it finds objects everywhere
        yield "inverted", image.max() - image, None
    seed = 1000 * (split == "test_open")
    for number in range(N_EMPTY):
        yield "empty", empty(images[number % len(images)], number, seed), None
    if split == "test_open":
        yield from images_of_others(data)


def images_of_others(data: Path) -> Iterator[tuple[str, Image, None]]:
    """Some images of other sets."""
    for name in OTHERS:
        rows = [row for row in rows_of(data, name, None) if row.get("target", "nuclei") == "nuclei"]
        for row in rows[:: max(1, len(rows) // N_OTHERS)]:
            yield name, gray(io.read_image(row["image"])), None


def measure(segmenter: FlowSegmenter, data: Path, split: str) -> dict[str, list[dict[str, float]]]:
    """Statistics of the images of every kind, and whether their objects look like noise."""
    pipeline = pipeline_of(segmenter)
    found: dict[str, list[dict[str, float]]] = {}
    for kind, image, size in images_of(data, split):
        outputs = pipeline.run(image, size)
        masks = pipeline.decode(outputs)
        noise = ImageCheck(pipeline.fitted.least_sharpness, None, pipeline.statistics)
        noise.look(image, outputs, masks)
        statistics = pipeline.statistics(image, outputs, masks)
        found.setdefault(kind, []).append(statistics | {NOISE: float(bool(noise.sentences()))})
    return found


def write_table(results: dict[str, dict[str, list[dict[str, float]]]], segmenter: FlowSegmenter, file: Path) -> None:
    """A row per kind: images, those with a warning, and what the warnings name."""
    ranges = segmenter.fitted_.ranges
    with open(file, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["images", "number", "with a warning", "share", "warnings name"])
        for split, kinds in results.items():
            for kind, images in kinds.items():
                outliers = [ranges.find_outlier(statistics) for statistics in images]
                named = Counter(
                    NOISE if statistics[NOISE] else outlier.name.replace("_", " ")
                    for statistics, outlier in zip(images, outliers, strict=True)
                    if statistics[NOISE] or outlier.is_unlike
                )
                n, words = named.total(), ", ".join(f"{name} {count}" for name, count in named.most_common())
                writer.writerow([f"{split}: {kind}", len(images), n, f"{n / len(images):.0%}", words])


def main() -> None:
    """Measure, or write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", help="folder that holds dsb2018")
    parser.add_argument("--json", type=Path, required=True, help="results; splits that are not measured stay")
    parser.add_argument("--split", choices=("val", "test_open"), default="test_open")
    parser.add_argument("--table", type=Path, help="only write what the JSON file holds as a table (CSV)")
    options = parser.parse_args()
    segmenter = FlowSegmenter.from_pretrained("nuclei")
    results = json.loads(options.json.read_text()) if options.json.exists() else {}
    if options.table:
        write_table(results, segmenter, options.table)
    elif options.data is None:
        parser.error("DATA must be given to measure")
    else:
        results[options.split] = measure(segmenter, options.data, options.split)
        options.json.write_text(json.dumps(results) + "\n")


if __name__ == "__main__":
    main()
