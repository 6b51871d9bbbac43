"""Augmentation of training crops: rotation, flip, scale and intensity, at random.

Masks are turned with the image, and the flows of the turned masks are computed afterwards.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flowseg._labels.numbering import NOT_ANNOTATED
from flowseg._nets.encoder import Sparse
from flowseg._nets.training.samples import Sample

# Ranges of the random changes of intensity, on images whose 1st and 99th percentiles are 0 and 1.
GAIN = (0.7, 1.3)
OFFSET = (-0.15, 0.15)
GAMMA = (0.7, 1.4)
NOISE = (0.0, 0.06)

# Probability of a flip.
HALF = 0.5


def random_rotation(rng: np.random.Generator, turns: tuple[int, ...] = (0, 0)) -> NDArray[np.float64]:
    """Return an orthogonal matrix: a random rotation, with a flip half of the time.

    In a plane it is by any angle. ``turns`` holds a number for each axis: axes of the same number are exchanged by
    quarter turns, the last two rotated by any angle. All other axes are flipped half of the time.
    """
    ndim = len(turns)
    rotation = np.eye(ndim)
    first = ndim - 2  # the plane of rows and columns
    if turns[first] == turns[-1]:
        angle = rng.uniform(0, 2 * np.pi)
        rotation[first:, first:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        if rng.random() < HALF:
            rotation[:, -1] *= -1
    else:
        first = ndim
    for axis in range(first):
        if rng.random() < HALF:
            rotation[:, axis] *= -1
    for axis in range(ndim - 2):
        same = [other for other in range(axis, ndim) if turns[other] == turns[axis]]
        other = same[rng.integers(len(same))]
        rotation[:, [axis, other]] = rotation[:, [other, axis]]
    return rotation


def cut_crop(
    sample: Sample,
    rotation: NDArray[np.float64],
    scale: float,
    shape: tuple[int, ...],
    rng: np.random.Generator,
) -> Sample:
    """Cut one crop at a random place: pixel o shows the image at ``center + rotation @ (o - middle) / scale``.

    Beyond the image the crop shows its mirror image, where masks are ignored. A volume that is thinner than the crop is
    anywhere in it: `predict` shows it at the beginning of a tile.
    """
    ndim, size = len(shape), np.array(shape)
    full = np.array(sample.image.shape[:ndim])
    half = 0.5 * size / scale
    beyond = "grid-constant"  # each pixel is as long as the others: of a single plane there would be nothing left
    if ndim == 2:
        half = np.minimum(half, 0.5 * full)  # an image that is smaller than the crop is in its middle
        beyond = "constant"
    center = rng.uniform(np.minimum(half, full - half), np.maximum(half, full - half)) - 0.5
    matrix = rotation / scale
    offset = center - matrix @ (0.5 * (size - 1))
    low, high = _window(matrix, offset, shape, full)
    window = tuple(map(slice, low, high))
    place: dict[str, Any] = {"matrix": matrix, "offset": offset - low, "output_shape": shape}
    channels = [
        ndimage.affine_transform(channel[window], order=1, mode="mirror", output=np.float32, **place)
        for channel in np.moveaxis(sample.image, -1, 0)
    ]
    masks = ndimage.affine_transform(
        sample.masks[window], order=0, mode=beyond, cval=NOT_ANNOTATED, output=np.int32, **place
    )
    sparse = None
    if sample.sparse is not None:
        given = sample.sparse.annotated[window].astype(np.uint8)
        annotated = ndimage.affine_transform(given, order=0, mode=beyond, cval=0, **place)
        sparse = Sparse(annotated > 0, sample.sparse.n_whole)
    return Sample(np.stack(channels, axis=-1), masks, sparse)


def _window(
    matrix: NDArray[np.float64], offset: NDArray[np.float64], crop: tuple[int, ...], full: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return first and last (exclusive) pixel of the part of the image that the crop shows: only this is read."""
    corners = np.array(list(product(*((0, size) for size in crop)))) @ matrix.T + offset
    low = np.clip(np.floor(corners.min(axis=0)) - 2, 0, full - 1).astype(np.intp)
    high = np.clip(np.ceil(corners.max(axis=0)) + 3, low + 1, full).astype(np.intp)
    return low, high


def change_intensities(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the image with random gamma, gain and offset per channel, and noise."""
    n = image.shape[-1:]
    gamma, gain, offset = (rng.uniform(low, high, n).astype(np.float32) for low, high in (GAMMA, GAIN, OFFSET))
    noise = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(*NOISE))
    changed: NDArray[np.float32] = np.copysign(np.abs(image) ** gamma, image) * gain + offset + noise
    return changed
