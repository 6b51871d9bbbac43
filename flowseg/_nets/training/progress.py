"""Report how far a training is: to a function, or as a bar on the terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

from flowseg._nets.durations import format_duration
from flowseg._nets.training.keras_callback import Callback
from flowseg._system.bars import bar

# Called with the steps done of all epochs, the epoch (from 0), and the losses so far.
OnStep = Callable[[int, int, dict[str, float]], None]

# Titles of losses in the bar.
TITLES = {"loss": "loss", "val_loss": "validation loss"}


class StepProgress(Callback):
    """Call a function after every step and every epoch.

    Parameters
    ----------
    on_step : callable
        Called with the number of steps done in all, the number of the epoch, and the losses.
    """

    def __init__(self, on_step: OnStep) -> None:
        super().__init__()
        self.on_step = on_step
        self._n_done = 0
        self._epoch = 0
        self._losses: dict[str, float] = {}

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Keep the number of the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Report a step; the validation loss is that of the epoch before."""
        self._n_done += 1
        self._losses |= logs or {}
        self.on_step(self._n_done, self._epoch, self._losses)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Report an epoch."""
        self._losses |= logs or {}
        self.on_step(self._n_done, epoch, self._losses)


class ProgressBar(Callback):
    """Show on standard error how far a training is, with the losses and the time left.

    Parameters
    ----------
    by_lines : bool
        Whether to write a line per epoch where standard error is not a terminal.
    """

    def __init__(self, *, by_lines: bool) -> None:
        super().__init__()
        self.by_lines = by_lines
        self._bar: Any = None
        self._began = 0.0
        self._first = 0  # epoch: a resumed training does not begin with the first

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Make the bar when the first epoch begins."""
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
            left = format_duration(seconds * (self.params["epochs"] - epoch - 1))
            text = ", ".join(f"{title} {value}" for title, value in losses.items())
            tqdm.write(f"epoch {epoch + 1} of {self.params['epochs']}: {text}, {left} left", file=sys.stderr)

    def close(self) -> None:
        """Leave the bar as it is, also where the training was interrupted."""
        if self._bar is not None:
            self._bar.close()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Close the bar."""
        self.close()
