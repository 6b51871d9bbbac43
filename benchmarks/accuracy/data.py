"""The annotated images that tools are compared on: one file per set that every environment can read with NumPy."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowseg import io


@dataclass(frozen=True)
class Source:
    """Where a set comes from, and which of its splits are the training, validation and test set."""

    folder: str
    n_channels: int
    target: str | None = None  # of the samples file, where it holds several
    train: str = "train"
    validation: str | None = "val"  # None: every fifth training field
    test: str = "test_open"


# The Aits-lab images have no split beyond val: a part of train is the validation set, and val the test set.
SETS = {
    "dsb2018": Source("dsb2018", 1),
    "aitslab/nuclei": Source("aitslab", 1, target="nuclei", validation=None, test="val"),
    "aitslab/cells": Source("aitslab", 1, target="cells", validation=None, test="val"),
    "dsb2018_histology": Source("dsb2018_histology", 3),
}


def pack(data: Path, name: str, file: Path) -> None:
    """Write images, masks and fields of one set as plain arrays named SPLIT/KIND/NUMBER."""
    arrays = {}
    for split, rows in _splits(data, SETS[name]).items():
        arrays[f"{split}/groups"] = np.array([row["group"] for row in rows])
        arrays[f"{split}/ids"] = np.array([row["id"] for row in rows])
        for i, row in enumerate(rows):
            image = io.read_image(row["image"], keep_color=True)
            gray = SETS[name].n_channels == 1 and image.ndim == 3
            arrays[f"{split}/image/{i:04d}"] = image[..., 0] if gray else image
            arrays[f"{split}/mask/{i:04d}"] = io.read_masks(row["label"]).astype(np.int32)
    np.savez(file, **arrays)


def _splits(data: Path, source: Source) -> dict[str, list[dict[str, str]]]:
    folder = data / source.folder
    with open(folder / "samples.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if source.target in (None, row.get("target"))]
    for row in rows:
        row["group"] = row.get("field_group") or row["field"]
        row["image"], row["label"] = str(folder / row["image"]), str(folder / row["label"])
    rows.sort(key=lambda row: row["id"])
    splits = {name: [row for row in rows if row["split"] == name] for name in {row["split"] for row in rows}}
    train = splits[source.train]
    if source.validation is None:
        held_out = set(sorted({row["group"] for row in train})[::5])
        validation = [row for row in train if row["group"] in held_out]
        train = [row for row in train if row["group"] not in held_out]
    else:
        validation = splits[source.validation]
    return {"train": train, "validation": validation, "test": splits[source.test]}


def read(file: Path, split: str, kind: str) -> list[np.ndarray]:
    """All arrays of one split and kind ("image" or "mask"), in order."""
    with np.load(file) as arrays:
        return [arrays[name] for name in sorted(arrays.files) if name.startswith(f"{split}/{kind}/")]


def folds(groups: np.ndarray, n: int, seed: int) -> Iterator[np.ndarray]:
    """N bootstrap samples of indices: whole fields, drawn with replacement."""
    rng = np.random.default_rng(seed)
    names, index = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(index == k) for k in range(names.size)]
    for _ in range(n):
        yield np.concatenate([members[k] for k in rng.integers(0, names.size, names.size)])
