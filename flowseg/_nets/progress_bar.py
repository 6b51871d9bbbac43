"""How far a training is: a bar on a terminal, else a line per epoch."""

from __future__ import annotations

import sys
import time
from typing import Any

import keras
from tqdm import tqdm

from flowseg._nets.durations import say_duration
from flowseg._system.bars import bar

# Names of losses, for people.
TITLES = {"loss": "loss", "val_loss": "validation loss"}


class TrainingProgress(keras.callbacks.Callback):
    """Show on standard error how far a training is, with the losses and the time left.

    Parameters
    ----------
    by_lines : bool
        Whether to write a line per epoch where standard error is no terminal.
    """

    def __init__(self, *, by_lines: bool) -> None:
        super().__init__()
        self.by_lines = by_lines
        self._bar: Any = None
        self._began = 0.0
        self._first = 0  # epoch: a training that goes on does not begin with the first

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Begin where the training does."""
        if self._bar is None:
            self._began, self._first = time.monotonic(), epoch
            steps = self.params["steps"]
            total, done = self.params["epochs"] * steps, epoch * steps
            self._bar = bar(None, "training", total=total, initial=done, unit="step", leave=True)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Advance the bar."""
        self._bar.update()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Show the losses."""
        losses = {TITLES[name]: f"{value:.3f}" for name, value in (logs or {}).items() if name in TITLES}
        if not self._bar.disable:
            self._bar.set_postfix(losses)
        elif self.by_lines:
            seconds = (time.monotonic() - self._began) / (epoch + 1 - self._first)
            left = say_duration(seconds * (self.params["epochs"] - epoch - 1))
            text = ", ".join(f"{title} {value}" for title, value in losses.items())
            tqdm.write(f"epoch {epoch + 1} of {self.params['epochs']}: {text}, {left} left", file=sys.stderr)

    def close(self) -> None:
        """Leave the bar as it stands, also where the training was interrupted."""
        if self._bar is not None:
            self._bar.close()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Close the bar."""
        self.close()
