"""The padding search: the pixels of an image that are neither padding nor saturated strips.

Neither the percentiles of an image nor the noise check count padding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# The smallest or the largest value is padding (or saturation) if at least this share of the pixels has it (fewer would
# not move the percentiles) ...
LEAST_SHARE = 0.002
# ... the other pixels have at least this many values, so that they are no image of a few classes ...
LEAST_LEVELS = 8
# ... and either its outline is straight: at least this share of it lies in runs of this many pixels along an axis. In
# 890 real images the share is at most 0.2.
STRAIGHT_SHARE, STRAIGHT_RUN = 0.8, 32
# Or, where padding is not along the axes (a rotated image, a round field of view), the other pixels form one connected
# component of at least this share of the image ...
LEAST_UNPADDED = 0.3
# ... except for this share of them, and except for this share of the padding, which must reach the border ...
MOST_LOOSE = 0.1
# ... the value differs from the others by at least this share of the range between their percentiles ...
LEAST_GAP = 0.5
# ... and the pixels beside it are like any others: their mean rank from its own end (0 to 1) is at least this. Beside a
# dark background or in the rim of saturated nuclei their values are the nearest: ranks of 0.01 to 0.1.
LEAST_RANK = 0.3
# Values to compare at most.
MOST_VALUES = 1_000_000

# Per channel the pixels that are not padding; None: all of them.
Unpadded = tuple[NDArray[np.bool_] | None, ...]


def find_unpadded(image: NDArray[Any]) -> Unpadded:
    """Return the pixels of each channel of (rows, columns, channels) that are not padding."""
    return tuple(find_unpadded_pixels(image[..., c]) for c in range(image.shape[-1]))


def find_unpadded_pixels(channel: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Return the pixels that are neither padding (the smallest or largest value) nor next to it; None for all."""
    unpadded = None
    for sign in (1, -1):
        found = _find_inside(channel, sign, unpadded)
        unpadded = unpadded if found is None else found
    return unpadded


def _find_inside(channel: NDArray[Any], sign: int, unpadded: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    """Return the same for one end: the smallest value for ``sign`` 1, the largest for -1."""
    value = channel.min() if sign > 0 else channel.max()
    filled = channel == value
    n = np.count_nonzero(filled)
    if channel.ndim < 2 or n < LEAST_SHARE * channel.size or n == channel.size:
        return None
    box = np.ones((3,) * channel.ndim, dtype=bool)
    near = ndimage.binary_dilation(filled, box)  # may be mixed with it where the image was rotated or resized
    sharp, soft = (~outside if unpadded is None else unpadded & ~outside for outside in (filled, near))
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
    if sizes.max() < max(LEAST_UNPADDED * rest.size, (1 - MOST_LOOSE) * sizes.sum()):
        return False
    labels, n = ndimage.label(filled, box)
    sizes = np.bincount(labels.ravel(), minlength=n + 1)
    ends = [np.take(labels, end, axis) for axis in range(labels.ndim) for end in (0, -1)]
    reached = np.unique(np.concatenate([end.ravel() for end in ends]))
    return bool(sizes[reached[reached > 0]].sum() >= (1 - MOST_LOOSE) * sizes[1:].sum())
