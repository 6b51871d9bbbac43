"""Trace objects as polygons along the edges of their pixels, and fill polygons.

Coordinates are (row, column) in pixels. Pixel (0, 0) has its outer corner at (0, 0) and its center at (0.5, 0.5). A
traced polygon, filled again, is the object.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from flowseg._system import memory

Ring = NDArray[np.float64]  # (n, 2), not closed: the first corner is not repeated
Polygon = list[Ring]  # the outer ring, then its holes
Runs = NDArray[np.intp]  # (n, 2): first and past-the-end pixel, flat indices of an image, increasing

# A center within this many pixels of an outline is on it, whatever the rounding. Source: ImageJ.
TOLERANCE = 1e-8

# Bytes of memory per row that an edge crosses. Source: the arrays of places, slopes and runs.
CROSSING_BYTES = 80

# Steps along an edge with the object on the right-hand side, in (row, column): east, south, west, north.
STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))


def trace(mask: NDArray[np.bool_]) -> list[Polygon]:
    """Return the polygons whose inside is ``mask``: outer rings clockwise on the screen, holes counterclockwise.

    No ring touches itself: pixels that touch at a corner only have rings of their own.
    """
    rings = [ring for path in _trace_edges(mask) for ring in _split_at_crossings(path)]
    outer = [ring for ring in rings if signed_area(ring) > 0]
    polygons: list[Polygon] = [[_straighten(ring)] for ring in outer]
    for hole in (ring for ring in rings if signed_area(ring) < 0):
        around = [k for k, ring in enumerate(outer) if _is_inside(hole, ring)]
        smallest = min(around, key=lambda k: signed_area(outer[k]))
        polygons[smallest].append(_straighten(hole))
    return polygons


def signed_area(ring: Ring) -> float:
    """Return the area in pixels; negative if the ring is counterclockwise on the screen."""
    row, column = ring[:, 0], ring[:, 1]
    return 0.5 * float(np.sum(column * np.roll(row, -1) - np.roll(column, -1) * row))


def runs_inside(rings: Iterable[Ring], shape: tuple[int, int]) -> Runs:
    """Return the pixels whose centers are inside an odd number of rings.

    A center exactly on an outline is inside on the upper and on the right-hand side, as in ImageJ's ``PolygonFiller``.
    So one of two objects that share an outline has the pixel.
    """
    rows, columns = shape
    first, last = _edges(rings)
    start, stop = (np.minimum(np.maximum(np.ceil(end[:, 0] - 0.5), 0), rows).astype(np.intp) for end in (first, last))
    spans = start < stop
    first, last, start, n_rows = first[spans], last[spans], start[spans], (stop - start)[spans]
    memory.check(CROSSING_BYTES * int(n_rows.sum()), "with outlines that long it")
    edge = np.repeat(np.arange(n_rows.size), n_rows)
    row = np.arange(edge.size) - (np.cumsum(n_rows) - n_rows - start)[edge]  # the rows of each edge, edge by edge
    slope = (last[:, 1] - first[:, 1]) / (last[:, 0] - first[:, 0])
    crossing = first[edge, 1] + (row + 0.5 - first[edge, 0]) * slope[edge]
    column = np.minimum(np.maximum(np.floor(crossing + 0.5 + TOLERANCE), 0), columns).astype(
        np.intp
    )  # the first center beyond
    # Rings are closed, so every row is crossed an even number of times.
    place = np.sort(row * (columns + 1) + column)
    runs: Runs = (place - place // (columns + 1)).reshape(-1, 2)
    return np.asarray(runs[runs[:, 0] < runs[:, 1]])


def fill(rings: Iterable[Ring], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the image of the pixels whose centers are inside an odd number of rings."""
    inside = np.zeros(shape[0] * shape[1], dtype=bool)
    inside[pixels_of(runs_inside(rings, shape))] = True
    return inside.reshape(shape)


def pixels_of(runs: Runs) -> NDArray[np.intp]:
    """Return the flat indices of the pixels of runs, increasing."""
    lengths = runs[:, 1] - runs[:, 0]
    before = np.cumsum(lengths) - lengths
    return np.repeat(runs[:, 0] - before, lengths) + np.arange(lengths.sum())


def unite(several: Sequence[Runs]) -> Runs:
    """Return the runs of the pixels in any of several sets of runs."""
    if len(several) == 1:
        return several[0]
    runs = np.concatenate(several)
    place, step = runs.T.ravel(), np.repeat([1, -1], len(runs))
    order = np.lexsort((-step, place))
    depth = np.cumsum(step[order])
    starts, stops = (depth == 1) & (step[order] == 1), depth == 0
    return np.stack([place[order][starts], place[order][stops]], axis=1)


def _edges(rings: Iterable[Ring]) -> tuple[Ring, Ring]:
    """Return the upper and lower ends of all edges except the horizontal ones."""
    corners = [np.asarray(ring, dtype=np.float64).reshape(-1, 2) for ring in rings]
    here = np.concatenate([np.zeros((0, 2)), *corners])
    there = np.concatenate([np.zeros((0, 2)), *(np.roll(ring, -1, axis=0) for ring in corners)])
    slanted = here[:, 0] != there[:, 0]
    here, there = here[slanted], there[slanted]
    down = (here[:, 0] < there[:, 0])[:, np.newaxis]
    return np.where(down, here, there), np.where(down, there, here)


def _trace_edges(mask: NDArray[np.bool_]) -> list[list[tuple[int, int]]]:
    """Return closed paths along all the edges between object and background."""
    inside = np.pad(mask, 1)
    down, across = np.diff(inside.astype(np.int8), axis=0)[:, 1:-1], np.diff(inside.astype(np.int8), axis=1)[1:-1]
    leaving: dict[tuple[int, int], list[int]] = {}
    for direction, (starts, shift) in enumerate(
        ((np.argwhere(down == 1), (0, 0)), (np.argwhere(across == -1), (0, 0)),
         (np.argwhere(down == -1), (0, 1)), (np.argwhere(across == 1), (1, 0)))
    ):  # fmt: skip
        for row, column in (starts + shift).tolist():
            leaving.setdefault((row, column), []).append(direction)
    paths = []
    while leaving:
        place, directions = next(iter(leaving.items()))
        path, direction = [], directions[0]
        while place in leaving:
            directions = leaving[place]
            if direction not in directions or len(directions) > 1:
                # Where two paths cross turn right, around the same pixel.
                right = (direction + 1) % 4
                direction = right if right in directions else directions[0]
            directions.remove(direction)
            if not directions:
                del leaving[place]
            path.append(place)
            place = (place[0] + STEPS[direction][0], place[1] + STEPS[direction][1])
        paths.append(path)
    return paths


def _split_at_crossings(path: list[tuple[int, int]]) -> list[Ring]:
    """Split a closed path into rings that do not touch themselves."""
    rings: list[Ring] = []
    stack: list[tuple[int, int]] = []
    position: dict[tuple[int, int], int] = {}
    for place in path:
        if place in position:
            start = position[place]
            ring = stack[start:]
            for gone in ring:
                del position[gone]
            del stack[start:]
            rings.append(np.array(ring, dtype=np.float64))
        position[place] = len(stack)
        stack.append(place)
    return [*rings, np.array(stack, dtype=np.float64)]


def _straighten(ring: Ring) -> Ring:
    """Remove corners on a straight line."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    return np.asarray(ring[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]])


def _is_inside(hole: Ring, ring: Ring) -> bool:
    """Return whether a hole is inside a ring that it does not cross: whether a point beside its first edge is."""
    step = hole[1] - hole[0]
    row, column = 0.5 * (hole[0] + hole[1]) + 0.25 * np.array([step[1], -step[0]])  # to the left: into the hole
    r, c = ring[:, 0], ring[:, 1]
    r2, c2 = np.roll(r, -1), np.roll(c, -1)
    crosses = (r > row) != (r2 > row)
    at = c[crosses] + (row - r[crosses]) / (r2 - r)[crosses] * (c2 - c)[crosses]
    return bool(np.count_nonzero(at > column) % 2)
