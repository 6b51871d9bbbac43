"""A progress bar for training."""

from __future__ import annotations

from typing import Any

import keras
from tqdm import tqdm


class TrainingBar(keras.callbacks.Callback):
    """One bar over all the steps, with the losses; silent where standard error is no terminal.

    Parameters
    ----------
    n_steps : int
        Steps in all.
    """

    def __init__(self, n_steps: int) -> None:
        super().__init__()
        self.n_steps = n_steps
        self._bar: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Open the bar."""
        self._bar = tqdm(total=self.n_steps, desc="training", unit="step", disable=None)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Advance it."""
        self._bar.update()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Show the losses."""
        self._bar.set_postfix({name: f"{value:.3f}" for name, value in (logs or {}).items()})

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Close it."""
        self._bar.close()
