"""Whether images that `flowseg.suggest` chooses teach more than images drawn at random.

python benchmarks/suggest.py DATA --json benchmarks/suggest.json [--draws 3]

A simulation: all images of a pool are annotated, but only those that were chosen are trained on. It begins with two
images drawn at random; each round adds two, by suggestion or at random, and trains a small network from scratch with
the same steps and seed. Results are average precision at IoU 0.5, mean over test images. Images are small fluorescence
images of DSB 2018: the pool is of its training set, the test images are of test_open, one of each field of view.
"""

import argparse
import csv
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import flowseg
from flowseg import FlowSegmenter, io

MODALITY = "fluorescence_small"
N_POOL, N_TEST = 20, 20
N_START, N_MORE, N_ROUNDS = 2, 2, 2
# Short trainings of a small network, as there are five for each draw.
NETWORK = {"filters": (16, 32, 64), "crop_size": 128, "batch_size": 4, "epochs": 2, "steps_per_epoch": 40}


def load(data: Path, split: str, number: int, seed: int) -> tuple[list[Any], list[Any]]:
    """Images and masks of a split, one of each field of view, drawn at random."""
    folder = data / "dsb2018"
    with open(folder / "samples.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split and row["modality"] == MODALITY]
    one_of_each = list({row["field_group"]: row for row in rows}.values())
    chosen = np.random.default_rng(seed).permutation(len(one_of_each))[:number]
    taken = [one_of_each[i] for i in sorted(chosen)]
    return (
        [io.read_image(folder / row["image"]) for row in taken],
        [io.read_masks(folder / row["label"]) for row in taken],
    )


class Simulation:
    """Trainings on chosen images of a pool."""

    def __init__(self, data: Path) -> None:
        self.images, self.masks = load(data, "train", N_POOL, 0)
        self.test = load(data, "test_open", N_TEST, 0)

    def train(self, chosen: list[int], seed: int) -> tuple[FlowSegmenter, dict[str, Any]]:
        """Train on chosen images; return the segmenter and what it scores."""
        segmenter = FlowSegmenter(**NETWORK, validation_fraction=0.0, random_state=seed)
        segmenter.fit([self.images[i] for i in chosen], [self.masks[i] for i in chosen])
        n_objects = sum(np.unique(self.masks[i]).size - 1 for i in chosen)
        score = round(segmenter.score(*self.test), 4)
        return segmenter, {"images": chosen, "n_objects": n_objects, "ap50": score}

    def choose(self, segmenter: FlowSegmenter, chosen: list[int]) -> list[int]:
        """The images that are suggested next, of those that are not annotated yet."""
        left = [i for i in range(len(self.images)) if i not in chosen]
        suggestions = flowseg.suggest(segmenter, [self.images[i] for i in left], number=N_MORE, box_size=10_000)
        return [left[one.index] for one in suggestions]

    def run(self, seed: int) -> dict[str, Any]:
        """One draw: the same beginning for both ways."""
        rng = np.random.default_rng(seed)
        first = [int(i) for i in rng.permutation(len(self.images))[:N_START]]
        start, row = self.train(first, seed)
        rows = {"suggested": [row], "random": [row]}
        for way, found in rows.items():
            segmenter, chosen = start, first
            for _ in range(N_ROUNDS):
                left = [i for i in range(len(self.images)) if i not in chosen]
                more = rng.permutation(left)[:N_MORE] if way == "random" else self.choose(segmenter, chosen)
                chosen = [*chosen, *map(int, more)]
                segmenter, row = self.train(chosen, seed)
                found.append(row)
        return {"seed": seed, **rows}


def main() -> None:
    """Simulate draws, and keep those that are done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds dsb2018")
    parser.add_argument("--json", type=Path, required=True, help="results; draws that are there are not done again")
    parser.add_argument("--draws", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    results = json.loads(options.json.read_text()) if options.json.exists() else {"network": NETWORK, "draws": []}
    simulation = Simulation(options.data)
    for seed in range(len(results["draws"]), options.draws):
        began = time.process_time()
        results["draws"].append(simulation.run(seed) | {"cpu_seconds": round(time.process_time() - began)})
        options.json.write_text(json.dumps(results, indent=1) + "\n")
        last = {way: [row["ap50"] for row in results["draws"][-1][way]] for way in ("suggested", "random")}
        print(seed, last, flush=True)


if __name__ == "__main__":
    main()
