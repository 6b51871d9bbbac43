"""The diameter that objects of a volume have in its planes, estimated in some of them."""

from __future__ import annotations

import numpy as np

from flowseg._labels.diameters import diameters
from flowseg._nets.sizes import MAX_PASSES
from flowseg._segmenters.inputs import Diameter
from flowseg._segmenters.pipeline import Pipeline
from flowseg._segmenters.size_estimate import size_search
from flowseg._segmenters.volumes.volume import Volume, run_plane, spread

# Planes of rows and columns, evenly spaced, that an estimate is made in. Source: chosen; objects of a diameter of a
# tenth of the volume's depth show in several of them.
MOST_PLANES = 16


def find_size(pipeline: Pipeline, volume: Volume, diameter: Diameter) -> float:
    """Return the diameter that a pass over a volume is to be made for, by the rules for one image."""
    by_default = diameter is None and pipeline.estimates
    if by_default or isinstance(diameter, str):
        return _estimate_size(pipeline, volume, bounded=by_default)
    return pipeline.typical_diameter(volume.pixel) if diameter is None else diameter


def _estimate_size(pipeline: Pipeline, volume: Volume, *, bounded: bool) -> float:
    """Return the diameter that passes over planes arrive at, each scaled by the estimate of the one before."""
    search = size_search(pipeline, volume.pixel, bounded=bounded)
    size = search.first
    for _ in range(1, MAX_PASSES):
        following = search.next_pass(size, size, _measure_planes(pipeline, volume, size))
        if following is None:
            break
        before, size = size, following
        if search.is_last(size, before):
            break
    return size


def _measure_planes(pipeline: Pipeline, volume: Volume, size: float) -> float:
    """Return the median diameter of the objects in the planes; NaN without objects."""
    found = []
    for index in spread(volume.shape[0], MOST_PLANES):
        outputs = run_plane(pipeline, volume, 0, index, size)
        found.append(diameters(pipeline.settings.codec.decode_for_size(outputs), spacing=outputs.ratios))
    every = np.concatenate(found)
    return float(np.median(every)) if every.size else float("nan")
