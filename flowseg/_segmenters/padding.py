"""Padding and saturated strips, looked for once per image: neither percentiles nor the noise check count them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._intensities import PERCENTILES, Limits, as_rule, find_limits, find_picture, percentile_limits

# Per channel the pixels that are not padding; None: all of them.
Pictures = tuple[NDArray[np.bool_] | None, ...]


def find_pictures(image: NDArray[Any]) -> Pictures:
    """Return the pixels of each channel of (rows, columns, channels) that are not padding."""
    return tuple(find_picture(image[..., c]) for c in range(image.shape[-1]))


def limits_and_pictures(image: NDArray[Any], normalize: Any) -> tuple[Limits, Pictures | None]:
    """Return the limits of `find_limits`, and the pictures where the rule has to look for them."""
    rule = as_rule(normalize, image.shape[-1])
    if rule is None or rule[0] != PERCENTILES:
        return find_limits(image, rule), None
    pictures = find_pictures(image)
    return percentile_limits(image, pictures, rule[1], rule[2]), pictures
