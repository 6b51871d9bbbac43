"""Which training recipe? One change at a time, the same amount of computing each, scored on ``val``.

python benchmarks/recipe.py DATA --json benchmarks/recipe.json

Runs what the JSON file does not hold yet, two trainings at a time, each pinned to one core. DATA holds the sets.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from pathlib import Path
from queue import Queue
from typing import Any
from unittest.mock import patch

import numpy as np
from recipe_changes import BASES, CHANGES, PATCHES, averaging

sys.path.insert(0, str(Path(__file__).parent / "accuracy"))

# Steps of the base recipe; a change that makes a step dearer gets fewer. Prices are ratios of processor time, taken in
# turns, so that a busy machine does not count.
BASE_STEPS = 600
TRIAL_STEPS = 6
TRIALS = 3

# Differences that are small get a second seed; base's tells how much chance there is.
SECOND_SEED = (
    "base",
    "quarter turns and flips only",
    "no intensity augmentation",
    "noise as the only intensity augmentation",
    "blur",
    "stretched up to 1.25",
    "uneven illumination",
    "learning rate 3e-3",
    "crops of 96, batches of 14",
    "batches of 4",
    "resunet",
    "foreground weighted by 3",
    "flows rotated with the crop",
    "percentiles 0.1 and 99.9",
    "filters 16, 32, 64, 128",
    "filters 24, 48, 96, 192",
    "no warm-up",
    "crops of 192, batches of 4",
    "blur, stretched",
    "blur, stretched, uneven illumination",
    "constant learning rate",
    "no weight decay",
    "weight decay 1e-2",
    "mean of weights (EMA)",
    "diameter 32",
    "scales up to 1.6",
    "cubic interpolation",
    "no augmentation",
    "crowded images more often",
    "own size once",
    "own size once: crowded images more often",
    "own size once: intensities of other images, blurred",
    "cells",
    "cells: diameter 36",
    "large nuclei",
    "large nuclei: diameter 40",
)


def run_one(name: str, seed: int, file: Path, core: int) -> None:
    """Train and score in this process; the result is the last line printed."""
    os.sched_setaffinity(0, {core})
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    import data
    import scores

    import flowseg

    change = {key: value for key, value in CHANGES[name].items() if key != "data"}
    callbacks = [averaging(change.pop("averaged"))] if "averaged" in change else []
    n_steps, n_images = change.pop("steps", BASE_STEPS), change.pop("images", None)
    stack = ExitStack()
    for key in [k for k in change if k in PATCHES or "." in k]:
        value = change.pop(key)
        if key in PATCHES:
            stack.enter_context(PATCHES[key](value))
        else:
            module, constant = key.rsplit(".", 1)
            stack.enter_context(patch.object(import_module(f"flowseg._nets.{module}"), constant, value))
    sets = {s: (data.read(file, s, "image"), data.read(file, s, "mask")) for s in ("train", "validation")}
    if n_images is not None:
        drawn = np.random.default_rng(seed).permutation(len(sets["train"][0]))[:n_images]
        sets["train"] = tuple([part[i] for i in drawn] for part in sets["train"])
    parameters = {"random_state": seed, "estimate_diameters": False, "workers": 1, "validation_fraction": 0.0, **change}
    parameters |= {"cellprob_threshold": 0.0, "flow_threshold": 0.4, "min_size": 15}
    with stack:
        steps = round(n_steps / relative_price(flowseg.FlowSegmenter(**parameters), flowseg.FlowSegmenter()))
        start = time.perf_counter()
        segmenter = flowseg.FlowSegmenter(**parameters, epochs=1, steps_per_epoch=steps)
        segmenter.fit(*sets["train"], callbacks=callbacks)
        wall = time.perf_counter() - start
        plain = segmenter.predict(sets["validation"][0])
        estimated = segmenter.set_params(estimate_diameters=True).predict(sets["validation"][0])
    groups = np.load(file)["validation/groups"]
    result = {
        name: scores.score(sets["validation"][1], found, groups)
        for name, found in (("plain", plain), ("estimated", estimated))
    }
    loss = round(segmenter.history_["loss"][-1], 4)
    print(json.dumps({"steps": steps, "wall": round(wall), "loss": loss, "groups": groups.tolist(), **result}))


def relative_price(changed: Any, base: Any) -> float:
    """Processor time of a training step of one segmenter, as a multiple of that of another."""
    import keras

    from flowseg._nets import losses
    from flowseg._segmenters.auto_values import as_crop_and_batch
    from flowseg._segmenters.fitting.new_network import new_network

    parts = ("network", "filters", "crop_size", "batch_size")
    if all(getattr(changed, name) == getattr(base, name) for name in parts):
        return 1.0
    steps = []
    for segmenter in (changed, base):
        network = new_network(segmenter, seed=0)
        network.compile(keras.optimizers.AdamW(1e-3), loss=losses.flow_loss, jit_compile=False)
        size, n = as_crop_and_batch(segmenter)
        shape = (n, size, size)
        steps.append(
            partial(network.train_on_batch, np.zeros((*shape, 1), np.float32), np.zeros((*shape, 4), np.float32))
        )
        steps[-1]()  # compiles
    times = np.empty((TRIALS, 2))
    for trial in range(TRIALS):
        for i, step in enumerate(steps):
            begin = time.process_time()
            for _ in range(TRIAL_STEPS):
                step()
            times[trial, i] = time.process_time() - begin
    return float(np.median(times[:, 0] / times[:, 1]))


def write_table(results: dict[str, Any], file: Path) -> None:
    """A row per training: average precision with one size for all images and with estimates, and how far from base.

    Trainings of one seed are compared with each other: they saw the same chance.
    """
    from scores import SHOWN, THRESHOLDS, difference, format_precision, format_thresholds, pooled, say_difference

    heads = ["change", "seed", "steps", f"one size, {format_thresholds(SHOWN)}", "estimated"]
    order = [f"{name} | seed {seed}" for name in CHANGES for seed in (0, 1)]
    with open(file, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*heads, *(f"gain at {THRESHOLDS[i]:g}" for i in SHOWN)])
        for key in order:
            if key not in results:
                continue
            name, _, seed = key.partition(" | seed ")
            result, reference = results[key], results.get(f"{_reference(name)} | seed {seed}")
            gains = [""] * len(SHOWN)
            if reference not in (None, result):
                d = difference(result["estimated"], reference["estimated"], np.array(result["groups"]))
                gains = [say_difference(d, i) for i in SHOWN]
            reached = [format_precision(pooled(result[way]), SHOWN) for way in ("plain", "estimated")]
            writer.writerow([name, seed, result["steps"], *reached, *gains])


def _reference(name: str) -> str:
    """The training that one is compared with: what stands before a colon is what the change was made to."""
    before, colon, _ = name.partition(":")
    return before if colon else BASES[_set_of(name)]


def _set_of(name: str) -> str:
    """The set that it is trained and scored on."""
    return CHANGES[name].get("data", "dsb2018")


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the sets; with --one a packed file")
    parser.add_argument("--json", type=Path, help="results, kept after every training")
    parser.add_argument("--table", type=Path, help="only write what the JSON file holds as a table (CSV)")
    parser.add_argument("--one", nargs=3, metavar=("NAME", "SEED", "CORE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        name, seed, core = options.one
        run_one(name, int(seed), options.data, int(core))
        return
    if options.table:
        write_table(json.loads(options.json.read_text()), options.table)
        return
    from data import pack
    from scores import write_results

    results = json.loads(options.json.read_text()) if options.json.exists() else {}
    packed = {name: options.json.with_suffix(f".{i}.npz") for i, name in enumerate(BASES)}
    for name, file in packed.items():
        pack(options.data, name, file)
    cores: Queue[int] = Queue()
    for core in sorted(os.sched_getaffinity(0))[:2]:
        cores.put(core)

    def work(name: str, seed: int) -> None:
        core = cores.get()
        file = packed[_set_of(name)]
        command = [sys.executable, __file__, str(file), "--one", name, str(seed), str(core)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        finally:
            cores.put(core)
        if done.returncode:
            print(f"{name} failed:\n{done.stderr[-2000:]}", flush=True)
            return
        results[f"{name} | seed {seed}"] = json.loads(done.stdout.strip().splitlines()[-1])
        write_results(results, options.json)
        kept = results[f"{name} | seed {seed}"]
        pooled = {key: kept[key]["pooled"] for key in ("plain", "estimated")}
        print(f"{name}, seed {seed}: {kept['steps']} steps, {pooled}", flush=True)

    jobs = [(name, 1) for name in SECOND_SEED] + [(name, 0) for name in CHANGES]
    jobs = [(name, seed) for name, seed in jobs if f"{name} | seed {seed}" not in results]
    with ThreadPoolExecutor(cores.qsize()) as pool:
        list(pool.map(lambda job: work(*job), jobs))
    for file in packed.values():
        file.unlink()


if __name__ == "__main__":
    main()
