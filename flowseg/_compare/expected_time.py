"""The seconds that a fold takes, measured from a few steps of the training itself."""

from __future__ import annotations

import time
import warnings
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._compare.candidates import AS_IS
from flowseg._compare.plan import Plan
from flowseg._segmenters.base import Segmenter

# Steps that are measured. The first ones build and compile the network, and do not count.
N_STEPS, N_FIRST = 6, 2


class _MeasuredError(Exception):
    """Ends a training when its steps are measured."""


def measure_fold(plan: Plan, candidate: int) -> float:
    """Return the expected seconds of a segmenter in a fold: its training, or its prediction if it is used as it is."""
    one, n_test = plan.candidates[candidate], len(plan.images) / len(plan.folds)
    if one.way == AS_IS:
        smallest = min(plan.images, key=np.size)
        n_times = sum(image.size for image in plan.images) / len(plan.images) / smallest.size
        return n_test * n_times * _measure_prediction(one.segmenter, smallest)
    start, step = _measure_training(plan, candidate)
    return start + one.n_steps * step


def _measure_prediction(segmenter: Segmenter, image: NDArray[Any]) -> float:
    """Return the seconds that an image takes."""
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        segmenter.predict([image])  # the first pass compiles the network
        began = time.monotonic()
        segmenter.predict([image])
    return time.monotonic() - began


def _measure_training(plan: Plan, candidate: int) -> tuple[float, float]:
    """Return the seconds before the second step of a training, and of each step; nothing that is given changes.

    It trains on the image with the most objects.
    """
    from flowseg._nets.training.progress import StepProgress

    times: list[float] = []

    def note(n_done: int, epoch: int, losses: dict[str, float]) -> None:  # noqa: ARG001
        times.append(time.monotonic())
        if n_done == N_STEPS:
            raise _MeasuredError

    segmenter = plan.candidates[candidate].copy_to_fit()
    segmenter.set_params(epochs=1, steps_per_epoch=N_STEPS, validation_fraction=0.0, patience=None, verbose=0)
    chosen = max(range(len(plan.images)), key=lambda i: int(np.unique(plan.masks[i]).size))
    began = time.monotonic()
    with suppress(_MeasuredError):
        segmenter.fit([plan.images[chosen]], [plan.masks[chosen]], callbacks=[StepProgress(note)])
    return times[0] - began, float(np.median(np.diff(times[N_FIRST - 1 :])))
