"""Segment a volume with a segmenter of images."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from flowseg import _checks
from flowseg._nets.sizes import check_scales
from flowseg._segmenters.codecs.codec import Masks, Outputs
from flowseg._segmenters.inputs import as_diameters
from flowseg._segmenters.learned_decoding.object_table import Table
from flowseg._segmenters.pipeline import Pipeline
from flowseg._segmenters.volumes.combine import combine_orientations
from flowseg._segmenters.volumes.stitch import stitch_planes
from flowseg._segmenters.volumes.volume import NDIM, OnPlane, Volume, prepare_volume, run_plane
from flowseg._segmenters.volumes.volume_codec import codec_of_planes, codec_of_volume, min_size_of
from flowseg._segmenters.volumes.volume_noise import warn_of_noise
from flowseg._segmenters.volumes.volume_size import find_size

PLANES, STITCH = "planes", "stitch"


def segment_volume(
    pipeline: Pipeline,
    volume: Any,
    *,
    spacing: Any = None,
    mode: str = PLANES,
    diameters: Any = None,
    on_plane: OnPlane | None = None,
) -> tuple[Masks, Table | None]:
    """Return the masks of a volume and, from flows of three orientations, a table of its objects.

    Scores in it put objects in an order; they are probabilities only for objects in images. Warns the caller's caller.
    See `VolumePrediction.predict_volume`.

    Parameters
    ----------
    pipeline, volume, spacing, mode, diameters
        As there.
    on_plane : callable, optional
        Called after each plane with the number of planes done and of all.
    """
    if pipeline.ndim == NDIM:
        raise ValueError("predict_volume must be called on a segmenter with ndim=2; this one has ndim=3: use predict.")
    _checks.check_choice(mode, "mode", (PLANES, STITCH))
    (diameter,) = as_diameters(diameters, 1)
    pipeline.check(diameter)
    prepared = prepare_volume(pipeline, volume, spacing)
    if spacing is not None and pipeline.fitted.lattice.spacing is not None:
        pipeline.warn_of_spacing([tuple(map(float, spacing[1:]))], stacklevel=3)
    if prepared.limits is None:
        warnings.warn("the volume is constant (the same value in all voxels): no objects there.", stacklevel=3)
        return np.zeros(prepared.shape, dtype=np.int32), None
    quiet = replace(pipeline, on_tile=None)
    size = find_size(quiet, prepared, diameter)
    check_scales(prepared.pixel.factors(pipeline.scale_factor(size)), prepared.pixel.ratios)
    if prepared.shape[0] == 1:
        masks, table = quiet.decode_objects(run_plane(quiet, prepared, 0, 0, size))
        masks = masks[np.newaxis]
    elif mode == STITCH:
        masks, table = _stitch(quiet, prepared, size, on_plane), None
    else:
        masks, table = _combine(quiet, prepared, size, on_plane)
    warn_of_noise(pipeline.noise_check(), prepared, masks, stacklevel=3)
    return masks, table


def _combine(pipeline: Pipeline, volume: Volume, size: float, on_plane: OnPlane | None) -> tuple[Masks, Table | None]:
    """Return masks from the three orientations, and a table of their objects."""
    learned = pipeline.fitted.decoding
    codec = codec_of_volume(pipeline.settings.codec, learned, volume.pixel.ratios)
    array = combine_orientations(pipeline, volume, size, on_plane)
    return codec.decode_objects(Outputs(array, pipeline.scale_factor(size), None, volume.pixel), learned)


def _stitch(pipeline: Pipeline, volume: Volume, size: float, on_plane: OnPlane | None) -> Masks:
    """Return masks from the planes of rows and columns."""
    learned, codec = pipeline.fitted.decoding, pipeline.settings.codec
    of_planes = codec_of_planes(codec)

    def planes() -> Iterator[Masks]:
        for index in range(volume.shape[0]):
            yield of_planes.decode(run_plane(pipeline, volume, 0, index, size), learned)
            if on_plane is not None:
                on_plane(index + 1, volume.shape[0])

    return stitch_planes(planes(), volume.shape, min_size_of(codec, learned, volume.pixel.ratios))
