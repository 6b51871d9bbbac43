"""Early stopping: keep the weights of the lowest validation loss."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from flowseg._nets.training.keras_callback import Callback


class KeepBest(Callback):
    """Leave the weights of the lowest validation loss; stop after ``patience`` epochs without a lower one.

    Parameters
    ----------
    patience : int
        Epochs without a lower loss after which the training stops.
    best : float
        Lowest validation loss so far; infinite at the beginning.
    wait : int
        Epochs since then.
    """

    def __init__(self, patience: int, best: float, wait: int) -> None:
        super().__init__()
        self.patience = patience
        self.best = best
        self.wait = wait
        self.weights: list[NDArray[Any]] | None = None

    def consider(self, weights: list[NDArray[Any]], loss: float) -> None:
        """Take the weights that the training starts from, if their validation loss is lower."""
        if loss < self.best:
            self.best, self.weights = loss, weights

    @property
    def is_over(self) -> bool:
        """Whether it is time to stop."""
        return self.wait >= self.patience

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Compare the validation loss with the lowest."""
        loss = float((logs or {})["val_loss"])
        self.wait += 1
        if loss < self.best:
            self.best, self.wait, self.weights = loss, 0, self.model.get_weights()
        if self.is_over:
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Restore the best weights."""
        if self.weights is not None:
            self.model.set_weights(self.weights)
