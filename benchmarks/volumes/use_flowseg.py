"""Train a segmenter of flowseg and segment; `process` says how to call this.

KIND is flow or boundary, in 3-D, or planes: a 2-D segmenter of flows that learns planes of all three orientations.
WAY is "", or planes or stitch for a 2-D segmenter.
"""

import time
from pathlib import Path

import keras
import numpy as np
import process

from flowseg import BoundarySegmenter, FlowSegmenter
from flowseg._segmenters.loading import load_segmenter

# Steps of each of the two epochs that the time of one is taken from.
TRIAL_STEPS = 5
# A training has at least this many epochs, shorter ones if need be: weights are chosen between epochs.
LEAST_EPOCHS = 10
# Share of the time left over for steps that take longer than those of the trial.
RESERVE = 0.04
MODEL = "model.safetensors"
LEARNED = (
    "cellprob_threshold_", "flow_threshold_", "score_threshold_", "min_size_", "diameter_", "working_diameter_",
    "estimate_diameters_", "spacing_",
)  # fmt: skip

Segmenter = FlowSegmenter | BoundarySegmenter


class Clock(keras.callbacks.Callback):
    """Seconds per step and per look at the validation loss; stops a training at its end, should it be late."""

    def __init__(self, end=np.inf):
        super().__init__()
        self.end = end

    def on_train_begin(self, logs=None):
        self.steps, self.looks, self.last, self.n = [], [], None, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.last = None  # the first step of an epoch waits for its batch, the very first is compiled

    def on_train_batch_end(self, batch, logs=None):
        now = time.perf_counter()
        if self.last is not None:
            self.steps.append(now - self.last)
        self.last, self.n = now, self.n + 1
        if now > self.end:
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        self.looks.append(time.perf_counter() - self.last)

    def on_train_end(self, logs=None):
        self.finished = time.perf_counter()

    @property
    def step(self):
        return float(np.mean(self.steps))

    @property
    def look(self):
        return min(self.looks)


def make(kind: str, seed: int) -> Segmenter:
    """A segmenter with the defaults."""
    if kind == "planes":
        return FlowSegmenter(random_state=seed)
    return (FlowSegmenter if kind == "flow" else BoundarySegmenter)(ndim=3, random_state=seed)


def read_pairs(data: str, split: str, kind: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Volumes or planes, and masks."""
    if kind != "planes":
        return process.read(data, split)
    planes, masks, repeats = process.read_planes(data, split)
    return [p for p, n in zip(planes, repeats, strict=True) for _ in range(n)], [
        m for m, n in zip(masks, repeats, strict=True) for _ in range(n)
    ]


def plan(kind: str, seed: int, pairs: tuple, given: dict, seconds: float) -> tuple[int, int]:
    """Epochs and steps of each, so that the schedule of the learning rate ends in time."""
    trial, clock = make(kind, seed), Clock()
    n_steps = trial.steps_per_epoch
    trial.set_params(epochs=2, steps_per_epoch=TRIAL_STEPS, estimate_diameters=False)
    if isinstance(trial, FlowSegmenter):  # what the trial finds is not worth choosing thresholds on
        trial.set_params(cellprob_threshold=0.0, flow_threshold=0.4, min_size=15, score_threshold=None)
    start = time.perf_counter()
    trial.fit(*pairs, callbacks=[clock], **given)
    before = clock.finished - start - 2 * (TRIAL_STEPS * clock.step + clock.look)
    left = seconds * (1 - RESERVE) - before
    if left < LEAST_EPOCHS * (n_steps * clock.step + clock.look):
        n_steps = max(TRIAL_STEPS, int((left / LEAST_EPOCHS - clock.look) / clock.step))
    return max(1, int(left / (n_steps * clock.step + clock.look))), n_steps


def train(data: str, folder: Path, kind: str, seconds: float, seed: int) -> dict:
    """Train within the time; choosing thresholds comes after it."""
    pairs, spacing = read_pairs(data, "train", kind), process.read_spacing(data)
    given = {"validation": read_pairs(data, "validation", kind)}
    if kind != "planes" and spacing is not None:
        given["spacing"] = spacing
    epochs, n_steps = plan(kind, seed, pairs, given, seconds)
    segmenter = make(kind, seed).set_params(epochs=epochs, steps_per_epoch=n_steps)
    start = time.perf_counter()
    clock = Clock(start + seconds)
    segmenter.fit(*pairs, callbacks=[clock], **given)
    done = time.perf_counter()
    segmenter.save(folder / MODEL)
    settings = {name: getattr(segmenter, name) for name in LEARNED if hasattr(segmenter, name)}
    times = {"train_seconds": round(clock.finished - start), "choose_seconds": round(done - clock.finished)}
    return times | {"steps": clock.n, "epochs": epochs, "validation_ap": segmenter.validation_ap_, "settings": settings}


def load(folder: Path, way: str, spacing: process.Spacing):
    """A function of a volume that returns masks."""
    segmenter = load_segmenter(folder / MODEL)
    if way:
        return lambda volume: segmenter.predict_volume(volume, spacing=spacing, mode=way)
    return lambda volume: segmenter.predict(volume, spacing=spacing)


if __name__ == "__main__":
    process.main(train, load)
