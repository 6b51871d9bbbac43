"""Objects drawn one by one into one label image."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._polygons import Ring, Runs, fill, pixels_of, runs_inside, unite

# Pixels from the first one, farther than any image reaches (2 ** 40): a corner beyond is drawn here.
FAR = float(1 << 40)

# An object that lies under at least this many others altogether is likely to be a region that holds objects.
REGION = 2


class Canvas:
    """Collects objects and paints them, the largest first: where two overlap the smaller one is seen.

    An object takes memory and time in proportion to the rows of its box, not to the image.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        if min(shape) < 1:
            raise ValueError(f"an image of shape {shape}")
        self.shape = shape
        self.objects: list[Runs] = []

    def add(self, mask: NDArray[np.bool_], corner: tuple[int, int] = (0, 0)) -> None:
        """Add one object, given as the pixels of a box whose first row and column are ``corner``."""
        top, left = max(corner[0], 0), max(corner[1], 0)
        inside = mask[top - corner[0] :, left - corner[1] :]
        inside = inside[: max(self.shape[0] - top, 0), : max(self.shape[1] - left, 0)]
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        if not rows.size:
            self.add_runs(np.zeros((0, 2), dtype=np.intp))
            return
        box = np.pad(inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], ((0, 0), (1, 1)))
        row, column = np.nonzero(box[:, 1:] != box[:, :-1])  # in every row the start of a run, its stop, a start, ...
        self.add_runs(((row + top + rows[0]) * self.shape[1] + column + left + columns[0]).reshape(-1, 2))

    def add_runs(self, runs: Runs) -> None:
        """Add one object, given as runs of pixels."""
        self.objects.append(runs)

    def add_polygons(self, polygons: Sequence[Sequence[Ring]]) -> None:
        """Add one object of one or more polygons, each what is inside an odd number of its rings."""
        for polygon in polygons:
            for ring in polygon:
                _checks.check_finite(ring, "corners")
        parts = [runs_inside([np.clip(ring, -FAR, FAR) for ring in polygon], self.shape) for polygon in polygons]
        self.add_runs(unite(parts))

    def add_outline(self, corners: Ring) -> None:
        """Add one object, given as the polygon through the centers of its outermost pixels, which are in it."""
        _checks.check_finite(corners, "corners")
        if np.any(corners < 0) or np.any(corners >= self.shape):
            raise ValueError(f"an outline beyond the image of shape {self.shape}")
        pixels = np.floor(corners).astype(np.intp)
        low = pixels.min(axis=0)
        inside = fill([corners - low], tuple((pixels.max(axis=0) - low + 1).tolist()))
        on = (_on_outline(pixels) if np.all(corners == pixels + 0.5) else pixels) - low
        inside[on[:, 0], on[:, 1]] = True
        self.add(inside, (int(low[0]), int(low[1])))

    def keep(self, chosen: Iterable[bool]) -> None:
        """Leave out the objects that are not chosen."""
        self.objects = list(compress(self.objects, chosen))

    def paint(self, name: str = "", stacklevel: int = 2) -> NDArray[np.int32]:
        """The masks, numbered 1..n in raster order; warns of objects that are nowhere to be seen, and of regions."""
        masks = np.zeros(self.shape[0] * self.shape[1], dtype=np.int32)
        sizes = np.array([(runs[:, 1] - runs[:, 0]).sum() for runs in self.objects], dtype=np.intp)
        covers = np.zeros(sizes.size + 1, dtype=np.intp)  # how many others lie on each object altogether
        for k in np.argsort(-sizes, kind="stable").tolist():
            pixels = pixels_of(self.objects[k])
            below = masks[pixels]
            if pixels.size and below[0] and np.all(below == below[0]):
                covers[below[0]] += 1
            masks[pixels] = k + 1
        seen = np.flatnonzero(masks)
        first = np.full(sizes.size + 1, masks.size, dtype=np.intp)
        first[masks[seen[::-1]]] = seen[::-1]  # of several the last is kept: the first pixel
        order = np.argsort(first[1:], kind="stable")
        number = np.zeros(sizes.size + 1, dtype=np.int32)
        number[order + 1] = np.arange(1, sizes.size + 1)
        lost = int(np.count_nonzero(first[1:] == masks.size))
        self._warn(f" in {name}" if name else "", lost, int(np.count_nonzero(covers >= REGION)), stacklevel + 2)
        return number[masks].reshape(self.shape)

    def _warn(self, where: str, lost: int, regions: int, stacklevel: int) -> None:
        if lost:
            warnings.warn(
                f"{lost} of {len(self.objects)} objects{where} have no pixel of their own: outside of the image, or "
                "covered.",
                stacklevel=stacklevel,
            )
        if regions:
            warnings.warn(
                f"{regions} of {len(self.objects)} objects{where} have others inside, {REGION} or more, as outlines of "
                "regions have: leave out those that are regions, by their class where the file has classes.",
                stacklevel=stacklevel,
            )


def _on_outline(corners: NDArray[np.intp]) -> NDArray[np.intp]:
    """Pixels whose centers lie exactly on a polygon through centers of pixels."""
    here, there = corners, np.roll(corners, -1, axis=0)
    steps = np.maximum(np.gcd(*np.abs(there - here).T), 1)  # along an edge, from one center on it to the next
    edge = np.repeat(np.arange(steps.size), steps)
    k = np.arange(edge.size) - (np.cumsum(steps) - steps)[edge]
    return here[edge] + k[:, np.newaxis] * ((there - here) // steps[:, np.newaxis])[edge]


def number_pieces(labels: NDArray[np.integer]) -> NDArray[np.int32]:
    """Every connected piece of every label above 0 as an object, 1..n in raster order."""
    from flowseg._pieces import find_pieces

    return find_pieces(labels).image.reshape(labels.shape)
