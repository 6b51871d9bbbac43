"""`benchmarks/accuracy/prepare_dsb2018.py`: real images taken apart as they are published, and put together again."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
from skimage.io import imread, imsave

from flowseg import io

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "accuracy" / "prepare_dsb2018.py"


def rows_of(folder):
    with open(folder / "samples.csv", newline="") as stream:
        return {row["id"]: row for row in csv.DictReader(stream)}


def test_the_public_layout_becomes_ours(shared, tmp_path):
    published, made = tmp_path / "stage1_train", tmp_path / "made"
    ours = {name: shared / "data" / name for name in ("dsb2018", "dsb2018_histology")}
    rows = {name: dict(list(rows_of(folder).items())[:40:10]) for name, folder in ours.items()}
    for name, row in [(name, row) for name, of_set in rows.items() for row in of_set.values()]:
        one = published / row["source_id"]
        (one / "images").mkdir(parents=True)
        (one / "masks").mkdir()
        pixels = imread(ours[name] / row["image"])
        color = pixels if pixels.ndim == 3 else np.stack([pixels] * 3, axis=-1)
        rgba = np.concatenate([color, np.full_like(color[..., :1], 255)], axis=-1)
        imsave(one / "images" / f"{row['source_id']}.png", rgba, check_contrast=False)
        masks = io.read_masks(ours[name] / row["label"])
        for k in range(1, masks.max() + 1):
            imsave(one / "masks" / f"{k:03d}.png", (255 * (masks == k)).astype(np.uint8), check_contrast=False)
    done = subprocess.run([sys.executable, SCRIPT, published, made], capture_output=True, text=True, check=True)
    assert done.stdout.count("4 images in") == 2
    for name, folder in ours.items():
        again = rows_of(made / name)
        assert again.keys() == rows[name].keys()
        for image, row in rows[name].items():
            new = again[image]
            assert (new["split"], new["field_group"]) == (row["split"], row["field_group"])
            assert np.array_equal(imread(made / name / new["image"]), imread(folder / row["image"]))
            same = (io.read_masks(place / r["label"]) for place, r in ((made / name, new), (folder, row)))
            assert np.array_equal(*same)
    wrong = subprocess.run([sys.executable, SCRIPT, tmp_path, made], capture_output=True, text=True)
    assert "must hold a folder for each image of dsb2018_split.csv" in wrong.stderr
