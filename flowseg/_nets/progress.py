"""Tell a function how far a training is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

# What is told: steps done of all epochs, epoch (from 0), and the losses so far.
Tell = Callable[[int, int, dict[str, float]], None]


class StepProgress(keras.callbacks.Callback):
    """Call a function after every step and every epoch.

    Parameters
    ----------
    tell : callable
        Called with the number of steps done in all, the number of the epoch, and the losses.
    """

    def __init__(self, tell: Tell) -> None:
        super().__init__()
        self.tell = tell
        self._n_done = 0
        self._epoch = 0
        self._losses: dict[str, float] = {}

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Note which epoch it is."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Tell of a step; the validation loss is that of the epoch before."""
        self._n_done += 1
        self._losses |= logs or {}
        self.tell(self._n_done, self._epoch, self._losses)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Tell of an epoch."""
        self._losses |= logs or {}
        self.tell(self._n_done, epoch, self._losses)
