"""A volume that a segmenter of images is used on, and its planes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._intensities import Limits, find_limits_and_unpadded
from flowseg._nets.lattice import Lattice, PixelShape, ratios_of
from flowseg._padding import Unpadded
from flowseg._segmenters.codecs.codec import Outputs
from flowseg._segmenters.inputs import is_constant
from flowseg._segmenters.pipeline import Pipeline, PreparedImage

# Axes of a volume, without channels.
NDIM = 3

# Called after each plane with the number of planes done and the number of all planes, of all orientations.
OnPlane = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Volume:
    """A checked volume; its planes share one pair of intensity limits per channel, as the pixels of one image do."""

    array: NDArray[Any]  # (planes, rows, columns, channels)
    limits: Limits | None  # None: the volume is constant
    unpadded: Unpadded | None
    pixel: PixelShape  # of its voxels

    @property
    def shape(self) -> tuple[int, ...]:
        """Planes, rows and columns."""
        return self.array.shape[:NDIM]

    def plane(self, axis: int, index: int) -> PreparedImage:
        """Return the plane at a place along an axis; like any image, a constant one has no objects."""
        array = self.array[(slice(None),) * axis + (index,)]
        limits = None if is_constant(array) else self.limits
        return PreparedImage(array, limits, None, self.pixel_of_planes(axis))

    def pixel_of_planes(self, axis: int) -> PixelShape:
        """Return the shape of the pixels of planes across an axis; lengths are relative to the volume's finest axis."""
        ratios = tuple(ratio for other, ratio in enumerate(self.pixel.ratios) if other != axis)
        return replace(self.pixel, ratios=ratios, coarse_levels=self.pixel.coarse_levels[1:])


def prepare_volume(pipeline: Pipeline, volume: Any, spacing: Any) -> Volume:
    """Check a volume of shape (planes, rows, columns[, channels]) and find its limits and its padding."""
    array = as_volume(volume, pipeline.n_channels)
    pixel = find_pixel(pipeline.fitted.lattice, spacing)
    if is_constant(array):
        return Volume(array, None, None, pixel)
    return Volume(array, *find_limits_and_unpadded(array, pipeline.settings.normalize), pixel)


def as_volume(volume: Any, n_channels: int) -> NDArray[Any]:
    """Return a volume as (planes, rows, columns, n_channels); raise if it is none."""
    array = _checks.as_image(volume, "volume")
    is_image = array.ndim == NDIM - 1 or (array.ndim == NDIM and n_channels > 1 and array.shape[-1] == n_channels)
    if array.ndim == NDIM and n_channels == 1:
        array = array[..., np.newaxis]
    if array.ndim != NDIM + 1 or array.shape[-1] != n_channels:
        expected = "(planes, rows, columns)" if n_channels == 1 else f"(planes, rows, columns, {n_channels})"
        advice = ", one image, which predict segments" if is_image else ""
        raise ValueError(
            f"volume must have {n_channels} channel{'s' if n_channels > 1 else ''}, shape {expected}, as in the "
            f"segmenter's n_channels; got shape {np.shape(volume)}{advice}."
        )
    return array


def find_pixel(lattice: Lattice, spacing: Any) -> PixelShape:
    """Return the shape of voxels of a volume for a network that has learned from images of a lattice.

    Without a spacing voxels are taken to be as long along every axis, and as long as the training pixels.
    """
    known = lattice.spacing
    if spacing is None and known is not None and len(set(known)) > 1:
        raise ValueError(
            "spacing must be given for a segmenter that was trained on pixels of unequal sides, at spacing "
            f"({', '.join(f'{length:g}' for length in known)}); got None."
        )
    lengths = tuple(_checks.as_spacing(spacing, NDIM).tolist())
    relative_size = 1.0 if spacing is None or known is None else min(lengths) / min(known)
    return PixelShape(ratios_of(lengths), relative_size, (0, *lattice.coarse_levels))


def run_plane(pipeline: Pipeline, volume: Volume, axis: int, index: int, size: float) -> Outputs:
    """Return the outputs for one plane with objects of diameter ``size``."""
    return pipeline.run_at(volume.plane(axis, index), size)


def spread(n: int, most: int) -> list[int]:
    """Return at most ``most`` of n places, evenly spaced."""
    n_chosen = min(n, most)
    return [int((2 * k + 1) * n / (2 * n_chosen)) for k in range(n_chosen)]
