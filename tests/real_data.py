"""The annotated images that lie beside a checkout, one by one.

Of a large set tests take a sample, so that they end in minutes; ``pytest --thorough`` takes all.
"""

import csv

import tifffile

from flowseg import io

SETS = (
    "aitslab",
    "bacteria_omnipose",
    "dsb2018",
    "dsb2018_brightfield",
    "dsb2018_histology",
    "embryo3d_qcanet",
    "grains_imagegrains",
    "stardist_examples",
)

# Images of a set that are looked at, at most, unless all are.
SAMPLE = 8
every_image = False


def sample(items, most=SAMPLE):
    """So many of the items at most, evenly spaced, or all."""
    step = 1 if every_image else max(1, -(-len(items) // most))
    return items[::step]


def rows_of(shared, name):
    """Rows of a set's table, with the set's folder."""
    folder = shared / "data" / name
    with open(folder / "samples.csv", newline="") as file:
        return folder, list(csv.DictReader(file))


def read_pair(folder, row):
    """Image and masks of one row; volumes are (planes, rows, columns)."""
    masks = tifffile.imread(folder / row["label"])
    path = folder / row["image"]
    return (tifffile.imread(path) if masks.ndim == 3 else io.read_image(path)), masks


def label_images(shared, name):
    """Name and masks of the annotated images of a set."""
    folder, rows = rows_of(shared, name)
    for row in sample(rows):
        yield row["id"], tifffile.imread(folder / row["label"])
