"""Cut the images that ship as ``flowseg.datasets.nuclei()`` out of the 2018 Data Science Bowl.

python benchmarks/crop_nuclei.py DATA

DATA holds ``dsb2018/test_open``: the fluorescence images (BBBC038v1, CC0) of the fields that ``train_pretrained.py``
neither trains on nor chooses by. ``dsb2018/samples.csv`` names the field of every image.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.segmentation import relabel_sequential

from flowseg import io

FOLDER = Path(__file__).parents[1] / "flowseg" / "datasets" / "dsb2018"
# Image, first row, first column, rows, columns. One image per field; `flowseg demo` tests on the last four.
CROPS = (
    ("dsb_d5295810", 124, 60, 256, 320),
    ("dsb_7d40ea6e", 0, 0, 360, 360),
    ("dsb_0bf4b144", 0, 0, 256, 256),
    ("dsb_ed8c31b0", 0, 0, 256, 256),
    ("dsb_dad607a2", 0, 0, 256, 256),
    ("dsb_75120baa", 0, 0, 256, 256),
    ("dsb_f29fd9c5", 80, 40, 256, 320),
    ("dsb_bb8ebf46", 112, 376, 256, 320),
    ("dsb_b1f23c4d", 106, 292, 256, 320),
    ("dsb_58cc121d", 0, 0, 256, 256),
    ("dsb_243443ae", 20, 0, 236, 256),
    ("dsb_79dfcbc9", 20, 100, 360, 360),
)


def main() -> None:
    """Write images, masks and the table of their sources."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds dsb2018")
    source = parser.parse_args().data / "dsb2018"
    with open(source / "samples.csv", newline="", encoding="utf-8") as file:
        samples = {row["id"]: row for row in csv.DictReader(file)}
    table = []
    for name, top, left, rows, columns in CROPS:
        sample = samples[name]
        if sample["split"] != "test_open":
            raise ValueError(f"{name} must be an image that the model nuclei has not seen; it is in {sample['split']}.")
        box = np.s_[top : top + rows, left : left + columns]
        masks, _, _ = relabel_sequential(io.read_masks(source / sample["label"])[box])
        field = sample["field_group"].removeprefix("g_")
        write_png(FOLDER / "images" / f"{field}.png", io.read_image(source / sample["image"])[box])
        write_png(FOLDER / "masks" / f"{field}.png", masks.astype(np.uint16))
        table.append((field, sample["source_id"], top, left, rows, columns, int(masks.max())))
    if len({row[0] for row in table}) != len(table):
        raise ValueError("CROPS must name one image per field.")
    with open(FOLDER / "crops.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("field", "image", "first_row", "first_column", "rows", "columns", "nuclei"))
        writer.writerows(table)
    print(sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()), "bytes")


def write_png(path: Path, array: np.ndarray) -> None:
    """Write one channel as PNG, 8 or 16 bits as the array is, small and always the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, optimize=True)


if __name__ == "__main__":
    main()
