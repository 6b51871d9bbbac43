"""The learning-rate schedule: a linear rise, then half a cosine."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowseg import _checks
from flowseg._checks import is_auto
from flowseg._nets.training.keras_callback import Callback

# Share of the steps in which the learning rate rises, and the factor that it falls to at the end
# (docs/explanation/recipe.rst).
WARM_UP = 0.05
FINAL_RATE = 0.01
# Peak learning rates for "auto": of new weights, and of a trained model's, where lower rates gain less
# (benchmarks/training_further.py, docs/benchmarks/models.rst).
RATE_FROM_SCRATCH, RATE_FROM_TRAINED = 1e-3, 1e-3


def choose_rate(learning_rate: Any, *, warm_start: bool) -> float:
    """Return the peak learning rate for the parameter; ``warm_start`` is whether a trained model is trained further."""
    if is_auto(learning_rate, "learning_rate", "a number"):
        return RATE_FROM_TRAINED if warm_start else RATE_FROM_SCRATCH
    return _checks.as_number(learning_rate, "learning_rate", low=0.0, open_low=True)


def learning_rate_at(step: int, n_steps: int, peak: float) -> float:
    """Return the learning rate of a step: a linear rise, then half a cosine down to a hundredth of the peak."""
    rise = max(1.0, WARM_UP * n_steps)
    if step < rise:
        return peak * (step + 1) / (rise + 1)
    progress = (step - rise) / max(1.0, n_steps - rise)
    return float(peak * (FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + np.cos(np.pi * progress))))


class CosineSchedule(Callback):
    """Set the learning rate before every step.

    Parameters
    ----------
    n_steps : int
        Steps of the whole training.
    peak : float
        Largest learning rate.
    first : int
        Number of the first step: not 0 where a training is resumed.
    """

    def __init__(self, n_steps: int, peak: float, first: int) -> None:
        super().__init__()
        self.n_steps = n_steps
        self.peak = peak
        self.step = first

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Set the learning rate of the next step."""
        self.model.optimizer.learning_rate = learning_rate_at(self.step, self.n_steps, self.peak)
        self.step += 1
