"""Train a network: scale the images, draw batches, fit, keep the best weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from flowseg import _losses, _networks, _own_networks
from flowseg._batches import CropBatches, Sample
from flowseg._codecs import Codec
from flowseg._flows import diameters
from flowseg._images import normalize, resize, resize_masks, scaled_shape

# Random scaling of training crops, up or down by this factor at most.
SCALE_JITTER = 1.3
# An image is also shown at its own size where this is further from the working diameter than this factor.
SAME_SIZE = 1.25
# ... but not if it had to be enlarged by more than this factor: a stray pixel is no object of one pixel.
MAX_ENLARGEMENT = 4.0
# Shares of the steps in which the learning rate rises, and the factor it falls to at the end.
WARM_UP = 0.05
FINAL_RATE = 0.01
# Pulls the weights towards 0 (AdamW), per step and relative to the learning rate.
WEIGHT_DECAY = 1e-4
# Crops that the validation loss is measured on, at most.
VALIDATION_CROPS = 64


@dataclass(frozen=True)
class TrainingSettings:
    """What `train` needs to know; the meaning is that of the segmenters' parameters."""

    diameter: float
    crop_size: int
    batch_size: int
    epochs: int
    steps_per_epoch: int
    learning_rate: float
    augment: bool
    patience: int | None
    workers: int | None
    verbose: int


def image_diameter(masks: NDArray[Any]) -> float:
    """Median diameter of the objects of one image; NaN where there is none."""
    values = diameters(masks)
    return float(np.median(values)) if values.size else float("nan")


def typical_diameter(masks: Sequence[NDArray[Any]]) -> float:
    """Median over the images that have objects of their objects' median diameter."""
    return float(np.nanmedian([image_diameter(m) for m in masks]))


def make_samples(
    images: Sequence[NDArray[Any]],
    masks: Sequence[NDArray[Any]],
    codec: Codec,
    *,
    typical: float,
    settings: TrainingSettings,
    every_size: bool,
) -> list[Sample]:
    """Scale and encode images.

    Every image is shown as `predict` is going to scale it when nobody tells it a diameter: so that an object of
    the typical diameter gets the working diameter. With ``every_size`` an image whose own objects are of
    another size is shown a second time, so that these get the working diameter.
    """
    samples = []
    for image, labels in zip(images, masks, strict=True):
        own = image_diameter(labels)
        sizes = [typical]
        if every_size and settings.diameter / own < MAX_ENLARGEMENT and abs(np.log(own / typical)) > np.log(SAME_SIZE):
            sizes.append(own)
        stretched = normalize(image, channel_axis=-1)
        for size in sizes:
            shape = scaled_shape(labels.shape, settings.diameter / size)
            target = codec.encode(resize_masks(labels, shape), workers=settings.workers)
            samples.append(Sample(resize(stretched, shape), target))
    return samples


def learning_rate_at(step: int, n_steps: int, peak: float) -> float:
    """Linear rise, then half a cosine down to a hundredth."""
    rise = max(1.0, WARM_UP * n_steps)
    if step < rise:
        return peak * (step + 1) / (rise + 1)
    progress = (step - rise) / max(1.0, n_steps - rise)
    return peak * (FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + np.cos(np.pi * progress)))


class _CosineRate(keras.callbacks.Callback):
    """Set the learning rate before every step."""

    def __init__(self, n_steps: int, peak: float) -> None:
        super().__init__()
        self.n_steps = n_steps
        self.peak = peak
        self.step = 0

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self.model.optimizer.learning_rate = learning_rate_at(self.step, self.n_steps, self.peak)
        self.step += 1


def train(
    network: keras.Model,
    samples: list[Sample],
    validation: list[Sample],
    codec: Codec,
    settings: TrainingSettings,
    *,
    callbacks: Sequence[Any],
    seed: int,
) -> dict[str, list[float]]:
    """Train ``network`` in place, leave the weights of the lowest validation loss, return the history."""
    n_steps = settings.epochs * settings.steps_per_epoch
    common: dict[str, Any] = {
        "vectors": codec.vectors,
        "crop_size": settings.crop_size,
        "batch_size": settings.batch_size,
    }
    batches = CropBatches(
        samples,
        **common,
        n_batches=settings.steps_per_epoch,
        jitter=SCALE_JITTER if settings.augment else 1.0,
        augment=settings.augment,
        seed=seed,
    )
    held_out = None
    chosen = [_CosineRate(n_steps, settings.learning_rate)]
    if validation:
        n_crops = min(VALIDATION_CROPS, 4 * len(validation))
        held_out = CropBatches(
            validation,
            **common,
            n_batches=-(-n_crops // settings.batch_size),
            jitter=1.0,
            augment=False,
            seed=seed,
        )
        patience = settings.epochs if settings.patience is None else settings.patience
        chosen.append(keras.callbacks.EarlyStopping(monitor="val_loss", patience=patience, restore_best_weights=True))
    network.compile(
        optimizer=keras.optimizers.AdamW(settings.learning_rate, weight_decay=WEIGHT_DECAY),
        loss=getattr(_losses, codec.loss_name),
        jit_compile=False,
    )
    history = network.fit(
        batches,
        validation_data=held_out,
        epochs=settings.epochs,
        callbacks=[*chosen, *callbacks],
        shuffle=False,
        verbose=settings.verbose,
    )
    if not all(np.isfinite(weight).all() for weight in network.get_weights()):
        raise ValueError(
            f"learning_rate must be small enough for the training to converge; with {settings.learning_rate:g} the "
            "weights became infinite."
        )
    return {name: [float(value) for value in values] for name, values in history.history.items()}


def make_network(
    network: Any, *, n_channels: int, n_outputs: int, filters: Sequence[int], seed: int | None, crop_size: int
) -> keras.Model:
    """Build the network that a segmenter's parameter names, or copy the one that it holds or builds."""
    if isinstance(network, str):
        return _networks.BUILDERS[network](n_channels, n_outputs, filters=filters, seed=seed)
    own = network if isinstance(network, keras.Model) else network(n_channels, n_outputs)
    _own_networks.check_network(own, n_channels=n_channels, n_outputs=n_outputs, crop_size=crop_size)
    copy = keras.models.clone_model(own)
    copy.set_weights(own.get_weights())
    return copy
