"""The padding search: the pixels of an image that are neither padding nor saturated strips.

Neither the percentiles of an image nor the noise check count padding: pixels with the smallest or the largest value.
Whether such a value is padding is decided on a lattice of pixels that is small enough for any image. Which pixels are
padding depends on a pixel and its neighbors only. So an image in blocks has the same padding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# The smallest or the largest value is padding (or saturation) if at least this share of the pixels
# has it (fewer would not move the percentiles) ...
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
# Pixels at most that decide whether there is padding: of larger images every second along each axis, or third, ...
# Source: chosen; smaller images are judged as a whole, and the memory that it takes is below 1 GB.
MAX_LATTICE = 4096 * 4096


# Per channel the pixels that are not padding; None: all of them.
Unpadded = tuple[NDArray[np.bool_] | None, ...]


@dataclass(frozen=True)
class End:
    """The smallest or the largest value of a channel, where it is padding."""

    value: Any
    soft: bool  # whether its neighbors are outside, too: mixed with it where the image was rotated or resized


def find_unpadded(image: NDArray[Any]) -> Unpadded:
    """Return the pixels of each channel of (rows, columns, channels) that are not padding."""
    return tuple(find_unpadded_pixels(image[..., c]) for c in range(image.shape[-1]))


def find_unpadded_pixels(channel: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Return the pixels that are neither padding (the smallest or largest value) nor next to it; None for all."""
    step = lattice_step(channel.shape)
    ends = find_ends(channel[(slice(None, None, step),) * channel.ndim], channel.min(), channel.max())
    if not ends:
        return None
    unpadded = mark_unpadded(channel, ends)
    return unpadded if unpadded.any() else mark_unpadded(channel, sharpen(ends))


def lattice_step(shape: tuple[int, ...]) -> int:
    """Return the smallest step along all axes for which there are at most `MAX_LATTICE` pixels."""
    step = 1
    while math.prod(-(-n // step) for n in shape) > MAX_LATTICE:
        step += 1
    return step


def fills_enough(n: int, size: int) -> bool:
    """Return whether ``n`` of ``size`` pixels with one value may be padding."""
    return LEAST_SHARE * size <= n < size


def find_ends(lattice: NDArray[Any], smallest: Any, largest: Any) -> tuple[End, ...]:
    """Return which of the smallest and the largest value of a channel are padding.

    Parameters
    ----------
    lattice : ndarray
        The pixels of the channel with a distance of `lattice_step` along each axis.
    smallest, largest : scalar
        Values of the whole channel.
    """
    ends, unpadded = [], None
    for sign, value in ((1, smallest), (-1, largest)):
        found = _find_inside(lattice, value, sign, unpadded)
        if found is not None:
            unpadded, end = found
            ends.append(end)
    return tuple(ends)


def mark_unpadded(window: NDArray[Any], ends: Iterable[End]) -> NDArray[np.bool_]:
    """Return which pixels are that are not padding; those at the edge of a window may be next to others padding."""
    inside = np.ones(window.shape, dtype=bool)
    for end in ends:
        filled = window == end.value
        if end.soft and filled.any():
            filled = ndimage.binary_dilation(filled, _box(window.ndim))
        inside &= ~filled
    return inside


def sharpen(ends: Iterable[End]) -> tuple[End, ...]:
    """Return the same ends without their neighbors: for where nothing else is left of an image."""
    return tuple(replace(end, soft=False) for end in ends)


def _box(ndim: int) -> NDArray[np.bool_]:
    """Return a pixel and its neighbors, diagonal ones too, for dilation."""
    return np.ones((3,) * ndim, dtype=bool)


def _find_inside(
    lattice: NDArray[Any], value: Any, sign: int, unpadded: NDArray[np.bool_] | None
) -> tuple[NDArray[np.bool_], End] | None:
    """Return the unpadded pixels without one end of the values, the smallest for ``sign`` 1, the largest for -1."""
    filled = lattice == value
    if lattice.ndim < 2 or not fills_enough(int(np.count_nonzero(filled)), lattice.size):
        return None
    box = _box(lattice.ndim)
    near = ndimage.binary_dilation(filled, box)
    sharp, soft = (~outside if unpadded is None else unpadded & ~outside for outside in (filled, near))
    is_soft = bool(soft.any())
    found = (soft if is_soft else sharp), End(value, is_soft)
    others = _sample(lattice[found[0]])
    if others.size == 0 or np.unique(others).size < LEAST_LEVELS:
        return None
    if _straight_share(filled) >= STRAIGHT_SHARE:
        return found
    for rest in (sharp, soft):
        beside = ndimage.binary_dilation(~rest, box) & rest
        if _stands_apart(float(value), _sample(lattice[rest]), lattice[beside], sign):
            return found if _surrounds(filled, rest, box) else None
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
