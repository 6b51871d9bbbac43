"""The test tensors of a package: an image as the network takes it, and what the network returns for it.

The outputs are computed by Keras, so that a test of the package compares the exported network with the trained one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowseg._export.usage import find_divisors
from flowseg._images import scaled_shape
from flowseg._intensities import PERCENTILES, Limits, as_rule, channel_limits, fixed_limits, stretch
from flowseg._nets.scaled_view import ScaledView
from flowseg._nets.tiles import Grid
from flowseg._segmenters.pipeline import Pipeline

Floats = NDArray[np.float32]

# What bioimage.io adds to the distance of percentiles, which must be above 0: too little to change one.
LEAST_EPSILON = 1e-30


class TestTensors(NamedTuple):
    """One image and its outputs, both of shape (1, channels, rows, columns), of volumes with planes before rows."""

    image: Floats
    outputs: Floats


def least_sides(grid: Grid) -> tuple[int, ...]:
    """Return the smallest sides of an image of which something is left without the margins."""
    return tuple(2 * margin + step for step, margin in zip(grid.steps, grid.margins, strict=True))


def make_test_tensors(pipeline: Pipeline, array: NDArray[Any]) -> TestTensors:
    """Return the test tensors of an image of shape (rows, columns, channels), scaled to the working diameter."""
    fitted = pipeline.fitted
    pixel = fitted.lattice.pixel(None)
    factor = pipeline.scale_factor(pipeline.typical_diameter(pixel))
    view = ScaledView(array, scaled_shape(array.shape[:-1], pixel.factors(factor)))
    steps, least = fitted.grid.steps, least_sides(fitted.grid)
    sides = [max(-(-n // step) * step, low) for n, step, low in zip(view.shape, steps, least, strict=True)]
    image = view.read([(0, side) for side in sides])  # mirrored beyond its edges
    normalized = normalize_as_there(image, pipeline.settings.normalize)
    outputs = np.asarray(fitted.network.predict_on_batch(normalized[np.newaxis]))
    return TestTensors(_channels_first(image[np.newaxis]), _channels_first(outputs / find_divisors(pipeline)))


def normalize_as_there(image: Floats, rule: Any) -> Floats:
    """Return (rows, columns, channels) normalized as bioimage.io does it by `preprocessing`: padding counts too."""
    n_channels = image.shape[-1]
    kind = as_rule(rule, n_channels)
    if kind is None or kind[0] != PERCENTILES:
        return stretch(image, fixed_limits(kind, n_channels))
    _, low, high = kind
    for c in range(n_channels):
        ends = np.percentile(image[..., c], [low, high])
        if ends[0] == ends[1]:
            raise ValueError(
                f"image must have percentiles {low:g} and {high:g} that differ, as its package is tested with it; got "
                f"{ends[0]:g} for both."
            )
    found = [channel_limits(image[..., c], None, low, high) for c in range(n_channels)]
    return stretch(image, Limits(*np.array(found).T))


def preprocessing(rule: Any, n_channels: int, axes: Sequence[str]) -> list[dict[str, Any]]:
    """Return a rule of normalization as steps of bioimage.io; ``axes`` are those of an image without channels."""
    kind = as_rule(rule, n_channels)
    if kind is None:
        return []
    if kind[0] == PERCENTILES:
        options = {"axes": [*axes], "min_percentile": kind[1], "max_percentile": kind[2], "eps": LEAST_EPSILON}
        return [{"id": "scale_range", "kwargs": options}]
    limits = fixed_limits(kind, n_channels)
    gain = 1 / (limits.high - limits.low)
    options = {"axis": "channel", "gain": gain.tolist(), "offset": (-limits.low * gain).tolist()}
    return [] if (gain == 1).all() and (limits.low == 0).all() else [{"id": "scale_linear", "kwargs": options}]


def _channels_first(batch: NDArray[Any]) -> Floats:
    return np.ascontiguousarray(np.moveaxis(batch, -1, 1), dtype=np.float32)
