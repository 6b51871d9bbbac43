"""The intensities that become 0 and 1, and those outside of the picture: padding, saturated strips."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flowseg import _checks

# Kinds of rules, the first word of the segmenters' parameter `normalize`.
PERCENTILES, LIMITS = "percentiles", "limits"
# The default rule.
DEFAULT = (PERCENTILES, 1.0, 99.0)

# The smallest or the largest value is outside of the picture (padding, saturation) if at least this share of the pixels
# has it (fewer would not move the percentiles) ...
LEAST_SHARE = 0.002
# ... the other pixels have at least this many values, so that they are no image of a few classes ...
LEAST_LEVELS = 8
# ... and either its outline is straight: at least this share of it lies in runs of this many pixels along an axis. In
# 890 real images the share is at most 0.2.
STRAIGHT_SHARE, STRAIGHT_RUN = 0.8, 32
# Or, where padding is not along the axes (a rotated image, a round field of view), the other pixels form one connected
# component of at least this share of the image ...
LEAST_PICTURE = 0.3
# ... except for this share of them, and except for this share of the padding, which must reach the border ...
MOST_LOOSE = 0.1
# ... the value differs from the others by at least this share of the range between their percentiles ...
LEAST_GAP = 0.5
# ... and the pixels beside it are like any others: their mean rank from its own end (0 to 1) is at least this. Beside a
# dark background or in the rim of saturated nuclei their values are the nearest: ranks of 0.01 to 0.1.
LEAST_RANK = 0.3
# Values to compare at most.
MOST_VALUES = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Per channel the values that become 0 and 1, and the range of the picture; values outside of it become 0.

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
    if rule is not None and rule[0] == PERCENTILES:
        pictures = (find_picture(image[..., c]) for c in range(n))
        return percentile_limits(image, pictures, rule[1], rule[2])
    pairs = ((0.0, 1.0),) if rule is None else rule[1:]
    low, high = np.array(pairs * n if len(pairs) == 1 else pairs).T
    return Limits(low, high, np.full(n, -np.inf), np.full(n, np.inf))


def percentile_limits(
    image: NDArray[Any], pictures: Iterable[NDArray[np.bool_] | None], low: float, high: float
) -> Limits:
    """Return the percentiles of each channel's picture as limits, equal where it is constant."""
    found = []
    for c, picture in enumerate(pictures):
        values = image[..., c] if picture is None else image[..., c][picture]
        ends = (-np.inf, np.inf) if picture is None else (float(values.min()), float(values.max()))
        found.append((*percentiles(values, low, high), *ends))
    return Limits(*np.array(found).T)


def percentiles(values: NDArray[Any], low: float, high: float) -> tuple[float, float]:
    """Return two percentiles; where they are equal, the smallest and the largest value."""
    exact = values if values.dtype.kind == "u" else values.astype(np.float64)  # differences may not fit a signed type
    bottom, top = (float(value) for value in np.percentile(exact, [low, high]))
    return (bottom, top) if bottom < top else (float(values.min()), float(values.max()))


def stretch(values: NDArray[Any], limits: Limits) -> NDArray[np.float32]:
    """Return values of (..., channels) with the limits at 0 and 1; pixels outside of the picture become 0."""
    largest = np.finfo(np.float32).max
    span = np.where(limits.high > limits.low, limits.high - limits.low, np.inf)  # a constant channel becomes 0
    exact = values.astype(np.float64)
    stretched = np.clip((exact - limits.low) / span, -largest, largest).astype(np.float32)
    if np.isfinite(limits.bottom).any():
        stretched[(exact < limits.bottom) | (exact > limits.top)] = 0
    return stretched


def find_picture(channel: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Return the pixels that are neither padding (the smallest or largest value) nor next to it; None for all."""
    picture = None
    for sign in (1, -1):
        found = _find_inside(channel, sign, picture)
        picture = picture if found is None else found
    return picture


def _find_inside(channel: NDArray[Any], sign: int, picture: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    """Return the same for one end: the smallest value for ``sign`` 1, the largest for -1."""
    value = channel.min() if sign > 0 else channel.max()
    filled = channel == value
    n = np.count_nonzero(filled)
    if channel.ndim < 2 or n < LEAST_SHARE * channel.size or n == channel.size:
        return None
    box = np.ones((3,) * channel.ndim, dtype=bool)
    near = ndimage.binary_dilation(filled, box)  # may be mixed with it where the image was rotated or resized
    sharp, soft = (~outside if picture is None else picture & ~outside for outside in (filled, near))
    inside: NDArray[np.bool_] = soft if soft.any() else sharp
    others = _sample(channel[inside])
    if others.size == 0 or np.unique(others).size < LEAST_LEVELS:
        return None
    if _straight_share(filled) >= STRAIGHT_SHARE:
        return inside
    for rest in (sharp, soft):
        beside = ndimage.binary_dilation(~rest, box) & rest
        if _stands_apart(float(value), _sample(channel[rest]), channel[beside], sign):
            return inside if _surrounds(filled, rest, box) else None
    return None


def _sample(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return a sorted sample of values."""
    return np.sort(values[:: 1 + values.size // MOST_VALUES].astype(np.float64))


def _straight_share(filled: NDArray[np.bool_]) -> float:
    """Return the share of the outline of an area that lies in long runs along an axis."""
    n_all = n_straight = 0
    for axis in range(filled.ndim):
        edge = np.diff(filled, axis=axis)
        straight = np.zeros_like(edge)
        for along in range(filled.ndim):
            if along != axis:
                run = [1] * filled.ndim
                run[along] = min(STRAIGHT_RUN, filled.shape[along])
                straight |= ndimage.binary_opening(edge, np.ones(run, dtype=bool))
        n_all += int(np.count_nonzero(edge))
        n_straight += int(np.count_nonzero(straight))
    return n_straight / n_all if n_all else 0.0


def _stands_apart(value: float, others: NDArray[np.float64], beside: NDArray[Any], sign: int) -> bool:
    """Return whether a value is far from all others, which are sorted, and its neighbors are not the nearest."""
    if not beside.size:
        return False
    bottom, top = (others[int(share * (others.size - 1))] for share in (0.01, 0.99))
    gap = bottom - value if sign > 0 else value - top
    if gap < LEAST_GAP * (top - bottom):
        return False
    ranks = sum(np.searchsorted(others, beside, side) for side in ("left", "right")) / (2 * others.size)
    rank = float(np.mean(ranks))
    return (rank if sign > 0 else 1 - rank) >= LEAST_RANK


def _surrounds(filled: NDArray[np.bool_], rest: NDArray[np.bool_], box: NDArray[np.bool_]) -> bool:
    """Return whether nearly all of an area reaches the border and nearly all of the rest is one large component."""
    labels, n = ndimage.label(rest, box)
    sizes = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    if sizes.max() < max(LEAST_PICTURE * rest.size, (1 - MOST_LOOSE) * sizes.sum()):
        return False
    labels, n = ndimage.label(filled, box)
    sizes = np.bincount(labels.ravel(), minlength=n + 1)
    ends = [np.take(labels, end, axis) for axis in range(labels.ndim) for end in (0, -1)]
    reached = np.unique(np.concatenate([end.ravel() for end in ends]))
    return bool(sizes[reached[reached > 0]].sum() >= (1 - MOST_LOOSE) * sizes[1:].sum())
