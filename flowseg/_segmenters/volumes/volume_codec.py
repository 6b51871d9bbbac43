"""Decoding in volumes by what a segmenter has learned of images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from flowseg._segmenters.codecs.boundary_codec import BoundaryCodec
from flowseg._segmenters.codecs.codec import Codec
from flowseg._segmenters.codecs.flow_codec import FlowCodec
from flowseg._segmenters.learned_decoding.find_objects import Decoding
from flowseg._segmenters.learned_decoding.thresholds import GivenThresholds, Thresholds
from flowseg._segmenters.volumes.volume import NDIM


def voxels_of_ball(area: int, ratios: Sequence[float]) -> int:
    """Return the voxels of a ball as wide as a disk of this area, in pixels of the finest axis.

    ``ratios`` are the lengths of a voxel along each axis over the shortest.
    """
    return round(4 / 3 * math.pi * math.sqrt(area / math.pi) ** 3 / math.prod(ratios))


def codec_of_planes(codec: Codec) -> Codec:
    """Return the codec that decodes single planes for stitching: sections of an object may be small."""
    if isinstance(codec, FlowCodec):
        return replace(codec, given=replace(codec.given, min_size=0))
    return replace(_as_boundary_codec(codec), min_size=0)


def codec_of_volume(codec: Codec, learned: Decoding, ratios: Sequence[float]) -> Codec:
    """Return the codec that decodes combined outputs in 3-D.

    The cellprob threshold is that of images, and ``min_size`` that of the ball. A flow threshold that `fit` has chosen
    counts if it is above the default one: combined flows are never as near to those of an object as flows of one plane
    are. Scores are of objects in images.
    """
    if not isinstance(codec, FlowCodec):
        return replace(_as_boundary_codec(codec), ndim=NDIM, min_size=min_size_of(codec, learned, ratios))
    thresholds = codec.thresholds(learned)
    least = Thresholds().flow_threshold
    error = thresholds.flow_threshold
    if "flow_threshold" not in codec.given.names and error is not None and least is not None:
        error = max(error, least)
    size = min_size_of(codec, learned, ratios)
    return replace(codec, ndim=NDIM, given=GivenThresholds(thresholds.cellprob_threshold, error, size, None))


def min_size_of(codec: Codec, learned: Decoding, ratios: Sequence[float]) -> int:
    """Return the least size of an object in voxels."""
    thresholds = codec.thresholds(learned)
    area = _as_boundary_codec(codec).min_size if thresholds is None else thresholds.min_size
    return voxels_of_ball(area, ratios)


def _as_boundary_codec(codec: Codec) -> BoundaryCodec:
    if not isinstance(codec, BoundaryCodec):
        raise TypeError(f"codec must be of flows or of three classes; got {type(codec).__name__}.")
    return codec
