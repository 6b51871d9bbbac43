"""Objects drawn one by one into one label image."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._polygons import Ring, fill

# Pixels from the first one, farther than any image reaches (2 ** 40): a corner beyond is drawn here.
FAR = float(1 << 40)


class Canvas:
    """Collects objects and paints them, the largest first: where two overlap the smaller one is seen.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        if min(shape) < 1:
            raise ValueError(f"an image of shape {shape}")
        self.shape = shape
        self.pixels: list[NDArray[np.intp]] = []  # flat indices, per object

    def add(self, mask: NDArray[np.bool_]) -> None:
        """Add one object, given as an image of the canvas' shape."""
        self.pixels.append(np.flatnonzero(mask))

    def add_rings(self, rings: Iterable[Ring]) -> None:
        """Add one object, given as polygons: what is inside an odd number of rings; see `flowseg._polygons`."""
        rings = list(rings)
        _checks.check_finite(np.concatenate(rings), "corners")
        rings = [np.clip(ring, -FAR, FAR) for ring in rings]
        corners = np.concatenate(rings)
        low = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
        high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, self.shape)
        if np.any(high <= low):
            self.pixels.append(np.zeros(0, dtype=np.intp))
            return
        inside = fill([ring - low for ring in rings], tuple((high - low).tolist()))
        rows, columns = np.nonzero(inside)
        self.pixels.append((rows + low[0]) * self.shape[1] + columns + low[1])

    def add_outline(self, corners: Ring) -> None:
        """Add one object, given as the polygon through the centres of its outermost pixels, which are in it."""
        self.add_rings([corners])
        if np.any(corners < 0) or np.any(corners >= self.shape):
            raise ValueError(f"an outline beyond the image of shape {self.shape}")
        edge = corners.astype(np.intp)
        self.pixels[-1] = np.union1d(self.pixels[-1], edge[:, 0] * self.shape[1] + edge[:, 1])

    def paint(self) -> NDArray[np.int32]:
        """The masks, numbered 1..n in raster order; warns when an object is nowhere to be seen."""
        masks = np.zeros(self.shape[0] * self.shape[1], dtype=np.int32)
        for k in sorted(range(len(self.pixels)), key=lambda k: -self.pixels[k].size):
            masks[self.pixels[k]] = k + 1
        seen, first, index = np.unique(masks, return_index=True, return_inverse=True)
        order = np.argsort(np.where(seen > 0, first, -1))
        if seen[0] > 0:
            order = np.concatenate([[-1], order])  # no background
        number = np.empty(seen.size, dtype=np.int32)
        number[order[order >= 0]] = np.flatnonzero(order >= 0)
        lost = len(self.pixels) - np.count_nonzero(seen)
        if lost:
            warnings.warn(
                f"{lost} of {len(self.pixels)} objects have no pixel of their own: outside of the image, or covered.",
                stacklevel=4,
            )
        return number[index].reshape(self.shape)


def number_pieces(labels: NDArray[np.integer]) -> NDArray[np.int32]:
    """Every connected piece of every label above 0 as an object, 1..n in raster order."""
    from flowseg._pieces import find_pieces

    return find_pieces(labels).image.reshape(labels.shape)
