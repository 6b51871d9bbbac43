"""The intensities that become 0 and 1, and those outside of the picture: padding, saturated strips."""

from flowseg._intensities.limits import (
    DEFAULT,
    LIMITS,
    PERCENTILES,
    Limits,
    as_rule,
    channel_limits,
    find_limits,
    fixed_limits,
    stretch,
)
from flowseg._intensities.percentiles import Ranks, find_ranks, interpolate, percentiles
from flowseg._intensities.picture import (
    End,
    fills_enough,
    find_ends,
    find_picture,
    lattice_step,
    mark_picture,
    sharpen,
)

__all__ = [
    "DEFAULT",
    "LIMITS",
    "PERCENTILES",
    "End",
    "Limits",
    "Ranks",
    "as_rule",
    "channel_limits",
    "fills_enough",
    "find_ends",
    "find_limits",
    "find_picture",
    "find_ranks",
    "fixed_limits",
    "interpolate",
    "lattice_step",
    "mark_picture",
    "percentiles",
    "sharpen",
    "stretch",
]
