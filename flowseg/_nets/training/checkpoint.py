"""The state of a training on disk after every epoch: a resumed training comes to the same weights, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from flowseg._nets.load_keras import keras
from flowseg._nets.safetensors_header import read_metadata
from flowseg._nets.training.best_weights import KeepBest
from flowseg._nets.training.keras_callback import Callback
from flowseg._system import files, locks
from flowseg._system.printable import LONGEST, one_line
from flowseg._system.strict_json import read_strictly

METADATA_KEY = "flowseg_checkpoint"
N_SEEDS = 3  # of the split, the weights and the batches
SEED_LIMIT = 2**32  # NumPy and Keras take seeds below it
# JSON entries that may hold infinite numbers: before the first epoch, and losses of a training that diverged.
OPEN_ENDED = ("best", "history")


@dataclass
class State:
    """The state of a training but for the variables of network and optimizer."""

    fingerprint: str  # of everything that later epochs depend on
    seeds: list[int]
    epochs_done: int = 0
    stopped: bool = False
    best: float = float("inf")  # lowest validation loss
    wait: int = 0  # epochs since then
    history: dict[str, list[float]] = field(default_factory=dict)


def read_state(path: Path) -> State | None:
    """Return the state in a checkpoint file; None where there is no such file."""
    if not path.exists():
        return None
    try:
        state = State(**read_strictly(read_metadata(path)[METADATA_KEY], open_ended=OPEN_ENDED))
    except (OSError, ValueError, KeyError, TypeError):
        state = None
    if state is None or not _is_valid(state):
        raise ValueError(f"checkpoint must be a file that fit wrote, or a new one; got {path}, another file.")
    return state


def _is_valid(state: State) -> bool:
    """Return whether the values have the types and ranges of `State`."""
    return (
        isinstance(state.fingerprint, str)
        and isinstance(state.stopped, bool)
        and _are_counts(state.seeds)
        and len(state.seeds) == N_SEEDS
        and max(state.seeds) < SEED_LIMIT
        and _are_counts([state.epochs_done, state.wait])
        and type(state.best) in (int, float)
        and isinstance(state.history, dict)
        and all(map(_are_losses, state.history.values()))
        and len(state.history.get("loss", [])) == state.epochs_done
    )


def _are_losses(values: Any) -> bool:
    """Return whether it is a list of numbers."""
    return isinstance(values, list) and all(type(loss) in (int, float) for loss in values)


def _are_counts(values: Any) -> bool:
    """Return whether it is a list of integers of at least 0; true is not one."""
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)


def hold_checkpoint(path: Path | None) -> AbstractContextManager[None]:
    """Lock a checkpoint file while the training runs: two trainings must not write it."""
    return nullcontext() if path is None else locks.holding_file(path, "a training", f"checkpoint {path}")


class Checkpoint(Callback):
    """Keep the state of the training after every epoch and, given a path, write it to a file.

    Comes after all callbacks that change anything.

    Parameters
    ----------
    path : Path or None
        File to write; None writes nothing.
    state : State
        State to go on from, changed after every epoch.
    best : KeepBest or None
        The callback that holds the best weights, if there is a validation loss.
    """

    def __init__(self, path: Path | None, state: State, best: KeepBest | None) -> None:
        super().__init__()
        self.path = path
        self.state = state
        self.best = best

    def restore(self, path: Path, network: keras.Model) -> None:
        """Read variables and best weights from the file; ValueError where some are missing or do not fit."""
        try:
            with safe_open(path, framework="numpy") as opened:
                for group, targets in (("network", variables_of(network)), ("optimizer", network.optimizer.variables)):
                    for name, target in _named(group, targets):
                        target.assign(opened.get_tensor(name))
                names = sorted(name for name in opened.keys() if name.startswith("best/"))  # noqa: SIM118
                if self.best is not None and names:
                    self.best.weights = [opened.get_tensor(name) for name in names]
        except (SafetensorError, ValueError, TypeError) as error:
            raise ValueError(
                f"checkpoint must hold the whole training; {path} does not: {one_line(str(error), LONGEST)}"
            ) from None
        # Now: otherwise they would not fit at the end of the training.
        if self.best is not None and names and not _are_weights_of(network, self.best.weights):
            raise ValueError(
                f"checkpoint must hold the whole training; the best weights in {path} are of another network."
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Update the state, and write the file atomically."""
        self.state.epochs_done = epoch + 1
        for name, value in (logs or {}).items():
            with suppress(TypeError, ValueError):  # other callbacks may add values that are not numbers
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


def _are_weights_of(network: keras.Model, weights: list[NDArray[Any]] | None) -> bool:
    """Return whether weights have the shapes of the network's own."""
    return [weight.shape for weight in weights or ()] == [tuple(weight.shape) for weight in network.weights]


def variables_of(network: keras.Model) -> list[Any]:
    """Return all variables that a network carries from step to step: weights and the states of random layers."""
    metrics = {id(variable) for variable in network.metrics_variables}
    return [variable for variable in network.variables if id(variable) not in metrics]


def _named(group: str, values: Iterable[Any]) -> list[tuple[str, Any]]:
    return [(f"{group}/{i:04d}", value) for i, value in enumerate(values)]


def _as_array(value: Any) -> NDArray[Any]:
    return np.array(value if isinstance(value, np.ndarray) else value.numpy(), order="C")
