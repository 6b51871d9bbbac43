"""Batches of randomly placed and augmented crops."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowseg._nets.encoder import Encoder
from flowseg._nets.training.augmentation import change_intensities, cut_crop, random_rotation
from flowseg._nets.training.samples import Sample

# Batches that are made before they are needed.
AHEAD = 2

Batch = tuple[NDArray[np.float32], NDArray[np.float32]]  # images and targets


@dataclass(eq=False)
class CropBatches:
    """Random crops of random samples; every batch has its own random generator.

    A batch depends on ``seed``, the epoch and its number only, not on the thread that makes it or on time. The target
    is made from the crop's own masks: an object cut by the crop's edge has the flows of its visible part.

    Parameters
    ----------
    samples : list of Sample
        Images to crop from.
    codec : Encoder
        Makes targets of masks.
    crop_shape : tuple of int
        Pixels of a crop along each axis.
    batch_size, n_batches : int
        Crops per batch, batches per epoch.
    jitter : float
        Crops are scaled by up to this factor, up or down; 1 means not at all.
    augment : bool
        Rotate, flip and change the intensities of crops at random, and draw new ones every epoch. If False, every epoch
        has the same upright crops.
    seed : int
        Seed of all that is random.
    turns : tuple of int
        The axes that crops are rotated between, see `random_rotation`.
    """

    samples: list[Sample]
    codec: Encoder
    crop_shape: tuple[int, ...]
    batch_size: int
    n_batches: int
    jitter: float
    augment: bool
    seed: int
    turns: tuple[int, ...] = (0, 0)

    def make(self, epoch: int, index: int) -> Batch:
        """Return images and targets of one batch."""
        rng = np.random.default_rng([self.seed, epoch if self.augment else 0, index])
        crops = [self._crop(rng) for _ in range(self.batch_size)]
        images, targets = zip(*crops, strict=True)
        return np.stack(images), np.stack(targets)

    def epoch(self, number: int) -> Generator[Batch, None, None]:
        """Yield all batches of one epoch; a thread makes them while the network learns."""
        pool = ThreadPoolExecutor(1)
        try:
            ready = deque(pool.submit(self.make, number, i) for i in range(min(AHEAD, self.n_batches)))
            for i in range(len(ready), self.n_batches + len(ready)):
                batch = ready.popleft().result()
                if i < self.n_batches:
                    ready.append(pool.submit(self.make, number, i))
                yield batch
        finally:  # an interruption does not wait for batches that are not used
            pool.shutdown(wait=False, cancel_futures=True)

    def _crop(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        sample = self.samples[rng.integers(len(self.samples))]
        scale = self.jitter ** rng.uniform(-1, 1)
        rotation = random_rotation(rng, self.turns) if self.augment else np.eye(len(self.crop_shape))
        crop = cut_crop(sample, rotation, scale, self.crop_shape, rng)
        image = change_intensities(crop.image, rng) if self.augment else crop.image
        return image, self.codec.encode(crop.masks, workers=1, sparse=crop.sparse)
