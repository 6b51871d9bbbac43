"""Classes of objects: how often they are right, beside those of a random forest on measured columns.

python benchmarks/classes.py ../shared/data --json benchmarks/classes.json [--only drawn dsb2018 wbc] [--epochs 40]

Of each data set a small network is trained for a few minutes, and its features tell classes apart. The random forest,
with scikit-learn's settings but 500 trees, learns the columns of `flowseg.measure` of the same annotated objects,
without label and place, and judges the same predicted objects. All scores are of test images: average precision at IoU
0.5 and 0.75, and the macro-averaged F1 score of the classes of objects that match at 0.5. Average precision is that of
a training without classes: `tests/test_classes.py` tests that the masks are the same.

drawn    cells of `synthetic.cells` of two kinds. Inside, one has noise of fine grain and one of coarse grain, of the
         same mean and variance: they differ in texture only
dsb2018  nuclei of the three kinds of images of DSB 2018, as gray values; the class is the kind of image
wbc      white blood cells in color, four types; the one basophil that is shared is left out
"""

import argparse
import csv
import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage
from sklearn.ensemble import RandomForestClassifier

import flowseg
from flowseg import FlowSegmenter, io, metrics, synthetic

# A small network. Forty epochs, as by default, take two to five minutes of two cores.
NETWORK = {"filters": (8, 16, 32, 64), "crop_size": 128, "batch_size": 4, "steps_per_epoch": 50}
SEED = 0
PLACE = ("label", "bbox", "centroid")
KINDS = {"dsb2018": "fluorescence", "dsb2018_histology": "histology", "dsb2018_brightfield": "brightfield"}
# Images of each kind, by split: as many as there are, or enough for a short training.
N_OF_KIND = {"train": 20, "val": 4, "test_open": 8}


class Split(NamedTuple):
    """Images, masks, and the class of each object by its label."""

    images: list[Any]
    masks: list[Any]
    classes: list[dict[int, str]]


def draw(number: int, seed: int) -> Split:
    """Cells of two kinds that differ in the grain of their texture."""
    rng = np.random.default_rng(seed)
    split = Split([], [], [])
    for _ in range(number):
        image, masks = synthetic.cells((192, 192), 24, diameter=28, rng=rng)
        classes = {label: str(rng.choice(["fine", "coarse"])) for label in range(1, int(masks.max()) + 1)}
        is_fine = np.isin(masks, [label for label, name in classes.items() if name == "fine"])
        texture = np.where(is_fine, _grain(image.shape, 1.0, rng), _grain(image.shape, 3.0, rng))
        split.images.append((image * (1 + 0.25 * texture * (masks > 0))).astype(np.float32))
        split.masks.append(masks)
        split.classes.append(classes)
    return split


def _grain(shape: tuple[int, ...], sigma: float, rng: np.random.Generator) -> Any:
    """Noise of mean 0 and variance 1."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    return (noise - noise.mean()) / noise.std()


def _rows(folder: Path, split: str) -> list[dict[str, str]]:
    with open(folder / "samples.csv", newline="") as file:
        return [row for row in csv.DictReader(file) if row["split"] == split]


def _add(split: Split, folder: Path, row: dict[str, str], name: str, gray: bool) -> None:
    image, masks = io.read_image(folder / row["image"]), io.read_masks(folder / row["label"])
    if gray and image.ndim == 3:
        image = image[..., :3].mean(axis=-1)
    split.images.append(image)
    split.masks.append(masks)
    split.classes.append(dict.fromkeys(np.unique(masks[masks > 0]).tolist(), name))


def read_dsb(data: Path, part: str) -> Split:
    """Images of the three kinds, in the order of a seed."""
    split = Split([], [], [])
    for kind, name in KINDS.items():
        rows = _rows(data / kind, part)
        for i in np.random.default_rng(SEED).permutation(len(rows))[: N_OF_KIND[part]]:
            _add(split, data / kind, rows[i], name, gray=True)
    return split


def read_wbc(data: Path, part: str) -> Split:
    """One white blood cell in each image."""
    split = Split([], [], [])
    for row in _rows(data / "wbc_multiclass", part):
        if row["cell_class"] != "basophil":
            _add(split, data / "wbc_multiclass", row, row["cell_class"], gray=False)
    return split


def load(name: str, data: Path) -> dict[str, Split]:
    """The splits of a data set."""
    if name == "drawn":
        return {"train": draw(24, 1), "val": draw(6, 2), "test_open": draw(16, 3)}
    read = read_dsb if name == "dsb2018" else read_wbc
    return {part: read(data, part) for part in ("train", "val", "test_open")}


def train(splits: dict[str, Split], epochs: int) -> tuple[FlowSegmenter, float]:
    """A segmenter with classes and the seconds that its training took."""
    one, other = splits["train"], splits["val"]
    channels = 1 if one.images[0].ndim == 2 else one.images[0].shape[-1]
    segmenter = FlowSegmenter(**NETWORK, epochs=epochs, n_channels=channels, random_state=SEED)
    began = time.perf_counter()
    validation = (other.images, other.masks, None, other.classes)
    segmenter.fit(one.images, one.masks, classes=one.classes, validation=validation)
    return segmenter, time.perf_counter() - began


def precision(true: Split, found: list[Any]) -> list[float]:
    """Average precision at IoU 0.5 and 0.75."""
    return [round(float(v), 4) for v in metrics.average_precision(true.masks, found, thresholds=(0.5, 0.75))]


def features(masks: Any, image: Any) -> Any:
    """The columns of `measure`, without label and place."""
    table = flowseg.measure(masks, image)
    return np.stack([table[name] for name in table if name.partition("-")[0] not in PLACE], axis=-1)


def forest(splits: dict[str, Split], found: list[Any], part: str) -> list[dict[int, str]]:
    """Classes of predicted objects by a random forest that learned from training and validation objects."""
    given = [pair for name in ("train", "val") for pair in zip(*splits[name], strict=True)]
    x = np.concatenate([features(masks, image) for image, masks, _ in given])
    y = np.concatenate([[classes[k] for k in sorted(classes)] for _, _, classes in given])
    model = RandomForestClassifier(500, random_state=SEED, n_jobs=2).fit(np.nan_to_num(x), y)
    guessed = []
    for masks, image in zip(found, splits[part].images, strict=True):
        n = int(masks.max())
        values = model.predict(np.nan_to_num(features(masks, image))) if n else []
        guessed.append({k + 1: str(v) for k, v in enumerate(values)})
    return guessed


def calibration(true: Split, found: list[Any], tables: list[Any]) -> dict[str, float]:
    """Mean probability of the classes of matched objects, and the share of them that is right."""
    stated, right = [], []
    for masks, other, classes, table in zip(true.masks, found, true.classes, tables, strict=True):
        for i, j in metrics.match(masks, other).pairs:
            stated.append(table["class_probability"][j - 1])
            right.append(table["class"][j - 1] == classes[i])
    return {"stated": round(float(np.mean(stated)), 4), "right": round(float(np.mean(right)), 4), "n": len(right)}


def run(name: str, data: Path, epochs: int) -> dict[str, Any]:
    """Everything about one data set."""
    splits = load(name, data)
    test = splits["test_open"]
    segmenter, seconds = train(splits, epochs)
    found, tables = map(list, zip(*segmenter.predict_objects(test.images), strict=True))
    row: dict[str, Any] = {"epochs": epochs, "images": {part: len(split.images) for part, split in splits.items()}}
    row |= {"ap": precision(test, found), "seconds": round(seconds, 1)}
    for way, classes in (("network", tables), ("forest", forest(splits, found, "test_open"))):
        scores = metrics.classification(test.masks, found, test.classes, classes)
        row[way] = {"macro_f1": round(scores.macro_f1, 4), "accuracy": round(scores.accuracy, 4)}
    row["calibration"] = calibration(test, found, tables)
    row["temperature"] = round(segmenter.fitted_.classes.temperature, 3)
    return row


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", nargs="+", default=["drawn", "dsb2018", "wbc"])
    parser.add_argument("--epochs", type=int, default=40)
    given = parser.parse_args()
    results = json.loads(given.json.read_text()) if given.json and given.json.exists() else {}
    for name in given.only:
        results[name] = run(name, given.data, given.epochs)
        print(name, json.dumps(results[name]), flush=True)
        if given.json:
            given.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
