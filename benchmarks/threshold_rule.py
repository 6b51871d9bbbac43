"""Which rule to choose thresholds by, on few images: tried on images that the model that ships was not trained on.

python benchmarks/threshold_rule.py DATA --json benchmarks/threshold_rule.json [--table docs/tables/threshold_rule.csv]

The model runs over all of them once. Then, again and again, a few are drawn, thresholds are chosen on these, and the
others are scored with them. ``--table`` only writes what the JSON file holds.
"""

import argparse
import csv
import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "accuracy"))

from data import pack, read
from scores import write_results

from flowseg import FlowSegmenter
from flowseg._labels.overlaps import count_objects
from flowseg._segmenters.learned_decoding import choose_thresholds as rule_of_flowseg
from flowseg._segmenters.learned_decoding import jackknife_scores
from flowseg._segmenters.learned_decoding.candidates import Candidates
from flowseg._segmenters.learned_decoding.thresholds import GivenThresholds, Thresholds

MODEL = "nuclei"
# The splits to draw from: test images are not used.
SETS = {"dsb2018": ("validation",), "aitslab/nuclei": ("train", "validation")}
CHOSEN_ON = (2, 3, 6, 10, 20)  # images; at most half of a set, the others are scored
DRAWS = 100
SCORED_AT = (0.5, 0.75, 0.9)

DEFAULTS = "defaults"
SIZES_AS_THEY_WERE = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)
# Constants of flowseg that each rule replaces.
RULES: dict[str, dict[str, Any]] = {
    "IoU 0.5 and 0.75 only, any min_size": {"IOU_THRESHOLDS": (0.5, 0.75), "SIZE_SHARES": SIZES_AS_THEY_WERE},
    "any min_size": {"SIZE_SHARES": SIZES_AS_THEY_WERE},
    "the rule": {},
    "the best choice": {"standard_error": lambda below: 0 * below[..., 0]},
}


def find(file: Path, splits: tuple[str, ...]) -> tuple[list[np.ndarray], list[float], list[Candidates]]:
    """True masks, the cellprob thresholds that fit tries, and all objects at each of them."""
    images, masks = ([a for split in splits for a in read(file, split, kind)] for kind in ("image", "mask"))
    caught: list[Any] = []

    def catch(outputs: Any, true: Any, levels: Any, **options: Any) -> list[Candidates]:
        found = find_candidates(outputs, true, levels, **options)
        caught.extend((levels, found))
        return found

    find_candidates = rule_of_flowseg.find_candidates
    with patch.object(rule_of_flowseg, "find_candidates", catch):
        FlowSegmenter.from_pretrained(MODEL).fit_thresholds(images, masks)
    return masks, *caught


def choose(masks: list[np.ndarray], found: list[Candidates], rule: dict[str, Any]) -> Thresholds:
    """What `choose_thresholds` says of objects that have been found already."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(rule_of_flowseg, "find_candidates", lambda *_, **__: found))
        for name, value in rule.items():
            module = jackknife_scores if name == "IOU_THRESHOLDS" else rule_of_flowseg
            stack.enter_context(patch.object(module, name, value))
        return rule_of_flowseg.choose_thresholds([], masks, GivenThresholds(), n_iter=None, workers=1)[0]


def part(found: list[Candidates], images: np.ndarray) -> list[Candidates]:
    """Only these images."""
    return [Candidates([c.tables[i] for i in images], [c.iou[i] for i in images]) for c in found]


def precision(found: Candidates, n_true: int, thresholds: Thresholds) -> list[float]:
    """Pooled TP / (TP + FP + FN)."""
    iou = np.concatenate(found.kept_iou(thresholds.max_flow_error, thresholds.min_size))
    hits = np.array([np.count_nonzero(iou >= t) for t in SCORED_AT])
    return (hits / (n_true + iou.size - hits)).tolist()


def measure(file: Path, splits: tuple[str, ...]) -> dict[str, Any]:
    """For each number of images and rule: precision on the images left, and how often thresholds were changed."""
    masks, levels, found = find(file, splits)
    n_true = np.array([count_objects(m) for m in masks])
    rng = np.random.default_rng(0)
    results = {}
    for n in [n for n in CHOSEN_ON if n <= len(masks) // 2]:
        precisions: dict[str, list[list[float]]] = {name: [] for name in (DEFAULTS, *RULES)}
        changed = dict.fromkeys(precisions, 0)
        for _ in range(DRAWS):
            drawn, left = np.split(rng.permutation(len(masks)), [n])
            to_choose, to_score = part(found, drawn), part(found, left)
            for name in precisions:
                chosen = default = Thresholds()
                if name != DEFAULTS:
                    chosen = choose([masks[i] for i in drawn], to_choose, RULES[name])
                level = levels.index(chosen.cellprob_threshold)
                precisions[name].append(precision(to_score[level], int(n_true[left].sum()), chosen))
                changed[name] += chosen != default
        gains = {name: np.subtract(values, precisions[DEFAULTS]) for name, values in precisions.items()}
        results[str(n)] = {
            name: {
                "mean": np.mean(precisions[name], axis=0).round(4).tolist(),
                "gain": np.mean(gain, axis=0).round(4).tolist(),
                "worst twentieth": np.quantile(gain, 0.05, axis=0).round(4).tolist(),
                "changed": changed[name] / DRAWS,
            }
            for name, gain in gains.items()
        }
        print(n, results[str(n)], flush=True)
    return results


def write_table(results: dict[str, Any], file: Path) -> None:
    """A row per set and number of images."""
    with open(file, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["set", "images", "AP with the defaults", *(f"gain, {name}" for name in RULES)])
        for name, result in results.items():
            for n, rules in result.items():
                mean = " / ".join(f"{v:.3f}" for v in rules[DEFAULTS]["mean"])
                gains = [" / ".join(f"{v:+.3f}" for v in rules[rule]["gain"]) for rule in RULES]
                writer.writerow([name, n, mean, *gains])


def main() -> None:
    """Measure, or write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the sets")
    parser.add_argument("--json", type=Path, required=True, help="results")
    parser.add_argument("--table", type=Path, help="only write what the JSON file holds as a table (CSV)")
    options = parser.parse_args()
    if options.table:
        write_table(json.loads(options.json.read_text()), options.table)
        return
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, splits in SETS.items():
            file = Path(folder) / "packed.npz"
            pack(options.data, name, file)
            results[name] = measure(file, splits)
            write_results(results, options.json)


if __name__ == "__main__":
    main()
