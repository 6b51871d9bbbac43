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
from flowseg._nets.lattice import PixelShape
from flowseg._nets.sizes import MAX_ENLARGEMENT, image_diameter
from flowseg._nets.training.annotation import Annotation

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

    image: NDArray[np.float32]  # (rows, columns, channels), of volumes (planes, rows, columns, channels)
    masks: NDArray[np.int32]  # (rows, columns) or (planes, rows, columns); negative = ignore
    annotated: NDArray[np.bool_] | None = None  # pixels that count; None: all but those to ignore
    n_whole: int | None = None  # objects with larger numbers have unknown flows; None: there are none


def make_samples(
    images: Sequence[NDArray[Any]],
    annotations: Sequence[Annotation],
    pixels: Sequence[PixelShape],
    *,
    typical: float,
    working: float,
    every_size: bool,
    normalize: Any,
) -> list[Sample]:
    """Return samples: intensities stretched by the segmenter's ``normalize``, images and masks scaled.

    Every image is shown as `predict` scales it in its first pass: an object of the typical diameter gets the working
    one. With ``every_size`` an image whose own objects have another size is also shown as in a second pass, where these
    get the working diameter. All images are shown equally often. ``pixels`` are the shapes of the images' pixels, and
    ``typical`` is in pixels of the lattice.
    """
    samples = []
    for image, annotation, pixel in zip(images, annotations, pixels, strict=True):
        own = image_diameter(annotation.completed, pixel.ratios)
        usual = typical / pixel.relative_size
        objects = _number_compactly(annotation)
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
            shape = scaled_shape(objects.masks.shape, pixel.factors(working / size))
            made[size] = _resize(stretched, objects, shape)
        samples += [made[usual], *[made.get(own, made[usual])] * (OWN_SIZE_SHOWN if every_size else 0)]
    return samples


@dataclass(frozen=True, eq=False)
class _Objects:
    """Objects as in `Sample`, at the size of the image."""

    masks: NDArray[np.int32]
    annotated: NDArray[np.bool_] | None
    n_whole: int | None


def _number_compactly(annotation: Annotation) -> _Objects:
    """Return the same objects as 1..n, int32 for any labels, those of unknown flows last; pixels to ignore are -1."""
    masks = annotation.completed
    labels, number, _ = number_objects(masks)
    n_whole = None
    if annotation.cut.size:
        is_cut = np.isin(labels, annotation.cut)
        n_whole = int(np.count_nonzero(~is_cut))
        order = np.argsort(is_cut, kind="stable")
        rank = np.empty(labels.size + 1, dtype=np.int64)
        rank[0], rank[order + 1] = 0, np.arange(1, labels.size + 1)
        number = rank[number]
    numbered = np.where(masks < 0, IGNORE, number.reshape(masks.shape)).astype(np.int32)
    return _Objects(numbered, annotation.annotated, n_whole)


def _resize(image: NDArray[np.float32], objects: _Objects, shape: tuple[int, ...]) -> Sample:
    """Return the image and its objects at another size."""
    annotated = None if objects.annotated is None else resize_annotated(objects.annotated, shape)
    return Sample(resize(image, shape), resize_masks(objects.masks, shape), annotated, objects.n_whole)


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
