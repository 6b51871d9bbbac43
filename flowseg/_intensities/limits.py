"""Rules for the intensities that become 0 and 1, and the limits that an image has by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._intensities.percentiles import percentiles
from flowseg._padding import Unpadded, find_unpadded, find_unpadded_pixels

# Kinds of rules, the first word of the segmenters' parameter `normalize`.
PERCENTILES, LIMITS = "percentiles", "limits"
# The default rule.
DEFAULT = (PERCENTILES, 1.0, 99.0)


@dataclass(frozen=True)
class Limits:
    """Per channel the values that become 0 and 1, and the range of the pixels that count; padding becomes 0.

    All are arrays of shape (channels,); without padding ``bottom`` and ``top`` are infinite.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    bottom: NDArray[np.float64]
    top: NDArray[np.float64]


def as_rule(normalize: Any, n_channels: int | None = None) -> tuple[Any, ...] | None:
    """Return the parameter `normalize` in one form: None, (PERCENTILES, low, high) or (LIMITS, (low, high), ...)."""
    if normalize is None:
        return None
    expected = '("percentiles", low, high), ("limits", low, high), ("limits", (low, high), ...) or None'
    if not isinstance(normalize, tuple | list) or not normalize or not isinstance(normalize[0], str):
        raise TypeError(f"normalize must be {expected}; got {normalize!r}.")
    kind, *values = normalize
    if kind not in (PERCENTILES, LIMITS):
        raise ValueError(f"normalize must be {expected}; got {normalize!r}.")
    is_pair = len(values) == 2 and not any(isinstance(value, tuple | list | np.ndarray) for value in values)
    if kind == PERCENTILES:
        if not is_pair:
            raise ValueError(f'normalize must be ("percentiles", low, high), two numbers; got {normalize!r}.')
        return (kind, *_as_pair(values, "percentiles", 0.0, 100.0))
    pairs = [values] if is_pair else values
    if not pairs or any(not isinstance(pair, tuple | list | np.ndarray) or len(pair) != 2 for pair in pairs):
        raise ValueError(f'normalize must be ("limits", low, high) or one (low, high) per channel; got {normalize!r}.')
    if n_channels is not None and len(pairs) not in (1, n_channels):
        raise ValueError(
            f"normalize must have limits for all channels together or for each of the {n_channels}; got {len(pairs)}."
        )
    return (kind, *(_as_pair(pair, "limits", -np.inf, np.inf) for pair in pairs))


def _as_pair(pair: Any, kind: str, low: float, high: float) -> tuple[float, float]:
    first, second = (_checks.as_number(value, f"normalize's {kind}", low=low, high=high) for value in pair)
    if first >= second:
        raise ValueError(
            f"normalize's {kind} must be two numbers, the first less than the second; got {first:g} and {second:g}."
        )
    return first, second


def find_limits(image: NDArray[Any], normalize: Any = DEFAULT) -> Limits:
    """Return the limits of (..., channels) by a rule as in `as_rule`."""
    n = image.shape[-1]
    rule = as_rule(normalize, n)
    if rule is None or rule[0] == LIMITS:
        return fixed_limits(rule, n)
    channels = [image[..., c] for c in range(n)]
    found = [channel_limits(channel, find_unpadded_pixels(channel), rule[1], rule[2]) for channel in channels]
    return Limits(*np.array(found).T)


def find_limits_and_unpadded(image: NDArray[Any], normalize: Any) -> tuple[Limits, Unpadded | None]:
    """Return the limits of `find_limits`, and the pixels that are not padding where the rule has to look for them."""
    n = image.shape[-1]
    rule = as_rule(normalize, n)
    if rule is None or rule[0] == LIMITS:
        return fixed_limits(rule, n), None
    unpadded = find_unpadded(image)
    found = [channel_limits(image[..., c], pixels, rule[1], rule[2]) for c, pixels in enumerate(unpadded)]
    return Limits(*np.array(found).T), unpadded


def fixed_limits(rule: tuple[Any, ...] | None, n_channels: int) -> Limits:
    """Return the limits that do not depend on the image, for None and (LIMITS, ...)."""
    pairs = ((0.0, 1.0),) if rule is None else rule[1:]
    low, high = np.array(pairs * n_channels if len(pairs) == 1 else pairs).T
    return Limits(low, high, np.full(n_channels, -np.inf), np.full(n_channels, np.inf))


def channel_limits(
    channel: NDArray[Any], unpadded: NDArray[np.bool_] | None, low: float, high: float
) -> tuple[float, float, float, float]:
    """Return the percentiles of one channel, equal where it is constant, and the range of the pixels that count."""
    if unpadded is None:
        return (*percentiles(channel, low, high), -np.inf, np.inf)
    values = channel[unpadded]
    return (*percentiles(values, low, high), float(values.min()) + 0.0, float(values.max()) + 0.0)  # no -0.0


def stretch(values: NDArray[Any], limits: Limits) -> NDArray[np.float32]:
    """Return values of (..., channels) with the limits at 0 and 1; padding becomes 0."""
    largest = np.finfo(np.float32).max
    span = np.where(limits.high > limits.low, limits.high - limits.low, np.inf)  # a constant channel becomes 0
    exact = values.astype(np.float64)
    stretched = np.clip((exact - limits.low) / span, -largest, largest).astype(np.float32)
    if np.isfinite(limits.bottom).any():
        stretched[(exact < limits.bottom) | (exact > limits.top)] = 0
    return stretched
