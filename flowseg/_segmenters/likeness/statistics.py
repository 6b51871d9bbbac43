"""Statistics of an image: a few numbers that describe what a segmenter sees and finds in it.

They need no further pass of the network, and do not depend on tiles. Of large images they look at a lattice of pixels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._intensities import Limits, stretch
from flowseg._nets.sizes import image_diameter
from flowseg._segmenters.codecs.codec import Codec, Masks, Outputs

# Names of statistics; the first has the channel's number after it if there are several channels.
MEDIAN, SIZE, SHARE = "median_intensity", "object_size", "object_share"
PROBABILITY, FLOW_LENGTH = "object_probability", "flow_length"

# A number for each name. What an image does not have is left out, such as the size of objects where there are none.
Statistics = dict[str, float]

# Pixels that are looked at: of larger images every second along each axis, or third, ... More would not change
# medians and means by a percent.
MOST_PIXELS = 2**20
# Digits that are kept. The rest differs from machine to machine.
DIGITS = 4


def measure_image(codec: Codec, working: float, image: NDArray[Any], outputs: Outputs, masks: Masks) -> Statistics:
    """Return the statistics of an image; none of a constant one, or where its limits are not known.

    Parameters
    ----------
    codec : Codec
        Knows what outputs mean.
    working : float
        Diameter in pixels at which the network expects objects.
    image : ndarray, shape (rows, columns[, channels])
        The image; a volume has planes first.
    outputs : Outputs
        Those of the network for it.
    masks : ndarray of int, shape (rows, columns)
        The objects found.

    Returns
    -------
    statistics : dict of float
        ``median_intensity``: of the normalized image, for each channel. ``object_size``: median diameter as the
        network sees it, over the working diameter. ``object_share``: share of the pixels that are in objects.
        ``object_probability`` and ``flow_length``: mean predicted probability of foreground and mean length of
        predicted flows in objects.
    """
    if outputs.limits is None:
        return {}
    step = max(1, math.ceil((masks.size / MOST_PIXELS) ** (1 / masks.ndim)))
    places = (slice(step // 2, None, step),) * masks.ndim
    inside = masks[places] > 0
    channels = image if image.ndim > masks.ndim else image[..., np.newaxis]
    found = _measure_medians(channels[places], outputs.limits)
    found[SHARE] = float(inside.mean())
    found[SIZE] = image_diameter(masks, outputs.ratios) * outputs.factor / working
    in_objects = outputs.array[places][inside]
    if in_objects.size:
        found[PROBABILITY] = float(codec.foreground(in_objects).mean(dtype=np.float64))
        if codec.vectors is not None:
            found[FLOW_LENGTH] = float(np.linalg.norm(in_objects[..., codec.vectors], axis=-1).mean(dtype=np.float64))
    return {name: float(f"{value:.{DIGITS}g}") for name, value in found.items() if math.isfinite(value)}


def _measure_medians(channels: NDArray[Any], limits: Limits) -> Statistics:
    """Return the median normalized intensity of each channel; padding does not count."""
    values = stretch(channels, limits)
    unpadded = (channels >= limits.bottom) & (channels <= limits.top)
    n_channels = channels.shape[-1]
    names = [MEDIAN] if n_channels == 1 else [f"{MEDIAN}[{c}]" for c in range(n_channels)]
    return {name: _median(values[..., c][unpadded[..., c]]) for c, name in enumerate(names)}


def _median(values: NDArray[Any]) -> float:
    return float(np.median(values)) if values.size else float("nan")
