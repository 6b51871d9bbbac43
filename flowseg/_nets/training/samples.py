"""Training samples: images normalized and scaled, with their masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._images import resize, resize_masks, scaled_shape
from flowseg._intensities import find_limits, stretch
from flowseg._labels.overlaps import number_objects
from flowseg._nets.sizes import MAX_ENLARGEMENT, image_diameter

# Label of pixels to ignore: those that are not annotated, and those of a crop beyond the image.
IGNORE = -1
# An image is also shown at its own size where this differs from the typical one by more than this factor ...
OTHER_SIZE = 1.25
# ... this many times for every time at the typical size (docs/explanation/recipe.rst).
OWN_SIZE_SHOWN = 3
# A network does not learn from values beyond this, where 0 and 1 are the percentiles of an image.
LARGEST_VALUE = 1e6


@dataclass(frozen=True, eq=False)
class Sample:
    """One training image, normalized and scaled, and its label image."""

    image: NDArray[np.float32]  # (rows, columns, channels)
    masks: NDArray[np.int32]  # (rows, columns); negative = ignore


def make_samples(
    images: Sequence[NDArray[Any]],
    masks: Sequence[NDArray[Any]],
    *,
    typical: float,
    working: float,
    every_size: bool,
    normalize: Any,
) -> list[Sample]:
    """Return samples: intensities stretched by the segmenter's ``normalize``, images and masks scaled.

    Every image is shown as `predict` scales it in its first pass: an object of the typical diameter gets the working
    one. With ``every_size`` an image whose own objects have another size is also shown as in a second pass, where these
    get the working diameter. All images are shown equally often.
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
            shape = scaled_shape(labels.shape, (working / size,) * labels.ndim)
            made[size] = Sample(resize(stretched, shape), resize_masks(objects, shape))
        samples += [made[typical], *[made.get(own, made[typical])] * (OWN_SIZE_SHOWN if every_size else 0)]
    return samples


def _number_compactly(masks: NDArray[Any]) -> NDArray[np.int32]:
    """Return the same objects as 1..n, int32 for any labels; pixels to ignore are -1."""
    _, number, _ = number_objects(masks)
    return np.where(masks < 0, IGNORE, number.reshape(masks.shape)).astype(np.int32)
