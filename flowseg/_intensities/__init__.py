"""The intensities that become 0 and 1."""

from flowseg._intensities.limits import (
    DEFAULT,
    LIMITS,
    PERCENTILES,
    Limits,
    as_rule,
    channel_limits,
    find_limits,
    find_limits_and_unpadded,
    fixed_limits,
    stretch,
)
from flowseg._intensities.percentiles import Ranks, find_ranks, interpolate, percentiles

__all__ = [
    "DEFAULT",
    "LIMITS",
    "PERCENTILES",
    "Limits",
    "Ranks",
    "as_rule",
    "channel_limits",
    "find_limits",
    "find_limits_and_unpadded",
    "find_ranks",
    "fixed_limits",
    "interpolate",
    "percentiles",
    "stretch",
]
