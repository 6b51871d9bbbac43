"""Batches of randomly placed, turned, scaled and lit crops."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flowseg._nets.encoder import Encoder

# Ranges of the random changes of intensity, on images whose 1st and 99th percentiles are 0 and 1.
GAIN = (0.7, 1.3)
OFFSET = (-0.15, 0.15)
GAMMA = (0.7, 1.4)
NOISE = (0.0, 0.06)

# Batches that are made before they are asked for.
AHEAD = 2

Batch = tuple[NDArray[np.float32], NDArray[np.float32]]

# What masks hold where there is no image.
IGNORE = -1


@dataclass(frozen=True, eq=False)
class Sample:
    """One training image, normalised and scaled, and its label image."""

    image: NDArray[np.float32]  # (rows, columns, channels)
    masks: NDArray[np.int32]  # (rows, columns); negative = ignore


class CropBatches:
    """Random crops of random samples; every batch has a random generator of its own.

    A batch depends on ``seed``, the epoch and its number only, never on which thread made it or when. The target is
    made of the crop's own masks: an object cut by the crop's edge has the flows of the part that is seen.

    Parameters
    ----------
    samples : list of Sample
        What to crop from.
    codec : Encoder
        Makes targets of masks.
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
        codec: Encoder,
        crop_size: int,
        batch_size: int,
        n_batches: int,
        jitter: float,
        augment: bool,
        seed: int,
    ) -> None:
        self.samples = samples
        self.codec = codec
        self.crop_size = crop_size
        self.batch_size = batch_size
        self.n_batches = n_batches
        self.jitter = jitter
        self.augment = augment
        self.seed = seed

    def make(self, epoch: int, index: int) -> Batch:
        """Images and targets of one batch."""
        rng = np.random.default_rng([self.seed, epoch if self.augment else 0, index])
        crops = [self._crop(rng) for _ in range(self.batch_size)]
        images, targets = zip(*crops, strict=True)
        return np.stack(images), np.stack(targets)

    def epoch(self, number: int) -> Generator[Batch, None, None]:
        """All batches of one epoch, made ahead in a thread of their own while the network learns."""
        pool = ThreadPoolExecutor(1)
        try:
            ready = deque(pool.submit(self.make, number, i) for i in range(min(AHEAD, self.n_batches)))
            for i in range(len(ready), self.n_batches + len(ready)):
                batch = ready.popleft().result()
                if i < self.n_batches:
                    ready.append(pool.submit(self.make, number, i))
                yield batch
        finally:  # an interruption does not wait for batches that nobody will see
            pool.shutdown(wait=False, cancel_futures=True)

    def _crop(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        sample = self.samples[rng.integers(len(self.samples))]
        scale = self.jitter ** rng.uniform(-1, 1)
        turn = _random_turn(rng) if self.augment else np.eye(2)
        image, masks = _cut(sample, turn, scale, self.crop_size, rng)
        if self.augment:
            image = _relight(image, rng)
        return image, self.codec.encode(masks, workers=1)


def _random_turn(rng: np.random.Generator) -> NDArray[np.float64]:
    """Orthogonal matrix: a rotation by any angle, with a flip half of the time."""
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if rng.random() < 0.5:
        turn[:, 1] *= -1
    return turn


def _cut(
    sample: Sample, turn: NDArray[np.float64], scale: float, size: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Cut one crop: crop pixel o shows the image at ``centre + turn @ (o - middle) / scale``.

    Beyond the image its mirror image is shown, to be ignored.
    """
    shape = np.array(sample.image.shape[:2])
    half = np.minimum(0.5 * size / scale, 0.5 * shape)
    centre = rng.uniform(half, shape - half) - 0.5
    matrix = turn / scale
    offset = centre - matrix @ np.full(2, 0.5 * (size - 1))
    low, high = _window(matrix, offset, size, shape)
    image, masks = (a[low[0] : high[0], low[1] : high[1]] for a in (sample.image, sample.masks))
    place: dict[str, Any] = {"matrix": matrix, "offset": offset - low, "output_shape": (size, size)}
    channels = [
        ndimage.affine_transform(image[..., c], order=1, mode="mirror", output=np.float32, **place)
        for c in range(image.shape[2])
    ]
    cut = ndimage.affine_transform(masks, order=0, mode="constant", cval=IGNORE, output=np.int32, **place)
    return np.stack(channels, axis=-1), cut


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
    n = image.shape[-1:]
    gamma, gain, offset = (rng.uniform(low, high, n).astype(np.float32) for low, high in (GAMMA, GAIN, OFFSET))
    noise = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(*NOISE))
    return np.copysign(np.abs(image) ** gamma, image) * gain + offset + noise
