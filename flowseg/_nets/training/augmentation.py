"""Augmentation of training crops: rotation, flip, scale and intensity, at random."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flowseg._nets.training.samples import IGNORE, Sample

# Ranges of the random changes of intensity, on images whose 1st and 99th percentiles are 0 and 1.
GAIN = (0.7, 1.3)
OFFSET = (-0.15, 0.15)
GAMMA = (0.7, 1.4)
NOISE = (0.0, 0.06)


def random_rotation(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return an orthogonal matrix: a rotation by any angle, with a flip half of the time."""
    angle = rng.uniform(0, 2 * np.pi)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if rng.random() < 0.5:
        rotation[:, 1] *= -1
    return rotation


def cut_crop(
    sample: Sample, rotation: NDArray[np.float64], scale: float, size: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Cut one crop at a random place: pixel o shows the image at ``center + rotation @ (o - middle) / scale``.

    Beyond the image the crop shows its mirror image, where masks are ignored.
    """
    shape = np.array(sample.image.shape[:2])
    half = np.minimum(0.5 * size / scale, 0.5 * shape)
    center = rng.uniform(half, shape - half) - 0.5
    matrix = rotation / scale
    offset = center - matrix @ np.full(2, 0.5 * (size - 1))
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
    matrix: NDArray[np.float64], offset: NDArray[np.float64], size: int, shape: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return first and last (exclusive) pixel of the part of the image that the crop shows: only this is read."""
    corners = np.array([[0, 0], [0, size], [size, 0], [size, size]]) @ matrix.T + offset
    low = np.clip(np.floor(corners.min(axis=0)) - 2, 0, shape - 1).astype(np.intp)
    high = np.clip(np.ceil(corners.max(axis=0)) + 3, low + 1, shape).astype(np.intp)
    return low, high


def change_intensities(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the image with random gamma, gain and offset per channel, and noise."""
    n = image.shape[-1:]
    gamma, gain, offset = (rng.uniform(low, high, n).astype(np.float32) for low, high in (GAMMA, GAIN, OFFSET))
    noise = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(*NOISE))
    changed: NDArray[np.float32] = np.copysign(np.abs(image) ** gamma, image) * gain + offset + noise
    return changed
