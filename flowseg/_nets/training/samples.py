"""Training samples: images normalized and scaled, with their masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._images import resize, resize_masks, scaled_shape
from flowseg._intensities import find_limits, stretch
from flowseg._labels.numbering import NOT_ANNOTATED
from flowseg._labels.overlaps import number_objects
from flowseg._nets.encoder import Sparse
from flowseg._nets.lattice import PixelShape
from flowseg._nets.sizes import MAX_ENLARGEMENT, check_scales, image_diameter
from flowseg._nets.training.known_objects import KnownObjects

# An image is also shown at its own size where this differs from the typical one by more than this factor ...
OTHER_SIZE = 1.25
# ... this many times for every time at the typical size (docs/explanation/recipe.rst).
OWN_SIZE_SHOWN = 3
# A network does not learn from values beyond this, where 0 and 1 are the percentiles of an image.
LARGEST_VALUE = 1e6


@dataclass(frozen=True, eq=False)
class Sample:
    """One training image, normalized and scaled, and its label image."""

    image: NDArray[np.float32]  # (rows, columns, channels), of volumes (planes, rows, columns, channels)
    masks: NDArray[np.int32]  # (rows, columns) or (planes, rows, columns); negative = ignore
    sparse: Sparse | None = None  # None: all pixels count but those to ignore


def make_samples(
    images: Sequence[NDArray[Any]],
    known: Sequence[KnownObjects],
    pixels: Sequence[PixelShape],
    *,
    typical: float,
    working: float,
    every_size: bool,
    normalize: Any,
) -> list[Sample]:
    """Return samples: intensities stretched by the segmenter's ``normalize``, images and masks scaled.

    Every image is shown as `predict` scales it by default: an object of the typical diameter gets the working one. With
    ``every_size`` an image whose own objects have another size is also shown as with an estimate, where these get the
    working diameter. All images are shown equally often. ``pixels`` are the shapes of the images' pixels, and
    ``typical`` is in pixels of the lattice.
    """
    samples = []
    for image, objects, pixel in zip(images, known, pixels, strict=True):
        own = image_diameter(objects.masks, pixel.ratios)
        usual = typical / pixel.relative_size
        masks, sparse = _number_compactly(objects)
        stretched = stretch(image, find_limits(image, normalize))
        largest = float(np.abs(stretched).max())
        if largest > LARGEST_VALUE:
            raise ValueError(
                "images must not hold pixels far beyond all others (missing values?); got one that is "
                f"{largest:g} where 0 and 1 are the 1st and 99th percentiles."
            )
        differs = working / own < MAX_ENLARGEMENT and max(own / usual, usual / own) > OTHER_SIZE
        made = {}
        for size in (usual, own) if every_size and differs else (usual,):
            factors = pixel.factors(working / size)
            check_scales(factors, pixel.ratios)
            shape = scaled_shape(masks.shape, factors)
            made[size] = _resize(stretched, masks, sparse, shape)
        samples += [made[usual], *[made.get(own, made[usual])] * (OWN_SIZE_SHOWN if every_size else 0)]
    return samples


def _number_compactly(known: KnownObjects) -> tuple[NDArray[np.int32], Sparse | None]:
    """Return the same objects as 1..n, int32 for any labels, those of unknown flows last; pixels to ignore are -1."""
    masks = known.masks
    labels, number, _ = number_objects(masks)
    sparse = None
    if known.annotated is not None:
        rank = np.zeros(labels.size + 1, dtype=np.int64)
        is_cut = np.isin(labels, known.cut)
        rank[1 + np.argsort(is_cut, kind="stable")] = np.arange(1, labels.size + 1)
        number = rank[number]
        sparse = Sparse(known.annotated, int(np.count_nonzero(~is_cut)))
    return np.where(masks < 0, NOT_ANNOTATED, number.reshape(masks.shape)).astype(np.int32), sparse


def _resize(
    image: NDArray[np.float32], masks: NDArray[np.int32], sparse: Sparse | None, shape: tuple[int, ...]
) -> Sample:
    """Return the image and its objects at another size."""
    scaled = None if sparse is None else Sparse(resize_annotated(sparse.annotated, shape), sparse.n_whole)
    return Sample(resize(image, shape), resize_masks(masks, shape), scaled)


def resize_annotated(annotated: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Resize a mask: a new pixel is in it if any old pixel that it covers is, so that no annotated plane gets lost."""
    for axis, (old, new) in enumerate(zip(annotated.shape, shape, strict=True)):
        if old == new:
            continue
        count = np.zeros((old + 1, *np.delete(annotated.shape, axis)), dtype=np.int32)
        np.cumsum(np.moveaxis(annotated, axis, 0), axis=0, out=count[1:])
        edges = np.arange(new + 1) * old / new
        first, last = np.floor(edges[:-1]).astype(np.intp), np.ceil(edges[1:]).astype(np.intp)
        annotated = np.moveaxis(count[np.minimum(last, old)] > count[first], 0, axis)
    return annotated
