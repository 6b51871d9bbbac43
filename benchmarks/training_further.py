"""Train ``nuclei`` further on a handful of images, at several learning rates.

python benchmarks/training_further.py DATA --json benchmarks/training_further.json [--set SET] [--rate RATE]

DATA is the folder that holds the sets that ``benchmarks/accuracy/data.py`` reads. Training and validation
images are of different fields; scores are those of the test images. What is in the JSON file is not run again. One
thread: side by side, several take no longer.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "accuracy"))

import data
import scores

RATES = (1e-3, 3e-4, 1e-4, 3e-5)
EPOCHS, STEPS, SEED = 4, 30, 0
# Name: set, split that images are drawn from, training images, validation images. `nuclei` was trained on the train
# split of DSB 2018, so there the new images are of the validation split.
SETS = {
    "large nuclei": ("aitslab/nuclei", "train", 4, 3),
    "whole cells": ("aitslab/cells", "train", 4, 3),
    "DSB 2018": ("dsb2018", "validation", 8, 8),
}

Pairs = tuple[list[np.ndarray], list[np.ndarray]]


def draw(folder: Path, name: str) -> tuple[Pairs, Pairs, Pairs]:
    """Training, validation and test pairs, one image of a field at most in the first two."""
    source, split, n_train, n_validation = SETS[name]
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "set.npz"
        data.pack(folder, source, file)
        images, masks = data.read(file, split, "image"), data.read(file, split, "mask")
        test = data.read(file, "test", "image"), data.read(file, "test", "mask")
        groups = np.load(file)[f"{split}/groups"]
    fields = np.random.default_rng(SEED).permutation(np.unique(groups))
    order = [int(np.flatnonzero(groups == field)[0]) for field in fields]
    parts = order[:n_train], order[n_train : n_train + n_validation]
    train, held_out = (([images[i] for i in part], [masks[i] for i in part]) for part in parts)
    return train, held_out, test


def measure(folder: Path, name: str, rate: float) -> dict[str, Any]:
    """Scores before and after training further."""
    from flowseg import FlowSegmenter

    train, held_out, test = draw(folder, name)
    segmenter = FlowSegmenter.from_pretrained("nuclei").set_params(workers=1)
    before = scores.pooled_precision(test[1], segmenter.predict(test[0]))
    segmenter.set_params(learning_rate=rate, epochs=EPOCHS, steps_per_epoch=STEPS, random_state=SEED)
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of rates that are too high
        segmenter.fit(*train, validation=held_out)
    seconds = time.perf_counter() - began
    after = scores.pooled_precision(test[1], segmenter.predict(test[0]))
    return {"before": before, "after": after, "history": segmenter.history_, "seconds": round(seconds)}


def main() -> None:
    """Measure what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--set", choices=SETS, action="append")
    parser.add_argument("--rate", type=float, action="append")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    results = json.loads(options.json.read_text()) if options.json.exists() else {}
    for name in options.set or SETS:
        for rate in options.rate or RATES:
            key = f"{name}, {rate:g}"
            if key not in results:
                results[key] = measure(options.data, name, rate)
                scores.write_results(results, options.json)
            shown = [scores.format_precision(results[key][when], (0, 3)) for when in ("before", "after")]
            print(f"{key}: AP at IoU 0.5 / 0.75 {shown[0]} before, {shown[1]} after", flush=True)


if __name__ == "__main__":
    main()
