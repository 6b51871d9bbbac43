"""A model of planes on volumes, in the worker process: as `predict_volume`, with outputs that can be decoded again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._napari.job_messages import SegmentJob
from flowseg._nets.sizes import check_scales
from flowseg._segmenters.codecs.codec import Masks, Outputs
from flowseg._segmenters.codecs.flow_codec import FlowCodec
from flowseg._segmenters.learned_decoding.object_table import Table
from flowseg._segmenters.pipeline import Pipeline
from flowseg._segmenters.volumes.combine import combine_orientations
from flowseg._segmenters.volumes.segment import PLANES
from flowseg._segmenters.volumes.stitch import stitch_planes
from flowseg._segmenters.volumes.volume import OnPlane, prepare_volume, run_plane
from flowseg._segmenters.volumes.volume_codec import codec_of_planes, codec_of_volume, min_size_of
from flowseg._segmenters.volumes.volume_noise import warn_of_noise
from flowseg._segmenters.volumes.volume_size import find_size


def run_planes(pipeline: Pipeline, volume: NDArray[Any], job: SegmentJob, on_plane: OnPlane) -> Outputs:
    """Return outputs for a volume: those of three orientations combined, or those of its planes, one by one."""
    prepared = prepare_volume(pipeline, volume, job.spacing)
    pipeline.check(job.diameter)
    size = find_size(pipeline, prepared, job.diameter)
    check_scales(prepared.pixel.factors(pipeline.scale_factor(size)), prepared.pixel.ratios)
    if is_combined(job.mode, len(volume)):
        array = combine_orientations(pipeline, prepared, size, on_plane)
    else:
        planes = []
        for k in range(len(volume)):
            planes.append(run_plane(pipeline, prepared, 0, k, size).array)
            on_plane(k + 1, len(volume))
        array = np.stack(planes)
    return Outputs(array, pipeline.scale_factor(size), prepared.unpadded, prepared.pixel)


def is_combined(mode: str, n_planes: int) -> bool:
    """Return whether outputs are those of three orientations; a single plane has one."""
    return mode == PLANES and n_planes > 1


def decode_planes(pipeline: Pipeline, outputs: Outputs, mode: str) -> tuple[Masks, Table | None]:
    """Return the masks of a volume and, from combined outputs, a table of its objects."""
    codec, learned, ratios = pipeline.settings.codec, pipeline.fitted.decoding, outputs.ratios
    if is_combined(mode, len(outputs.array)):
        return codec_of_volume(codec, learned, ratios).decode_objects(outputs, learned)
    planes = (Outputs(plane, outputs.factor) for plane in outputs.array)
    if len(outputs.array) == 1:
        masks, objects = codec.decode_objects(next(planes), learned)
        return masks[np.newaxis], objects
    single, least = codec_of_planes(codec), min_size_of(codec, learned, ratios)
    return stitch_planes((single.decode(plane, learned) for plane in planes), outputs.array.shape[:-1], least), None


def flows_of_planes(pipeline: Pipeline, outputs: Outputs, mode: str) -> list[NDArray[np.float32]]:
    """Return the flows of a volume, or of each of its planes, where the model has flows."""
    codec = pipeline.settings.codec
    if not isinstance(codec, FlowCodec):
        raise TypeError("outputs must be those of flows; got those of three classes.")
    if is_combined(mode, len(outputs.array)):
        return [replace(codec, ndim=outputs.array.ndim - 1).split(outputs.array)[0]]
    return [codec.split(plane)[0] for plane in outputs.array]


def look_for_noise(pipeline: Pipeline, volume: NDArray[Any], job: SegmentJob, masks: Masks) -> None:
    """Warn of objects that look like noise in a volume and in its planes."""
    warn_of_noise(pipeline.noise_check(), prepare_volume(pipeline, volume, job.spacing), masks, stacklevel=1)
