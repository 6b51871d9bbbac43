"""Draw objects one by one into one label image."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._labels.polygons import Ring, Runs, pixels_of, runs_inside, unite
from flowseg._system import memory

# Corners of polygons are clipped to this many pixels from the first one. Source: 2 ** 40 is more than any image has.
FAR = float(1 << 40)

# An object with at least this many others completely inside is likely to be the outline of a region. Source: chosen;
# one object inside another is common.
MIN_INSIDE_REGION = 2

# Bytes of memory per run of pixels of an object, per pixel of the masks, and per pixel on an outline. Source: arrays
# that painting and drawing allocate.
RUN_BYTES = 100
MASK_BYTES = 4
STEP_BYTES = 80

# Pixels of an object that are drawn at a time. Source: chosen; a boolean array of 1 MB.
BAND = 1 << 20

# Returns which pixels are inside an object, from rows of shape (n, 1) and columns of shape (m,) in its box.
Inside = Callable[[NDArray[np.intp], NDArray[np.intp]], NDArray[np.bool_]]


def check_canvases(shapes: Iterable[tuple[int, int]]) -> None:
    """Raise MemoryError if the masks of all images together take more memory than allowed."""
    sizes = [rows * columns for rows, columns in shapes]
    what = f"with masks of {sum(sizes)} pixels" if sum(sizes) < memory.HUGE else "with its masks"
    memory.check(MASK_BYTES * (sum(sizes) + max(sizes, default=0)), f"{what} it")


class Canvas:
    """Collect objects and paint them, the largest first: where two overlap, the smaller one stays visible.

    Memory and time are proportional to the number of runs of pixels in the rows of objects, not to the image.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        if min(shape) < 1:
            raise ValueError(f"shape must have at least one row and one column; got {shape}.")
        self.shape = shape
        self.objects: list[Runs] = []
        self.labels = np.zeros(0, dtype=np.int32)  # of the objects in `paint`, 0 for those without a visible pixel
        self._n_runs = 0

    def add(self, mask: NDArray[np.bool_], corner: tuple[int, int] = (0, 0)) -> None:
        """Add one object by its mask in a box whose first row and column are ``corner``."""
        self.add_inside(
            lambda row, column: mask[row[0, 0] : row[-1, 0] + 1, column[0] : column[-1] + 1], corner, mask.shape
        )

    def add_inside(self, inside: Inside, corner: tuple[int, int], shape: tuple[int, ...]) -> None:
        """Add one object by a function that returns which pixels of its box are inside."""
        starts = [max(-first, 0) for first in corner]
        stops = [
            max(min(n, end - first), start)
            for n, end, first, start in zip(shape, self.shape, corner, starts, strict=True)
        ]
        column = np.arange(starts[1], stops[1])
        parts = [np.zeros((0, 2), dtype=np.intp)]
        step = max(BAND // max(column.size, 1), 1)
        for start in range(starts[0], stops[0] if column.size else starts[0], step):
            row = np.arange(start, min(start + step, stops[0]))[:, np.newaxis]
            box = np.pad(inside(row, column), ((0, 0), (1, 1)))
            changes = box[:, 1:] != box[:, :-1]  # in every row the start of a run, its stop, a start, ...
            line, place = np.nonzero(changes)
            first = (line + start + corner[0]) * self.shape[1] + starts[1] + corner[1]
            parts.append((first + place).reshape(-1, 2))
        self.add_runs(np.concatenate(parts))

    def add_runs(self, runs: Runs) -> None:
        """Add one object by the runs of its pixels."""
        self._n_runs += len(runs)
        memory.check(RUN_BYTES * self._n_runs, f"with outlines of {self._n_runs} runs of pixels it")
        self.objects.append(runs)

    def add_polygons(self, polygons: Sequence[Sequence[Ring]]) -> None:
        """Add one object of one or more polygons; a point is in a polygon if an odd number of its rings enclose it."""
        for polygon in polygons:
            for ring in polygon:
                _checks.check_finite(ring, "corners")
        parts = [runs_inside([np.clip(ring, -FAR, FAR) for ring in polygon], self.shape) for polygon in polygons]
        self.add_runs(unite(parts))

    def add_outline(self, corners: Ring) -> None:
        """Add one object by the polygon through the centers of its outermost pixels, which belong to it."""
        _checks.check_finite(corners, "corners")
        if np.any(corners < 0) or np.any(corners >= self.shape):
            raise ValueError(f"corners must be within the image of shape {self.shape}; got some beyond it.")
        pixels = np.floor(corners).astype(np.intp)
        on = _on_outline(pixels) if np.all(corners == pixels + 0.5) else pixels
        place = np.unique(on[:, 0] * self.shape[1] + on[:, 1])
        self.add_runs(unite([runs_inside([corners], self.shape), np.stack([place, place + 1], axis=1)]))

    def keep(self, chosen: Iterable[bool]) -> None:
        """Keep only the chosen objects."""
        self.objects = list(compress(self.objects, chosen))

    def paint(self, name: str = "", stacklevel: int = 2) -> NDArray[np.int32]:
        """Return the masks, numbered 1..n in raster order; warn of objects without a visible pixel, and of regions."""
        n_pixels, n = self.shape[0] * self.shape[1], len(self.objects)
        check_canvases([self.shape])
        ends = np.concatenate([np.array([0, n_pixels], dtype=np.intp), *(runs.ravel() for runs in self.objects)])
        places, span = np.unique(ends, return_inverse=True)  # between two places the objects do not change
        lengths = np.array([len(runs) for runs in self.objects], dtype=np.intp)
        spans = np.split(span[2:].reshape(-1, 2), np.cumsum(lengths)[:-1]) if n else []
        sizes = np.array([(runs[:, 1] - runs[:, 0]).sum() for runs in self.objects], dtype=np.intp)
        masks = np.zeros(places.size - 1, dtype=np.int32)
        covers = np.zeros(n + 1, dtype=np.intp)  # number of others that lie completely on each object
        for k in np.argsort(-sizes, kind="stable").tolist():
            pixels = pixels_of(spans[k])
            below = masks[pixels]
            if pixels.size and below[0] and np.all(below == below[0]):
                covers[below[0]] += 1
            masks[pixels] = k + 1
        seen = np.flatnonzero(masks)
        first = np.full(n + 1, masks.size, dtype=np.intp)
        first[masks[seen[::-1]]] = seen[::-1]  # reversed, so that the first pixel is kept
        order = np.argsort(first[1:], kind="stable")
        number = np.zeros(n + 1, dtype=np.int32)
        number[order + 1] = np.arange(1, n + 1)
        self.labels = np.where(first[1:] < masks.size, number[1:], 0)
        lost = int(np.count_nonzero(self.labels == 0))
        self._warn(
            f" in {name}" if name else "", lost, int(np.count_nonzero(covers >= MIN_INSIDE_REGION)), stacklevel + 2
        )
        return np.repeat(number[masks], np.diff(places)).reshape(self.shape)

    def by_label(self, names: Sequence[Any]) -> dict[int, Any]:
        """Return what belongs to each object by its label in the masks that `paint` returned."""
        pairs = zip(self.labels.tolist(), names, strict=True)
        return {label: name for label, name in sorted(pairs, key=lambda pair: pair[0]) if label}

    def _warn(self, where: str, lost: int, regions: int, stacklevel: int) -> None:
        """Warn of objects without a visible pixel, and of objects that look like outlines of regions."""
        if lost:
            warnings.warn(
                f"{lost} of {len(self.objects)} objects{where} have no pixel of their own: outside of the image, or "
                "covered.",
                stacklevel=stacklevel,
            )
        if regions:
            warnings.warn(
                f"{regions} of {len(self.objects)} objects{where} have others inside, {MIN_INSIDE_REGION} or more, as "
                "outlines of regions have: leave out those that are regions, by their class where the file has "
                "classes.",
                stacklevel=stacklevel,
            )


def _on_outline(corners: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the pixels whose centers lie exactly on a polygon through centers of pixels."""
    here, there = corners, np.roll(corners, -1, axis=0)
    steps = np.maximum(np.gcd(*np.abs(there - here).T), 1)  # along an edge, from one center on it to the next
    memory.check(STEP_BYTES * int(steps.sum()), "with outlines that long it")
    edge = np.repeat(np.arange(steps.size), steps)
    k = np.arange(edge.size) - (np.cumsum(steps) - steps)[edge]
    on: NDArray[np.intp] = here[edge] + k[:, np.newaxis] * ((there - here) // steps[:, np.newaxis])[edge]
    return on
