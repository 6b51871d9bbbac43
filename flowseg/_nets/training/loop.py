"""The training loop: draw batches, run the epochs, keep the best weights, resume from a checkpoint."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._nets import losses, networks
from flowseg._nets.encoder import Encoder
from flowseg._nets.load_keras import keras
from flowseg._nets.training.batches import Batch, CropBatches
from flowseg._nets.training.best_weights import KeepBest
from flowseg._nets.training.checkpoint import Checkpoint, State, read_state
from flowseg._nets.training.fingerprint import describe_structure, fingerprint
from flowseg._nets.training.learning_rate import CosineSchedule
from flowseg._nets.training.progress import reporting
from flowseg._nets.training.samples import Sample

# Random scaling of training crops, up or down by this factor at most (docs/explanation/recipe.rst).
SCALE_JITTER = 1.3
# Pulls the weights towards 0 (AdamW), per step and relative to the learning rate.
WEIGHT_DECAY = 1e-4
# Name in the history of the validation loss that a further training started from.
LOSS_BEFORE = "val_loss_before"
# Frames between a warning of `train`'s own helpers and the line that called `fit`, as `warnings.warn` counts them.
CALLER_OF_FIT = 7
# Crops that the validation loss is measured on, at most; and crops of each image.
VALIDATION_CROPS, CROPS_PER_IMAGE = 64, 4
# The same for volumes, of which there are few. Source: chosen; about a tenth of the time of an epoch.
VALIDATION_CROPS_3D, CROPS_PER_VOLUME = 24, 12

History = dict[str, list[float]]


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of `train`, with the meaning of the segmenters' parameters."""

    # Not part of a checkpoint's fingerprint: the weights to start from are.
    warm_start: bool = field(repr=False)  # whether the training starts from the weights of a trained model
    crop_size: int
    batch_size: int
    epochs: int
    steps_per_epoch: int
    learning_rate: float
    augment: bool
    patience: int | None
    workers: int | None
    verbose: int


@dataclass(frozen=True, eq=False)
class TrainingRun:
    """Everything that a training needs besides the network."""

    samples: list[Sample]
    validation: list[Sample]
    codec: Encoder
    settings: TrainingSettings
    seeds: list[int]  # of the split, the weights and the batches
    callbacks: Sequence[Any]  # of the user, for Keras
    checkpoint: Path | None
    same_start: bool  # whether a checkpoint must have begun with the weights that the network has now
    crop_shape: tuple[int, ...]
    turns: tuple[int, ...]  # see `augmentation.random_rotation`


@networks.single_precision()
def train(network: keras.Model, run: TrainingRun) -> History:
    """Train ``network`` in place, leave the weights of the lowest validation loss, and return the losses.

    The weights of a trained model that a training starts from are candidates, too. If the checkpoint file exists, the
    training in it is resumed.
    """
    settings = run.settings
    state = _find_state(network, run)
    batches = _make_crops(run, run.samples, settings.steps_per_epoch, augment=settings.augment)
    first_step = state.epochs_done * settings.steps_per_epoch
    schedule = CosineSchedule(settings.epochs * settings.steps_per_epoch, settings.learning_rate, first_step)
    held_out = _draw_validation(run)
    keep_best = None
    if held_out:
        patience = settings.epochs if settings.patience is None else settings.patience
        keep_best = KeepBest(patience, state.best, state.wait)
    checkpoint = Checkpoint(run.checkpoint, state, keep_best)
    _compile(network, run)
    start: list[NDArray[Any]] = []
    before: History = {}
    if settings.warm_start and keep_best is not None:
        start = network.get_weights()
        before = {LOSS_BEFORE: [_validate(network, held_out, keras.callbacks.CallbackList(model=network))]}
    if run.checkpoint is not None and state.epochs_done:
        checkpoint.restore(run.checkpoint, network)
    if keep_best is not None and start:
        keep_best.consider(start, before[LOSS_BEFORE][0])
    if state.stopped or state.epochs_done == settings.epochs:
        if keep_best is not None and keep_best.weights is not None:
            network.set_weights(keep_best.weights)
    else:
        own = [schedule] if keep_best is None else [schedule, keep_best]
        with reporting(settings.verbose) as reports:
            hooks = _make_hooks(network, [*own, *run.callbacks, checkpoint, *reports], settings)
            _run_epochs(network, batches, held_out, hooks, range(state.epochs_done, settings.epochs))
    _check_converged(network, state.history, settings.learning_rate)
    return state.history | before


def _compile(network: keras.Model, run: TrainingRun) -> None:
    """Give the network its optimizer and loss."""
    network.compile(
        optimizer=keras.optimizers.AdamW(run.settings.learning_rate, weight_decay=WEIGHT_DECAY),
        loss=getattr(losses, run.codec.loss_name),
        jit_compile=networks.is_compiled(),
    )
    network.optimizer.build(network.trainable_variables)  # a step that had to make them would be traced twice


def _make_crops(run: TrainingRun, samples: list[Sample], n_batches: int, *, augment: bool) -> CropBatches:
    """Return batches of crops of samples."""
    return CropBatches(
        samples,
        codec=run.codec,
        crop_shape=run.crop_shape,
        batch_size=run.settings.batch_size,
        n_batches=n_batches,
        jitter=SCALE_JITTER if augment else 1.0,
        augment=augment,
        seed=run.seeds[-1],
        turns=run.turns,
    )


def _draw_validation(run: TrainingRun) -> list[Batch]:
    """Return the crops that the validation loss is measured on, the same in every epoch."""
    if not run.validation:
        return []
    most, each = (VALIDATION_CROPS, CROPS_PER_IMAGE)
    if len(run.crop_shape) > 2:
        most, each = VALIDATION_CROPS_3D, CROPS_PER_VOLUME
    n_crops = min(most, each * len(run.validation))
    upright = _make_crops(run, run.validation, -(-n_crops // run.settings.batch_size), augment=False)
    held_out = [batch for batch in upright.epoch(0) if _has_annotated_pixels(batch)]
    if not held_out:
        warnings.warn(
            "validation images hold no annotated pixel where crops were drawn: the last weights are kept.",
            stacklevel=CALLER_OF_FIT,
        )
    return held_out


def _has_annotated_pixels(batch: Batch) -> bool:
    """Return whether any pixel is not to be ignored."""
    return bool(batch[1][..., 0].any())


def _make_hooks(network: keras.Model, callbacks: list[Any], settings: TrainingSettings) -> keras.callbacks.CallbackList:
    """Return all callbacks as one object with Keras' hooks."""
    return keras.callbacks.CallbackList(
        callbacks,
        add_progbar=False,  # Keras' own writes to standard output, control characters too
        verbose=settings.verbose,
        epochs=settings.epochs,
        steps=settings.steps_per_epoch,
        model=network,
    )


def _run_epochs(
    network: keras.Model,
    batches: CropBatches,
    held_out: list[Batch],
    hooks: keras.callbacks.CallbackList,
    epochs: range,
) -> None:
    """Do the work of `keras.Model.fit`, with batches from a plain thread.

    The generator dataset that Keras would make of them makes the C library return memory after every step
    (``M_TRIM_THRESHOLD``), which nearly doubles the time of a step.
    """
    network.stop_training = False
    logs: dict[str, float] = {}
    hooks.on_train_begin()
    for epoch in epochs:
        hooks.on_epoch_begin(epoch)
        losses = []
        with closing(batches.epoch(epoch)) as ready:
            for step, (images, targets) in enumerate(ready):
                hooks.on_train_batch_begin(step)
                network.reset_metrics()  # before Keras 3.15 the loss is a mean over all batches so far
                losses.append(float(network.train_on_batch(images, targets)))
                logs = {"loss": float(np.mean(losses))}
                hooks.on_train_batch_end(step, logs)
                if network.stop_training:
                    break
        if held_out:
            logs["val_loss"] = _validate(network, held_out, hooks)
        hooks.on_epoch_end(epoch, logs)
        if network.stop_training or not np.isfinite(logs["loss"]):  # infinite weights never become finite again
            break
    hooks.on_train_end(logs)


def _validate(network: keras.Model, batches: list[Batch], hooks: keras.callbacks.CallbackList) -> float:
    """Return the mean loss of batches that the network does not learn from."""
    losses: list[float] = []
    hooks.on_test_begin()
    for step, (images, targets) in enumerate(batches):
        hooks.on_test_batch_begin(step)
        network.reset_metrics()
        losses.append(float(network.test_on_batch(images, targets)))
        hooks.on_test_batch_end(step, {"loss": losses[-1]})
    mean = float(np.mean(losses))
    hooks.on_test_end({"loss": mean})
    return mean


def _find_state(network: keras.Model, run: TrainingRun) -> State:
    """Return the state in the checkpoint file, if there is one and it is of this training; else the initial state."""
    if run.checkpoint is None:
        return State("", run.seeds)
    samples = dict.fromkeys((*run.samples, *run.validation))
    arrays = chain.from_iterable((s.image, s.masks, *(s.sparse or ())) for s in samples)
    settings = replace(run.settings, verbose=0, workers=None)  # neither changes a result
    start = network.get_weights() if run.same_start else []
    structure = describe_structure(network)
    volumes = (run.crop_shape, run.turns) if len(run.crop_shape) > 2 else ()
    parts = (run.seeds, run.codec.loss_name, structure, *start, len(run.samples), *volumes)
    identity = fingerprint(settings, *parts, *arrays)
    found = read_state(run.checkpoint)
    if found is not None and (found.fingerprint != identity or found.epochs_done > run.settings.epochs):
        raise ValueError(
            f"checkpoint must hold this very training (images, parameters, network); {run.checkpoint} holds another "
            "one. Name another file, or delete this one to start from scratch."
        )
    return found or State(identity, run.seeds)


def _check_converged(network: keras.Model, history: History, learning_rate: float) -> None:
    """Raise where all weights that there are are infinite, warn where finite ones came before them."""
    advice = f"learning_rate must be small enough for the training to converge; with {learning_rate:g} the "
    if not all(np.isfinite(weight).all() for weight in network.get_weights()):
        raise ValueError(f"{advice}weights became infinite.")
    if not np.isfinite(history["loss"]).all():
        epoch = int(np.argmin(np.isfinite(history["loss"]))) + 1
        warnings.warn(
            f"{advice}loss became infinite in epoch {epoch}: the best weights before are kept.",
            stacklevel=CALLER_OF_FIT,
        )
