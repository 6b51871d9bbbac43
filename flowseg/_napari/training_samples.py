"""What a training gets: planes or volumes of layers, with their masks and spacing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

from flowseg._labels.numbering import NOT_ANNOTATED
from flowseg._napari import layers
from flowseg._napari.image_kinds import VOLUME

# In the place of an axis: all pixels are annotated.
EVERYTHING = -1


@dataclass(frozen=True)
class Pair:
    """Layers to train on."""

    image: Image
    masks: Labels
    spacing: tuple[float, ...] | None  # of volumes


@dataclass(frozen=True)
class Sample:
    """One plane or volume to train on."""

    image: NDArray[Any]
    masks: NDArray[Any]
    spacing: tuple[float, ...] | None


def find_samples(pair: Pair, ndim: int, annotated: int = EVERYTHING) -> list[Sample]:
    """Return the planes or volumes of a pair that are annotated.

    Those without objects count as not annotated, unless some pixels are marked so: the others are background. Of
    volumes only the sections across an axis may be annotated that hold an object.
    """
    if ndim == VOLUME and (reason := layers.no_volume(pair.image)):
        raise ValueError(reason)
    samples = []
    for index in layers.all_images(pair.masks, ndim):
        masks = layers.label_image(pair.masks, index)
        if (masks > 0).any() or ((masks == NOT_ANNOTATED).any() and (masks == 0).any()):
            if ndim == VOLUME and annotated != EVERYTHING:
                masks = leave_out_empty(masks, annotated)
            samples.append(Sample(layers.pixels(pair.image, index), masks, pair.spacing if ndim == VOLUME else None))
    return samples


def leave_out_empty(masks: NDArray[Any], axis: int) -> NDArray[np.int64]:
    """Return masks in which sections across an axis without an object are not annotated."""
    others = tuple(other for other in range(masks.ndim) if other != axis)
    is_empty = ~(masks > 0).any(axis=others, keepdims=True)
    return np.where(is_empty, NOT_ANNOTATED, masks.astype(np.int64))


def check_spacings(pairs: Sequence[Pair]) -> None:
    """Refuse spacings of some images and not of others."""
    missing = [pair.image.name for pair in pairs if pair.spacing is None]
    if 0 < len(missing) < len(pairs):
        raise ValueError(f"Spacing must be given for all volumes or for none; '{missing[0]}' has none.")
