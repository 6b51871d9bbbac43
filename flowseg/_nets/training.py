"""Train a network: scale the images, draw batches, fit, keep the best weights."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._checks import is_auto
from flowseg._images import resize, resize_masks, scaled_shape
from flowseg._intensities import find_limits, stretch
from flowseg._labels.overlaps import number_objects
from flowseg._nets import custom, losses, networks
from flowseg._nets.batches import IGNORE, Batch, CropBatches, Sample
from flowseg._nets.checkpoint import Checkpoint, KeepBest, State, fingerprint, read_state
from flowseg._nets.encoder import Encoder
from flowseg._nets.sizes import MAX_ENLARGEMENT, image_diameter
from flowseg._system.shown import one_line

# Random scaling of training crops, up or down by this factor at most.
SCALE_JITTER = 1.3
# An image is also shown at its own size where this is further from the typical one than this factor ...
OTHER_SIZE = 1.25
# ... so many times for every time at the typical size.
OWN_SIZE_SHOWN = 3
# Shares of the steps in which the learning rate rises, and the factor it falls to at the end.
WARM_UP = 0.05
FINAL_RATE = 0.01
# Peak learning rates that "auto" means: of new weights, and of those of a trained model, for which lower rates gain
# less (benchmarks/training_further.py, docs/benchmarks/models.rst).
RATE_FROM_SCRATCH, RATE_FROM_TRAINED = 1e-3, 1e-3
# Pulls the weights towards 0 (AdamW), per step and relative to the learning rate.
WEIGHT_DECAY = 1e-4
# No network learns from values beyond this, where 0 and 1 are the percentiles of an image.
LARGEST_VALUE = 1e6
# Name in the history of the validation loss that a training further started from.
LOSS_BEFORE = "val_loss_before"
# Frames between a warning of `train`'s own helpers and the line that called `fit`, as `warnings.warn` counts them.
CALLER_OF_FIT = 7
# Crops that the validation loss is measured on, at most.
VALIDATION_CROPS = 64


@dataclass(frozen=True)
class TrainingSettings:
    """What `train` needs to know; the meaning is that of the segmenters' parameters."""

    # Not part of what a checkpoint is of: the weights to start from are.
    goes_on: bool = field(repr=False)  # whether these are a trained model's
    crop_size: int
    batch_size: int
    epochs: int
    steps_per_epoch: int
    learning_rate: float
    augment: bool
    patience: int | None
    workers: int | None
    verbose: int


def make_samples(
    images: Sequence[NDArray[Any]],
    masks: Sequence[NDArray[Any]],
    *,
    typical: float,
    working: float,
    every_size: bool,
    normalize: Any,
) -> list[Sample]:
    """Stretch intensities, by the segmenter's ``normalize``, and scale images and masks.

    Every image is shown as `predict` scales it at first, so that an object of the typical diameter gets the working
    one. With ``every_size`` an image whose own objects are of another size is also shown so that these get
    the working diameter, as in a second pass. All images are shown equally often.
    """
    samples = []
    for image, labels in zip(images, masks, strict=True):
        own = image_diameter(labels)
        objects = _number_compactly(labels)
        stretched = stretch(image, find_limits(image, normalize))
        largest = float(np.abs(stretched).max())
        if largest > LARGEST_VALUE:
            raise ValueError(
                "images must not hold pixels far beyond all others (missing values?); got one that is "
                f"{largest:g} where 0 and 1 are the 1st and 99th percentiles."
            )
        differs = working / own < MAX_ENLARGEMENT and max(own / typical, typical / own) > OTHER_SIZE
        made = {}
        for size in (typical, own) if every_size and differs else (typical,):
            shape = scaled_shape(labels.shape, working / size)
            made[size] = Sample(resize(stretched, shape), resize_masks(objects, shape))
        samples += [made[typical], *[made.get(own, made[typical])] * (OWN_SIZE_SHOWN if every_size else 0)]
    return samples


def _number_compactly(masks: NDArray[Any]) -> NDArray[np.int32]:
    """The same objects as 1..n, in 32 bits whatever their labels; pixels to ignore are -1."""
    _, number, _ = number_objects(masks)
    return np.where(masks < 0, IGNORE, number.reshape(masks.shape)).astype(np.int32)


def choose_rate(learning_rate: Any, *, goes_on: bool) -> float:
    """Peak learning rate that the parameter means."""
    if is_auto(learning_rate, "learning_rate", "a number"):
        return RATE_FROM_TRAINED if goes_on else RATE_FROM_SCRATCH
    return _checks.as_number(learning_rate, "learning_rate", low=0.0, open_low=True)


def learning_rate_at(step: int, n_steps: int, peak: float) -> float:
    """Linear rise, then half a cosine down to a hundredth."""
    rise = max(1.0, WARM_UP * n_steps)
    if step < rise:
        return peak * (step + 1) / (rise + 1)
    progress = (step - rise) / max(1.0, n_steps - rise)
    return peak * (FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + np.cos(np.pi * progress)))


class _CosineRate(keras.callbacks.Callback):
    """Set the learning rate before every step."""

    def __init__(self, n_steps: int, peak: float, first: int) -> None:
        super().__init__()
        self.n_steps = n_steps
        self.peak = peak
        self.step = first

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self.model.optimizer.learning_rate = learning_rate_at(self.step, self.n_steps, self.peak)
        self.step += 1


@networks.single_precision()
def train(
    network: keras.Model,
    samples: list[Sample],
    validation: list[Sample],
    codec: Encoder,
    settings: TrainingSettings,
    *,
    callbacks: Sequence[Any],
    seeds: list[int],
    checkpoint: Path | None,
    same_start: bool,
) -> dict[str, list[float]]:
    """Train ``network`` in place, leave the weights of the lowest validation loss, return the history.

    The weights of a trained model, which a training further starts from, are among those to choose from.
    ``seeds`` are those of the segmenter; the last one is the batches'. A training that ``checkpoint`` holds goes on;
    with ``same_start`` it must have begun with the weights that ``network`` has now.
    """
    state = _find_state(network, samples, validation, codec, settings, seeds, checkpoint, same_start=same_start)
    common: dict[str, Any] = {
        "codec": codec,
        "crop_size": settings.crop_size,
        "batch_size": settings.batch_size,
        "seed": seeds[-1],
    }
    batches = CropBatches(
        samples,
        **common,
        n_batches=settings.steps_per_epoch,
        jitter=SCALE_JITTER if settings.augment else 1.0,
        augment=settings.augment,
    )
    first_step = state.epochs_done * settings.steps_per_epoch
    chosen = [_CosineRate(settings.epochs * settings.steps_per_epoch, settings.learning_rate, first_step)]
    held_out = _draw_validation(validation, settings.batch_size, common)
    keep_best = None
    if held_out:
        patience = settings.epochs if settings.patience is None else settings.patience
        keep_best = KeepBest(patience, state.best, state.wait)
        chosen.append(keep_best)
    account = Checkpoint(checkpoint, state, keep_best)
    network.compile(
        optimizer=keras.optimizers.AdamW(settings.learning_rate, weight_decay=WEIGHT_DECAY),
        loss=getattr(losses, codec.loss_name),
        jit_compile=False,
    )
    network.optimizer.build(network.trainable_variables)  # a step that had to make them would be traced twice
    start: list[NDArray[Any]] = []
    before: dict[str, list[float]] = {}
    if settings.goes_on and keep_best is not None:
        start = network.get_weights()
        before = {LOSS_BEFORE: [_validate(network, held_out, keras.callbacks.CallbackList(model=network))]}
    if checkpoint is not None and state.epochs_done:
        account.restore(checkpoint, network)
    if keep_best is not None and start:
        keep_best.consider(start, before[LOSS_BEFORE][0])
    if state.stopped or state.epochs_done == settings.epochs:
        if keep_best is not None and keep_best.weights is not None:
            network.set_weights(keep_best.weights)
    else:
        _run_epochs(network, batches, held_out, settings, [*chosen, *callbacks, account], first=state.epochs_done)
    _check_converged(network, state.history, settings.learning_rate)
    return state.history | before


def _draw_validation(validation: list[Sample], batch_size: int, common: dict[str, Any]) -> list[Batch]:
    """The crops that the loss is measured on, the same in every epoch."""
    if not validation:
        return []
    n_crops = min(VALIDATION_CROPS, 4 * len(validation))
    upright = CropBatches(validation, **common, n_batches=-(-n_crops // batch_size), jitter=1.0, augment=False)
    held_out = [batch for batch in upright.epoch(0) if _counts(batch)]
    if not held_out:
        warnings.warn(
            "validation images hold no annotated pixel where crops were drawn: the last weights are kept.",
            stacklevel=CALLER_OF_FIT,
        )
    return held_out


def _run_epochs(
    network: keras.Model,
    batches: CropBatches,
    held_out: list[Batch],
    settings: TrainingSettings,
    callbacks: list[Any],
    *,
    first: int,
) -> None:
    """What `keras.Model.fit` does, with batches made ahead in a plain thread.

    The generator dataset that Keras would make of them tells the C library to give memory back after every step
    (``M_TRIM_THRESHOLD``), which nearly doubles the time of a step.
    """
    hooks = keras.callbacks.CallbackList(
        callbacks,
        add_progbar=settings.verbose != 0,
        verbose=settings.verbose,
        epochs=settings.epochs,
        steps=settings.steps_per_epoch,
        model=network,
    )
    network.stop_training = False
    logs: dict[str, float] = {}
    hooks.on_train_begin()
    for epoch in range(first, settings.epochs):
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
        if network.stop_training or not np.isfinite(logs["loss"]):  # from infinite weights none comes back
            break
    hooks.on_train_end(logs)


def _validate(network: keras.Model, batches: list[Batch], hooks: keras.callbacks.CallbackList) -> float:
    """Mean loss of batches that are not learned from."""
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


def _counts(batch: Batch) -> bool:
    """Whether any pixel is not to be ignored."""
    return bool(batch[1][..., 0].any())


def _find_state(
    network: keras.Model,
    samples: list[Sample],
    validation: list[Sample],
    codec: Encoder,
    settings: TrainingSettings,
    seeds: list[int],
    checkpoint: Path | None,
    *,
    same_start: bool,
) -> State:
    """That of the checkpoint file, if there is one and it is of this very training; else that of the beginning."""
    if checkpoint is None:
        return State("", seeds)
    arrays = (array for s in dict.fromkeys((*samples, *validation)) for array in (s.image, s.masks))
    said = replace(settings, verbose=0, workers=None)
    start = network.get_weights() if same_start else []
    identity = fingerprint(said, seeds, codec.loss_name, _structure(network), *start, len(samples), *arrays)
    found = read_state(checkpoint)
    if found is not None and (found.fingerprint != identity or found.epochs_done > settings.epochs):
        raise ValueError(
            f"checkpoint must hold this very training (images, parameters, network); {checkpoint} holds another one. "
            "Name another file, or delete this one to start from scratch."
        )
    return found or State(identity, seeds)


def _structure(layer: Any) -> Any:
    """What a network is made of, without names, which Keras counts up in every session, and how weights began."""
    if hasattr(layer, "layers"):
        return [_structure(part) for part in layer.layers]
    return type(layer).__name__, _without_names(layer.get_config()), [tuple(w.shape) for w in layer.weights]


def _without_names(config: Any) -> Any:
    """The same of a layer's configuration, and of those of the layers in it."""
    if isinstance(config, dict):
        left = [key for key in config if key != "name" and not str(key).endswith("_initializer")]
        return {key: _without_names(config[key]) for key in left}
    return [_without_names(value) for value in config] if isinstance(config, list | tuple) else config


def _check_converged(network: keras.Model, history: dict[str, list[float]], learning_rate: float) -> None:
    """Raise where infinite weights are all there is, warn where better ones came before them."""
    advice = f"learning_rate must be small enough for the training to converge; with {learning_rate:g} the "
    if not all(np.isfinite(weight).all() for weight in network.get_weights()):
        raise ValueError(f"{advice}weights became infinite.")
    if not np.isfinite(history["loss"]).all():
        epoch = int(np.argmin(np.isfinite(history["loss"]))) + 1
        warnings.warn(
            f"{advice}loss became infinite in epoch {epoch}: the best weights before are kept.",
            stacklevel=CALLER_OF_FIT,
        )


@networks.single_precision()
def make_network(
    network: Any, *, n_channels: int, n_outputs: int, filters: Sequence[int], seed: int | None, crop_size: int
) -> keras.Model:
    """Build the network that a segmenter's parameter names, or copy the one that it holds or builds."""
    networks.check_process()
    if isinstance(network, str):
        return networks.BUILDERS[network](n_channels, n_outputs, filters=filters, seed=seed)
    if isinstance(network, keras.Model):
        own = network
    else:
        with _seeding(seed):
            own = network(n_channels, n_outputs)
    custom.check_network(own, n_channels=n_channels, n_outputs=n_outputs, crop_size=crop_size)
    return copy_network(own, seed=seed)


def redrawn(network: keras.Model) -> keras.Model:
    """A copy whose trainable weights are none that anyone chose, zeros least of all: what it can look at shows."""
    rng = np.random.default_rng(0)
    copy = copy_network(network, seed=0)
    for weight in copy.trainable_weights:
        spread = 1 / np.sqrt(np.prod(weight.shape[:-1])) if len(weight.shape) > 1 else 0.1
        weight.assign(weight + spread * rng.standard_normal(weight.shape).astype(weight.dtype))
    return copy


@contextmanager
def _seeding(seed: int | None) -> Iterator[None]:
    """Keras takes seeds that nobody gave from Python's `random`: let them come of ours."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


@networks.single_precision()
def copy_network(network: keras.Model, *, seed: int | None) -> keras.Model:
    """The same layers with weights of their own; random layers (dropout, noise) draw from ``seed``."""
    try:
        with _seeding(seed):
            copy = keras.models.clone_model(network)
    except Exception as error:  # whatever a user's layers raise
        reason = one_line(str(error))[:200]
        raise ValueError(
            "network must be made of layers that Keras can copy (no Lambda, and layers of one's own with get_config); "
            f"it failed with: {reason}"
        ) from error
    copy.set_weights(network.get_weights())
    return copy


@networks.single_precision()
def forget_training(network: keras.Model) -> None:
    """Leave a network without optimizer and loss: then it can be copied and pickled."""
    network.compile("sgd", jit_compile=False)
