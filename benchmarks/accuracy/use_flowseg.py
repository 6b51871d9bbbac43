"""Train a segmenter of flowseg for MINUTES and segment: use_flowseg.py DATA OUTPUT MINUTES SEED KIND [EPOCHS].

KIND is flow or boundary, followed by ``:nuclei`` to start from the pretrained model and by ``@N`` to see N images only:
what is chosen is then chosen on those that `fit` holds out of them. ``flow:nuclei@0`` is the pretrained model as it is.
With EPOCHS the training has this length, whatever the time.
"""

import json
import re
import sys
import time

import keras
import numpy as np

from flowseg import BoundarySegmenter, FlowSegmenter

# Share of the time that is left for everything but steps, and for steps that take longer than those of the trial.
RESERVE = 0.12
TRIAL_STEPS = 30


def read(file: str, split: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Images and masks."""
    with np.load(file) as arrays:
        names = sorted(arrays.files)
        return tuple([arrays[n] for n in names if n.startswith(f"{split}/{kind}/")] for kind in ("image", "mask"))


class Clock(keras.callbacks.Callback):
    """Seconds per step, and per look at the validation loss."""

    def on_train_begin(self, logs=None):
        self.steps, self.looks, self.last = [], [], None

    def on_epoch_begin(self, epoch, logs=None):
        self.last = None  # the first step of an epoch waits for its batch, the very first is compiled

    def on_train_batch_end(self, batch, logs=None):
        now = time.perf_counter()
        if self.last is not None:
            self.steps.append(now - self.last)
        self.last = now

    def on_epoch_end(self, epoch, logs=None):
        self.looks.append(time.perf_counter() - self.last)

    def epoch(self, n_steps):
        """Seconds that an epoch of ``n_steps`` takes."""
        return n_steps * float(np.mean(self.steps)) + min(self.looks)


def make(kind: str, n_channels: int, seed: int) -> FlowSegmenter | BoundarySegmenter:
    """A segmenter with the defaults."""
    if kind.endswith(":nuclei"):
        return FlowSegmenter.from_pretrained("nuclei").set_params(random_state=seed)
    cls = FlowSegmenter if kind == "flow" else BoundarySegmenter
    return cls(n_channels=n_channels, random_state=seed)


def count_epochs(
    trial: FlowSegmenter | BoundarySegmenter,
    images: list[np.ndarray],
    masks: list[np.ndarray],
    validation: object,
    minutes: float,
) -> int:
    """Find out how long an epoch takes, and how many fit."""
    start = time.perf_counter()
    clock, n_steps = Clock(), trial.steps_per_epoch
    trial.set_params(epochs=2, steps_per_epoch=TRIAL_STEPS, estimate_diameters=False)
    if isinstance(trial, FlowSegmenter):  # what the trial finds is not worth choosing thresholds on
        trial.set_params(cellprob_threshold=0.0, flow_threshold=0.4, min_size=15, score_threshold=None)
    trial.fit(images, masks, validation=validation, callbacks=[clock])
    left = 60 * minutes * (1 - RESERVE) - (time.perf_counter() - start)
    return max(1, int(left / clock.epoch(n_steps)))


def main(data: str, output: str, minutes: str, seed: str, kind: str, epochs: str | None = None) -> None:
    """Train, predict, say what was learned."""
    start = time.perf_counter()
    kind, _, n_images = kind.partition("@")
    images, masks = read(data, "train")
    n_channels = 1 if images[0].ndim == 2 else images[0].shape[2]
    validation = read(data, "validation")
    if n_images:
        images, masks = images + validation[0], masks + validation[1]
        chosen = np.random.default_rng(int(seed)).permutation(len(images))[: int(n_images)]
        images, masks, validation = [images[i] for i in chosen], [masks[i] for i in chosen], None
    segmenter = make(kind, n_channels, int(seed))
    if n_images == "0":
        segmenter.set_params(epochs=0)
    else:
        if epochs is None:
            trial = make(kind, n_channels, int(seed))
            epochs = count_epochs(trial, images, masks, validation, float(minutes))
        segmenter.set_params(epochs=int(epochs)).fit(images, masks, validation=validation)
    trained = time.perf_counter() - start
    images = read(data, "test")[0]
    segmenter.predict(images)  # compiles the network for every shape
    start = time.perf_counter()
    found = segmenter.predict(images)
    speed = (time.perf_counter() - start) / sum(m.size for m in found) * 1e6
    np.savez_compressed(output, **{f"{i:04d}": m for i, m in enumerate(found)})
    learned = (
        r"(cellprob_threshold|flow_threshold|score_threshold|min_size|diameter|working_diameter|estimate_diameters)_"
    )
    settings = {n: getattr(segmenter, n) for n in dir(segmenter) if re.fullmatch(learned, n)}
    said = {"seconds": round(trained), "epochs": segmenter.epochs, "settings": settings}
    print(json.dumps(said | {"seconds_per_megapixel": {"": round(speed, 3)}}))


if __name__ == "__main__":
    main(*sys.argv[1:])
