"""Report how far a training is: to a function, to the log, or as a bar on the terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from tqdm import tqdm

from flowseg._nets.durations import format_duration
from flowseg._nets.training.keras_callback import Callback
from flowseg._system.bars import bar
from flowseg._system.messages import say

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


class _EpochLines(Callback):
    """Describe epochs in lines, with the losses and the time left."""

    def __init__(self) -> None:
        super().__init__()
        self._began = 0.0
        self._first: int | None = None  # epoch: a resumed training does not begin with the first

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Note when the first epoch begins."""
        if self._first is None:
            self._began, self._first = time.monotonic(), epoch

    def describe(self, epoch: int, logs: dict[str, Any] | None) -> str:
        """Return the line of an epoch that has ended."""
        n_epochs, n_done = self.params["epochs"], epoch + 1
        seconds = (time.monotonic() - self._began) / (n_done - (self._first or 0))
        text = ", ".join(f"{title} {value}" for title, value in _format_losses(logs).items())
        return f"epoch {n_done} of {n_epochs}: {text}, {format_duration(seconds * (n_epochs - n_done))} left"


class EpochLog(_EpochLines):
    """Log a line per epoch.

    Parameters
    ----------
    aloud : bool
        Whether to write it to standard error, too.
    """

    def __init__(self, *, aloud: bool) -> None:
        super().__init__()
        self.aloud = aloud

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Log the epoch."""
        say(self.describe(epoch, logs), aloud=self.aloud)


class ProgressBar(_EpochLines):
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

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Make the bar when the first epoch begins."""
        super().on_epoch_begin(epoch, logs)
        if self._bar is None:
            steps = self.params["steps"]
            total, done = self.params["epochs"] * steps, epoch * steps
            self._bar = bar(None, "training", total=total, initial=done, unit="step", leave=True)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Advance the bar."""
        self._bar.update()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Show the losses."""
        if not self._bar.disable:
            self._bar.set_postfix(_format_losses(logs))
        elif self.by_lines:
            tqdm.write(self.describe(epoch, logs), file=sys.stderr)

    def close(self) -> None:
        """Leave the bar as it is, also where the training was interrupted."""
        if self._bar is not None:
            self._bar.close()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Close the bar."""
        self.close()


@contextmanager
def reporting(verbose: int) -> Iterator[list[Callback]]:
    """Give the callbacks that report a training: always to the log, with ``verbose`` also to who waits for it."""
    with ExitStack() as stack:
        bars = [stack.enter_context(closing(ProgressBar(by_lines=True)))] if verbose == 1 else []
        yield [EpochLog(aloud=verbose > 1), *bars]


def _format_losses(logs: dict[str, Any] | None) -> dict[str, str]:
    """Return losses by their titles."""
    return {TITLES[name]: f"{value:.3f}" for name, value in (logs or {}).items() if name in TITLES}
