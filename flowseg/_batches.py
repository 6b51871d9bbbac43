"""Batches of randomly placed, turned, scaled and lit crops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Ranges of the random changes of intensity, on images whose 1st and 99th percentiles are 0 and 1.
GAIN = (0.7, 1.3)
OFFSET = (-0.15, 0.15)
GAMMA = (0.7, 1.4)
NOISE = (0.0, 0.06)


@dataclass(frozen=True)
class Sample:
    """One training image, normalised and scaled, and its target."""

    image: NDArray[np.float32]  # (rows, columns, channels)
    target: NDArray[np.float32]  # (rows, columns, 1 + ...), weight first


class CropBatches(keras.utils.PyDataset):
    """Random crops of random samples; every batch has a random generator of its own.

    A batch depends on ``seed``, the epoch and its number only, never on which thread made it or when.

    Parameters
    ----------
    samples : list of Sample
        What to crop from.
    vectors : slice or None
        Channels of the targets that hold a vector and turn with the image, if any.
    crop_size, batch_size, n_batches : int
        Pixels along a side, crops per batch, batches per epoch.
    jitter : float
        Crops are scaled by up to this factor, up or down; 1 means not at all.
    augment : bool
        Turn, flip and light crops at random, and draw others every epoch. Without, the same upright crops come
        every epoch.
    seed : int
        Source of chance.
    """

    def __init__(
        self,
        samples: list[Sample],
        *,
        vectors: slice | None,
        crop_size: int,
        batch_size: int,
        n_batches: int,
        jitter: float,
        augment: bool,
        seed: int,
    ) -> None:
        super().__init__(workers=1)
        self.samples = samples
        self.vectors = vectors
        self.crop_size = crop_size
        self.batch_size = batch_size
        self.n_batches = n_batches
        self.jitter = jitter
        self.augment = augment
        self.seed = seed
        self.epoch = 0

    @property
    def num_batches(self) -> int:
        """Batches per epoch."""
        return self.n_batches

    def on_epoch_end(self) -> None:
        """Draw other crops in the next epoch."""
        if self.augment:
            self.epoch += 1

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rng = np.random.default_rng([self.seed, self.epoch, index])
        crops = [self._crop(rng) for _ in range(self.batch_size)]
        images, targets = zip(*crops, strict=True)
        return np.stack(images), np.stack(targets)

    def _crop(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        sample = self.samples[rng.integers(len(self.samples))]
        scale = self.jitter ** rng.uniform(-1, 1)
        turn = _random_turn(rng) if self.augment else np.eye(2)
        image, target = _cut(sample, turn, scale, self.crop_size, rng)
        if self.vectors is not None:
            target[..., self.vectors] = target[..., self.vectors] @ turn
        if self.augment:
            image = _relight(image, rng)
        return image, target


def _random_turn(rng: np.random.Generator) -> NDArray[np.float64]:
    """Orthogonal matrix: a rotation by any angle, with a flip half of the time."""
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if rng.random() < 0.5:
        turn[:, 1] *= -1
    return turn


def _cut(
    sample: Sample, turn: NDArray[np.float64], scale: float, size: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cut one crop: crop pixel o shows the image at ``centre + turn @ (o - middle) / scale``.

    Beyond the image its mirror image is shown, without weight.
    """
    shape = np.array(sample.image.shape[:2])
    half = np.minimum(0.5 * size / scale, 0.5 * shape)
    centre = rng.uniform(half, shape - half) - 0.5
    matrix = turn / scale
    offset = centre - matrix @ np.full(2, 0.5 * (size - 1))
    low, high = _window(matrix, offset, size, shape)
    image, target = (a[low[0] : high[0], low[1] : high[1]] for a in (sample.image, sample.target))
    channels = [
        ndimage.affine_transform(
            image[..., c], matrix, offset - low, (size, size), order=1, mode="mirror", output=np.float32
        )
        for c in range(image.shape[2])
    ]
    layers = [
        ndimage.affine_transform(
            target[..., c], matrix, offset - low, (size, size), order=0, mode="constant", output=np.float32
        )
        for c in range(target.shape[2])
    ]
    return np.stack(channels, axis=-1), np.stack(layers, axis=-1)


def _window(
    matrix: NDArray[np.float64], offset: NDArray[np.float64], size: int, shape: NDArray[Any]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Part of the image that the crop shows, so that only this much is touched."""
    corners = np.array([[0, 0], [0, size], [size, 0], [size, size]]) @ matrix.T + offset
    low = np.clip(np.floor(corners.min(axis=0)) - 2, 0, shape - 1).astype(np.intp)
    high = np.clip(np.ceil(corners.max(axis=0)) + 3, low + 1, shape).astype(np.intp)
    return low, high


def _relight(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Random gamma, gain, offset (each channel its own) and noise."""
    n_channels = image.shape[-1]
    gamma = rng.uniform(*GAMMA, n_channels)
    bright = np.sign(image) * np.abs(image) ** gamma
    lit = bright * rng.uniform(*GAIN, n_channels) + rng.uniform(*OFFSET, n_channels)
    noise = rng.uniform(*NOISE) * rng.standard_normal(image.shape)
    return (lit + noise).astype(np.float32)
