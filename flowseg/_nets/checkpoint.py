"""A training on disk after every epoch, so that one that was killed goes on to the very same weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from flowseg._nets.tensor_files import read_metadata
from flowseg._system import files, locks
from flowseg._system.printable import LONGEST, one_line
from flowseg._system.strict_json import read_strictly

METADATA_KEY = "flowseg_checkpoint"
N_SEEDS = 3  # of the split, the weights and the batches
MOST_SEED = 2**32  # what NumPy and Keras take is below
# There is none to compare with in the first epoch, and those of a training that diverged are no finite numbers.
OPEN_ENDED = ("best", "history")


@dataclass
class State:
    """What a training has come to, but for the network's and the optimizer's variables."""

    fingerprint: str  # of everything that decides how it goes on
    seeds: list[int]
    epochs_done: int = 0
    stopped: bool = False
    best: float = float("inf")  # lowest validation loss
    wait: int = 0  # epochs since then
    history: dict[str, list[float]] = field(default_factory=dict)


def fingerprint(*parts: Any) -> str:
    """Digest of plain values and arrays."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype} {part.shape}".encode())
            digest.update(np.ascontiguousarray(part).data)
        else:
            digest.update(repr(part).encode())
    return digest.hexdigest()


def read_state(path: Path) -> State | None:
    """The state in a checkpoint file; None where there is no such file."""
    if not path.exists():
        return None
    try:
        state = State(**read_strictly(read_metadata(path)[METADATA_KEY], open_ended=OPEN_ENDED))
        _check_state(state)
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(f"checkpoint must be a file that fit wrote, or a new one; got {path}, another file.") from None
    return state


def _check_state(state: State) -> None:
    """Raise ValueError unless the values are such as `State` says."""
    if not isinstance(state.fingerprint, str) or not isinstance(state.stopped, bool):
        raise ValueError("another kind of state")
    if not _are_counts(state.seeds) or len(state.seeds) != N_SEEDS or max(state.seeds) >= MOST_SEED:
        raise ValueError(f"other seeds: {state.seeds}")
    if not _are_counts([state.epochs_done, state.wait]) or type(state.best) not in (int, float):
        raise ValueError("other counts")
    if not isinstance(state.history, dict):
        raise ValueError("another history")
    for losses in state.history.values():
        if not isinstance(losses, list) or not all(type(loss) in (int, float) for loss in losses):
            raise ValueError("other losses")
    if len(state.history.get("loss", [])) != state.epochs_done:
        raise ValueError("another number of losses than of epochs")


def _are_counts(values: Any) -> bool:
    """Whether it is a list of whole numbers from 0 on; true is none."""
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)


def holding(path: Path | None) -> AbstractContextManager[None]:
    """Hold a checkpoint file as long as the training runs: two must not write it in turns."""
    return nullcontext() if path is None else locks.holding_file(path, "a training", f"checkpoint {path}")


class Checkpoint(keras.callbacks.Callback):
    """Keep account of the training after every epoch and, given a path, write it all down.

    Comes after all callbacks that change anything.
    """

    def __init__(self, path: Path | None, state: State, best: KeepBest | None) -> None:
        super().__init__()
        self.path = path
        self.state = state
        self.best = best

    def restore(self, path: Path, network: keras.Model) -> None:
        """Take variables and best weights from the file; ValueError where some are missing or do not fit."""
        try:
            with safe_open(path, framework="numpy") as opened:
                for group, targets in (("network", variables_of(network)), ("optimizer", network.optimizer.variables)):
                    for name, target in _named(group, targets):
                        target.assign(opened.get_tensor(name))
                names = sorted(name for name in opened.keys() if name.startswith("best/"))  # noqa: SIM118
                if self.best is not None and names:
                    self.best.weights = [opened.get_tensor(name) for name in names]
                    _check_shapes(self.best.weights, network)
        except (SafetensorError, ValueError, TypeError) as error:
            raise ValueError(
                f"checkpoint must hold the whole training; {path} does not: {one_line(str(error), LONGEST)}"
            ) from None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Note how it stands; the file is written whole or not at all."""
        self.state.epochs_done = epoch + 1
        for name, value in (logs or {}).items():
            with suppress(TypeError, ValueError):  # other callbacks may add what is no number
                number = float(value)
                self.state.history.setdefault(name, []).append(number)
        if self.best is not None:
            self.state.best, self.state.wait = self.best.best, self.best.wait
            self.state.stopped = self.best.is_over
        if self.path is not None:
            self._write(self.path)

    def _write(self, path: Path) -> None:
        arrays = dict(_named("network", variables_of(self.model)))
        arrays |= dict(_named("optimizer", self.model.optimizer.variables))
        arrays |= dict(_named("best", (self.best.weights if self.best else None) or []))
        metadata = {METADATA_KEY: json.dumps(asdict(self.state))}
        tensors = {name: _as_array(value) for name, value in arrays.items()}
        files.write_safetensors(path, tensors, metadata)


def _check_shapes(weights: list[NDArray[Any]], network: keras.Model) -> None:
    """Raise ValueError now where weights would not fit at the end of the training."""
    found, expected = [weight.shape for weight in weights], [tuple(weight.shape) for weight in network.weights]
    if found != expected:
        raise ValueError("the best weights are of another network")


class KeepBest(keras.callbacks.Callback):
    """Leave the weights of the lowest validation loss; stop after ``patience`` epochs without a lower one."""

    def __init__(self, patience: int, best: float, wait: int) -> None:
        super().__init__()
        self.patience = patience
        self.best = best
        self.wait = wait
        self.weights: list[NDArray[Any]] | None = None

    def consider(self, weights: list[NDArray[Any]], loss: float) -> None:
        """Take weights of before the training, if their validation loss is lower."""
        if loss < self.best:
            self.best, self.weights = loss, weights

    @property
    def is_over(self) -> bool:
        """Whether it is time to stop."""
        return self.wait >= self.patience

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Look at the validation loss."""
        loss = float((logs or {})["val_loss"])
        self.wait += 1
        if loss < self.best:
            self.best, self.wait, self.weights = loss, 0, self.model.get_weights()
        if self.is_over:
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Go back to the best."""
        if self.weights is not None:
            self.model.set_weights(self.weights)


def variables_of(network: keras.Model) -> list[Any]:
    """Everything that a network carries from step to step: weights and the states of random layers."""
    metrics = {id(variable) for variable in network.metrics_variables}
    return [variable for variable in network.variables if id(variable) not in metrics]


def _named(group: str, values: Iterable[Any]) -> list[tuple[str, Any]]:
    return [(f"{group}/{i:04d}", value) for i, value in enumerate(values)]


def _as_array(value: Any) -> NDArray[Any]:
    return np.array(value if isinstance(value, np.ndarray) else value.numpy(), order="C")
