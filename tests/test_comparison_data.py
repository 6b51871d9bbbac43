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
    ours, published, made = shared / "data" / "dsb2018", tmp_path / "stage1_train", tmp_path / "made"
    rows = dict(list(rows_of(ours).items())[:40:10])
    for row in rows.values():
        one = published / row["source_id"]
        (one / "images").mkdir(parents=True)
        (one / "masks").mkdir()
        gray = imread(ours / row["image"])
        rgba = np.stack([gray, gray, gray, np.full_like(gray, 255)], axis=-1)
        imsave(one / "images" / f"{row['source_id']}.png", rgba, check_contrast=False)
        masks = io.read_masks(ours / row["label"])
        for k in range(1, masks.max() + 1):
            imsave(one / "masks" / f"{k:03d}.png", (255 * (masks == k)).astype(np.uint8), check_contrast=False)
    done = subprocess.run([sys.executable, SCRIPT, published, made], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("4 images in")
    again = rows_of(made / "dsb2018")
    assert again.keys() == rows.keys()
    for name, row in rows.items():
        new = again[name]
        assert (new["split"], new["field_group"]) == (row["split"], row["field_group"])
        assert np.array_equal(imread(made / "dsb2018" / new["image"]), imread(ours / row["image"]))
        same = (io.read_masks(folder / r["label"]) for folder, r in ((made / "dsb2018", new), (ours, row)))
        assert np.array_equal(*same)
    wrong = subprocess.run([sys.executable, SCRIPT, tmp_path, made], capture_output=True, text=True)
    assert "must hold a folder for each image of dsb2018_split.csv" in wrong.stderr
