"""Which training recipe? One change at a time, the same processor time of training each, scored on ``val``.

python benchmarks/recipe.py DATA --json benchmarks/recipe.json

Runs what the JSON file does not hold yet, two trainings at a time, each pinned to one core. DATA holds dsb2018.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from queue import Queue
from typing import Any
from unittest.mock import patch

import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "accuracy"))

SECONDS = 300.0
TRIAL_STEPS = 12
FILTERS = (16, 32, 64, 128, 256)

# What each training changes: parameters of FlowSegmenter, and names "module.CONSTANT" of flowseg, or of this file.
CHANGES: dict[str, dict[str, Any]] = {
    "base": {},
    "flows turned with the crop": {"turned": True},
    "filters 32, 64, 128, 256": {"filters": (32, 64, 128, 256)},
    "diameter 32": {"diameter": 32.0},
    "diameter 18": {"diameter": 18.0},
    "every image at one size": {"_training.SAME_SIZE": 100.0},
    "percentiles 0.1 and 99.9": {"percentiles": (0.1, 99.9)},
    "learning rate 3e-3": {"learning_rate": 3e-3},
    "learning rate 3e-4": {"learning_rate": 3e-4},
    "crops of 192, batches of 4": {"crop_size": 192, "batch_size": 4},
    "crops of 96, batches of 14": {"crop_size": 96, "batch_size": 14},
    "mean of weights (EMA)": {"averaged": 0.99},
    "resunet": {"network": "resunet"},
    "foreground weighs 3": {"foreground": 3.0},
    "scales up to 1.6": {"_training.SCALE_JITTER": 1.6},
    "no change of light": {
        "_batches.GAIN": (1.0, 1.0),
        "_batches.OFFSET": (0.0, 0.0),
        "_batches.GAMMA": (1.0, 1.0),
        "_batches.NOISE": (0.0, 0.0),
    },
    "blur": {"blur": 1.5},
    "filters 16, 32, 64, 128": {"filters": (16, 32, 64, 128)},
    "batches of 4": {"batch_size": 4},
    "batches of 16": {"batch_size": 16},
    "weight decay 1e-2": {"_training.WEIGHT_DECAY": 1e-2},
}
SECOND_SEED = ("base", "diameter 32", "flows turned with the crop", "filters 32, 64, 128, 256")


def turned_flows() -> AbstractContextManager[Any]:
    """Flows made once per image and turned with the crop, instead of made of the crop's masks."""
    from scipy import ndimage

    from flowseg import _batches

    made: dict[int, np.ndarray] = {}

    def crop(self: Any, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        sample = self.samples[rng.integers(len(self.samples))]
        scale = self.jitter ** rng.uniform(-1, 1)
        turn = _batches._random_turn(rng) if self.augment else np.eye(2)
        if id(sample) not in made:
            made[id(sample)] = self.codec.encode(sample.masks, workers=1)[..., 2:]
        state = rng.bit_generator.state
        image, masks = _batches._cut(sample, turn, scale, self.crop_size, rng)
        rng.bit_generator.state = state
        shape, size = np.array(sample.image.shape[:2]), self.crop_size
        half = np.minimum(0.5 * size / scale, 0.5 * shape)
        centre = rng.uniform(half, shape - half) - 0.5
        matrix = turn / scale
        offset = centre - matrix @ np.full(2, 0.5 * (size - 1))
        place = {"matrix": matrix, "offset": offset, "output_shape": (size, size)}
        cut = [ndimage.affine_transform(made[id(sample)][..., c], order=0, output=np.float32, **place) for c in (0, 1)]
        flows = np.stack(cut, axis=-1) @ turn
        if self.augment:
            image = _batches._relight(image, rng)
        inside = (masks > 0)[..., np.newaxis]
        target = np.concatenate([(masks >= 0)[..., np.newaxis], inside, flows * inside], axis=-1)
        return image, target.astype(np.float32)

    return patch.object(_batches.CropBatches, "_crop", crop)


def blurred(largest: float) -> AbstractContextManager[Any]:
    """Half of the crops blurred by up to ``largest`` pixels."""
    from scipy import ndimage

    from flowseg import _batches

    relight = _batches._relight

    def relight_blurred(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        sigma = rng.uniform(0, largest) if rng.random() < 0.5 else 0.0
        return relight(ndimage.gaussian_filter(image, (sigma, sigma, 0)), rng)

    return patch.object(_batches, "_relight", relight_blurred)


def foreground_weight(weight: float) -> AbstractContextManager[Any]:
    """Cross-entropy times ``weight``."""
    from keras import ops

    from flowseg import _losses

    def loss(y_true: Any, y_pred: Any) -> Any:
        logit, foreground = y_pred[..., -1], y_true[..., 1]
        entropy = ops.relu(logit) - logit * foreground + ops.log1p(ops.exp(-ops.abs(logit)))
        squared = 0.5 * ops.mean(ops.square(5.0 * y_true[..., 2:] - y_pred[..., :-1]), axis=-1)
        return _losses._weighted_mean(squared + weight * entropy, y_true[..., 0])

    return patch.object(_losses, "flow_loss", loss)


def percentile_range(low: float, high: float) -> AbstractContextManager[Any]:
    """Other percentiles become 0 and 1."""
    from flowseg import _images, _prediction, _training

    def stretch(image: np.ndarray, **_: Any) -> np.ndarray:
        return _images.normalize(image, low=low, high=high, channel_axis=-1)

    def find_range(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return tuple(np.percentile(image, p, axis=(0, 1)).astype(np.float32) for p in (low, high))

    stack = ExitStack()
    stack.enter_context(patch.object(_training, "normalize", stretch))
    stack.enter_context(patch.object(_prediction, "channel_range", find_range))
    return stack


def averaging(keep: float) -> Any:
    """Callback that leaves the running mean of the weights."""
    import keras

    class Average(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
            self.mean = self.model.get_weights()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
            self.mean = [keep * m + (1 - keep) * w for m, w in zip(self.mean, self.model.get_weights(), strict=True)]

        def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
            self.model.set_weights(self.mean)

    return Average()


PATCHES: dict[str, Callable[[Any], AbstractContextManager[Any]]] = {
    "turned": lambda _: turned_flows(),
    "blur": blurred,
    "foreground": foreground_weight,
    "percentiles": lambda pair: percentile_range(*pair),
}


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

    change = dict(CHANGES[name])
    callbacks = [averaging(change.pop("averaged"))] if "averaged" in change else []
    stack = ExitStack()
    for key in [k for k in change if k in PATCHES or "." in k]:
        value = change.pop(key)
        if key in PATCHES:
            stack.enter_context(PATCHES[key](value))
        else:
            module, constant = key.split(".")
            stack.enter_context(patch.object(getattr(__import__(f"flowseg.{module}"), module), constant, value))
    sets = {s: (data.read(file, s, "image"), data.read(file, s, "mask")) for s in ("train", "choose")}
    parameters = {"filters": FILTERS, "random_state": seed, "workers": 1, "validation_fraction": 0.0, **change}
    parameters |= {"cellprob_threshold": 0.0, "flow_threshold": 0.4, "min_size": 15}
    clock = _Clock()
    with stack:
        trial = flowseg.FlowSegmenter(**parameters, epochs=1, steps_per_epoch=TRIAL_STEPS)
        trial.fit(*sets["train"], callbacks=[clock.callback()])
        steps = round(SECONDS / clock.seconds)
        start = time.perf_counter()
        segmenter = flowseg.FlowSegmenter(**parameters, epochs=1, steps_per_epoch=steps)
        segmenter.fit(*sets["train"], callbacks=callbacks)
        wall = time.perf_counter() - start
        found = segmenter.predict(sets["choose"][0])
    result = scores.score(sets["choose"][1], found, np.load(file)["choose/groups"])
    loss = round(segmenter.history_["loss"][-1], 4)
    print(json.dumps({"steps": steps, "wall": round(wall), "loss": loss, **result}))


class _Clock:
    """Processor seconds per step, median: what else the machine does counts little."""

    def callback(self) -> Any:
        import keras

        outer = self

        class Times(keras.callbacks.Callback):
            def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
                self.ends: list[float] = []

            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
                self.ends.append(time.process_time())
                outer.seconds = float(np.median(np.diff(self.ends) if len(self.ends) > 1 else self.ends))

        return Times()


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds dsb2018; with --one the packed file")
    parser.add_argument("--json", type=Path, help="results, kept after every training")
    parser.add_argument("--one", nargs=3, metavar=("NAME", "SEED", "CORE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        name, seed, core = options.one
        run_one(name, int(seed), options.data, int(core))
        return
    from data import pack

    results = json.loads(options.json.read_text()) if options.json.exists() else {}
    packed = options.json.with_suffix(".npz")
    pack(options.data, "dsb2018", packed)
    cores: Queue[int] = Queue()
    for core in sorted(os.sched_getaffinity(0))[:2]:
        cores.put(core)

    def work(name: str, seed: int) -> None:
        core = cores.get()
        command = [sys.executable, __file__, str(packed), "--one", name, str(seed), str(core)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        cores.put(core)
        if done.returncode:
            print(f"{name} failed:\n{done.stderr[-2000:]}", flush=True)
            return
        results[f"{name} | seed {seed}"] = json.loads(done.stdout.strip().splitlines()[-1])
        options.json.write_text(json.dumps(results, indent=1))
        kept = results[f"{name} | seed {seed}"]
        print(f"{name}, seed {seed}: {kept['steps']} steps, {kept['pooled']}", flush=True)

    jobs = [(name, seed) for name in SECOND_SEED for seed in (0, 1)] + [(name, 0) for name in CHANGES]
    jobs = list(dict.fromkeys(jobs))
    jobs = [(name, seed) for name, seed in jobs if f"{name} | seed {seed}" not in results]
    with ThreadPoolExecutor(cores.qsize()) as pool:
        list(pool.map(lambda job: work(*job), jobs))
    packed.unlink()


if __name__ == "__main__":
    main()
