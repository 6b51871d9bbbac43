"""Settings of a training from a segmenter's parameters, its callbacks and its seeds."""

from __future__ import annotations

import numbers
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowseg import _checks
from flowseg._segmenters.auto_values import as_crop_and_batch, as_filters
from flowseg._segmenters.pipeline import prediction_settings
from flowseg._system import files

if TYPE_CHECKING:
    from flowseg._nets.training.loop import TrainingSettings
    from flowseg._segmenters.base import Segmenter


def check_training_settings(segmenter: Segmenter, *, warm_start: bool = False) -> TrainingSettings:
    """Check every parameter that training needs; ``warm_start`` is whether it starts from a trained model."""
    prediction_settings(segmenter)
    n_levels = len(as_filters(segmenter))
    _check_network(segmenter.network)
    crop_size, batch_size = as_crop_and_batch(segmenter)
    step = 2 ** (n_levels - 1) if isinstance(segmenter.network, str) else 1
    _check_crop_size(crop_size, step)
    _checks.as_number(segmenter.validation_fraction, "validation_fraction", low=0.0, high=0.9)
    _checks.check_flag(segmenter.augment, "augment")

    from flowseg._nets.training.learning_rate import choose_rate
    from flowseg._nets.training.loop import TrainingSettings

    return TrainingSettings(
        warm_start=warm_start,
        crop_size=crop_size,
        batch_size=batch_size,
        epochs=_checks.as_integer(segmenter.epochs, "epochs", minimum=1),
        steps_per_epoch=_checks.as_integer(segmenter.steps_per_epoch, "steps_per_epoch", minimum=1),
        learning_rate=choose_rate(segmenter.learning_rate, warm_start=warm_start),
        augment=bool(segmenter.augment),
        patience=_checks.as_integer(segmenter.patience, "patience", minimum=1, none="train all epochs"),
        workers=segmenter.workers,
        verbose=_checks.as_integer(segmenter.verbose, "verbose", minimum=0),
    )


def _check_network(network: Any) -> None:
    """Raise unless ``network`` names a network or can be a custom one."""
    if isinstance(network, str):
        _checks.check_choice(network, "network", ("unet", "resunet"))
    elif not callable(network):  # a keras.Model is callable, too
        raise TypeError(
            "network must be 'unet', 'resunet', a keras.Model, or a function of (n_channels, n_outputs) that builds "
            f"one; got {network!r}."
        )


def _check_crop_size(size: int, step: int) -> None:
    """Raise ValueError unless poolings divide training crops evenly."""
    if size % step:
        raise ValueError(f"crop_size must be divisible by {step} for a network of this depth; got {size}.")


def find_seeds(random_state: Any, checkpoint: str | os.PathLike[str] | None) -> tuple[list[int], Path | None]:
    """Return seeds of the split, the weights and the batches, and the checkpoint file.

    The seeds are new, or come from the checkpoint of a training that is resumed.
    """
    seeds = [int(s) for s in _checks.as_random_state(random_state).randint(0, 2**31 - 1000, size=3)]
    if checkpoint is None:
        return seeds, None
    from flowseg._nets.training.checkpoint import read_state

    file = _checks.as_path(checkpoint, "checkpoint")
    files.check_target(file, f"checkpoint {file}")
    state = read_state(file)
    is_seed = isinstance(random_state, numbers.Integral)  # a RandomState draws other seeds every time
    return (state.seeds if state and not is_seed else seeds), file


def warn_of_patience(patience: Any, n_held_out: int) -> None:
    """Warn in one line of a patience that has no effect."""
    if patience is not None and not n_held_out:
        warnings.warn(
            f"patience={patience} has no effect: no images are held out to measure a validation loss on.", stacklevel=3
        )


def check_callbacks(callbacks: Any) -> None:
    """Raise TypeError unless ``callbacks`` is a sequence of Keras callbacks."""
    if not isinstance(callbacks, Sequence) or not all(
        hasattr(c, "set_model") and not isinstance(c, type) for c in callbacks
    ):
        raise TypeError(f"callbacks must be a sequence of keras.callbacks.Callback; got {callbacks!r}.")
