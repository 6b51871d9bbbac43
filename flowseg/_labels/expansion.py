"""Expand the objects of a label image into the background around them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flowseg._system.threads import check_canceled

# Pixels worked on at a time, about. Source: measured; their keys stay in the cache of a core.
PIXELS_PER_STRIP = 1 << 17

# Bits of a key that hold the label; those above hold the squared distance.
LABEL_BITS = 32

# Where distances along the axes differ, squared distances are in units of the square of (distance / FINE). Source:
# chosen; the sum of three fits into 31 bits.
FINE = 1 << 14

# Key of a pixel that no label has reached: larger than all others, and far from overflow.
NOT_REACHED = np.int64(1 << 62)

Squares = NDArray[np.int64]


def expand_objects(labels: NDArray[np.int32], distance: float | Sequence[float]) -> NDArray[np.int32]:
    """Return labels with every background pixel up to ``distance`` pixels from an object added to the nearest one.

    Of equally near objects the one with the smaller label is taken. So a pixel depends on nothing further away than
    ``reach_of(distance)`` along each axis, and a part of an image gives the same as the whole.

    Parameters
    ----------
    labels : ndarray of int32, any number of axes
        Label image, 0 or above; not changed.
    distance : float or sequence of float
        Largest distance, in pixels, below 2 ** 15; or one along each axis: within this ellipsoid.
    """
    steps = _find_steps(distance, labels.ndim)
    reach = steps[0].size - 1
    expanded = labels.copy()
    rows_per_strip = max(1, reach, PIXELS_PER_STRIP // max(1, math.prod(labels.shape[1:])))
    for start in range(0, labels.shape[0], rows_per_strip):
        check_canceled()
        first, stop = max(start - reach, 0), start + rows_per_strip
        strip = _nearest(labels[first : stop + reach], steps)
        expanded[start:stop] = strip[start - first :][: expanded[start:stop].shape[0]]
    return expanded


def reach_of(distance: float) -> int:
    """Return how far an object may be along an axis, in pixels, to reach a pixel within ``distance``."""
    return math.isqrt(_largest_square(distance))


def _largest_square(distance: float) -> int:
    """Return the largest whole number whose root, as a float64, is at most ``distance``."""
    square = int(distance**2) + 1
    while math.sqrt(square) > distance:
        square -= 1
    return square


def _find_steps(distance: float | Sequence[float], ndim: int) -> tuple[Squares, ...]:
    """Return for each axis the squared distances of 0, 1, 2, ... pixels, as whole numbers, and last the largest."""
    distances = (distance,) * ndim if isinstance(distance, float | int) else tuple(distance)
    if len(set(distances)) == 1:
        limit = _largest_square(distances[0])
        return (*[np.arange(math.isqrt(limit) + 1, dtype=np.int64) ** 2] * ndim, np.array([limit]))
    # The unit is a share of each axis' distance: an ellipsoid is a ball in it.
    steps = [np.arange(int(length) + 1, dtype=np.int64) ** 2 for length in distances]
    scaled = [np.rint(squares * (FINE / length) ** 2) for squares, length in zip(steps, distances, strict=True)]
    return (*[squares.astype(np.int64) for squares in scaled], np.array([FINE**2]))


def _nearest(labels: NDArray[np.int32], steps: tuple[Squares, ...]) -> NDArray[np.int32]:
    """Return the label of the nearest labeled pixel, 0 where its squared distance is above the largest.

    Squared distances are sums over axes. So along one axis after another, every pixel takes the least key that a pixel
    of its line has, with the square of the distance to it added.
    """
    if not labels.any():
        return labels
    keys = np.where(labels > 0, labels, NOT_REACHED)
    for axis in range(labels.ndim):
        before = keys
        keys = before.copy()
        for step in range(1, min(steps[axis].size, labels.shape[axis])):
            low, high = (_part(labels.ndim, axis, place) for place in (slice(None, -step), slice(step, None)))
            square = steps[axis][step] << LABEL_BITS
            np.minimum(keys[low], before[high] + square, out=keys[low])
            np.minimum(keys[high], before[low] + square, out=keys[high])
    return np.where(keys >> LABEL_BITS <= steps[-1][0], keys & ((1 << LABEL_BITS) - 1), 0).astype(np.int32)


def _part(ndim: int, axis: int, place: slice) -> tuple[slice, ...]:
    """Return the slices of all of ``ndim`` axes but one, and ``place`` of this one."""
    return tuple(place if k == axis else slice(None) for k in range(ndim))
