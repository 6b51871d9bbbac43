"""Objects as polygons along the edges of their pixels, and polygons filled again.

Coordinates are (row, column) in pixels, with the outer corner of pixel (0, 0) at (0, 0): its center is at (0.5, 0.5).
Edges of pixels lose nothing: a polygon made of an object and filled again is the object.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from flowseg._system import memory

Ring = NDArray[np.float64]  # (n, 2), not closed: the first corner is not repeated
Polygon = list[Ring]  # the outer ring, then its holes
Runs = NDArray[np.intp]  # (n, 2): first pixel and the one after the last, as flat indices of an image, rising

# Pixels by which a center may be beyond an outline and count as on it, as in ImageJ: rounding decides nothing.
TIE = 1e-8

# Bytes for each row that an edge crosses: places, slopes and runs.
CROSSING_BYTES = 80

# Steps along an edge with the object on the right-hand side, rows downwards: east, south, west, north.
STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))


def trace(mask: NDArray[np.bool_]) -> list[Polygon]:
    """Polygons whose inside is ``mask``; outer rings run clockwise as seen on the screen, holes the other way.

    No ring meets itself: where pixels touch at a corner only, rings do too.
    """
    rings = [ring for walk in _walk(mask) for ring in _part_at_crossings(walk)]
    outer = [ring for ring in rings if signed_area(ring) > 0]
    polygons: list[Polygon] = [[_straighten(ring)] for ring in outer]
    for hole in (ring for ring in rings if signed_area(ring) < 0):
        around = [k for k, ring in enumerate(outer) if _is_inside(hole, ring)]
        smallest = min(around, key=lambda k: signed_area(outer[k]))
        polygons[smallest].append(_straighten(hole))
    return polygons


def signed_area(ring: Ring) -> float:
    """Area in pixels; negative if the ring runs anticlockwise as seen on the screen."""
    row, column = ring[:, 0], ring[:, 1]
    return 0.5 * float(np.sum(column * np.roll(row, -1) - np.roll(column, -1) * row))


def runs_inside(rings: Iterable[Ring], shape: tuple[int, int]) -> Runs:
    """Pixels whose centers are inside an odd number of rings.

    A center exactly on an outline is inside on the upper and on the right-hand side, as in ImageJ's ``PolygonFiller``:
    of objects that share an outline one has the pixel, whatever their other corners are.
    """
    rows, columns = shape
    first, last = _edges(rings)
    start, stop = (np.minimum(np.maximum(np.ceil(end[:, 0] - 0.5), 0), rows).astype(np.intp) for end in (first, last))
    spans = start < stop
    first, last, start, n_rows = first[spans], last[spans], start[spans], (stop - start)[spans]
    memory.check(CROSSING_BYTES * int(n_rows.sum()), "with outlines that long it")
    edge = np.repeat(np.arange(n_rows.size), n_rows)
    row = np.arange(edge.size) - (np.cumsum(n_rows) - n_rows - start)[edge]  # each edge's rows, one edge after another
    slope = (last[:, 1] - first[:, 1]) / (last[:, 0] - first[:, 0])
    crossing = first[edge, 1] + (row + 0.5 - first[edge, 0]) * slope[edge]
    column = np.minimum(np.maximum(np.floor(crossing + 0.5 + TIE), 0), columns).astype(np.intp)  # the first beyond
    # Rings are closed: every row is crossed an even number of times.
    place = np.sort(row * (columns + 1) + column)
    runs = (place - place // (columns + 1)).reshape(-1, 2)
    return runs[runs[:, 0] < runs[:, 1]]


def fill(rings: Iterable[Ring], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The same as an image."""
    inside = np.zeros(shape[0] * shape[1], dtype=bool)
    inside[pixels_of(runs_inside(rings, shape))] = True
    return inside.reshape(shape)


def pixels_of(runs: Runs) -> NDArray[np.intp]:
    """Flat indices of the pixels of runs, rising."""
    lengths = runs[:, 1] - runs[:, 0]
    before = np.cumsum(lengths) - lengths
    return np.repeat(runs[:, 0] - before, lengths) + np.arange(lengths.sum())


def unite(several: Sequence[Runs]) -> Runs:
    """Pixels in any of several sets of runs."""
    if len(several) == 1:
        return several[0]
    runs = np.concatenate(several)
    place, step = runs.T.ravel(), np.repeat([1, -1], len(runs))
    order = np.lexsort((-step, place))
    depth = np.cumsum(step[order])
    starts, stops = (depth == 1) & (step[order] == 1), depth == 0
    return np.stack([place[order][starts], place[order][stops]], axis=1)


def _edges(rings: Iterable[Ring]) -> tuple[Ring, Ring]:
    """Upper and lower ends of all edges but the horizontal ones."""
    corners = [np.asarray(ring, dtype=np.float64).reshape(-1, 2) for ring in rings]
    here = np.concatenate([np.zeros((0, 2)), *corners])
    there = np.concatenate([np.zeros((0, 2)), *(np.roll(ring, -1, axis=0) for ring in corners)])
    slanted = here[:, 0] != there[:, 0]
    here, there = here[slanted], there[slanted]
    down = (here[:, 0] < there[:, 0])[:, np.newaxis]
    return np.where(down, here, there), np.where(down, there, here)


def _walk(mask: NDArray[np.bool_]) -> list[list[tuple[int, int]]]:
    """Closed walks along all the edges between object and background."""
    inside = np.pad(mask, 1)
    down, across = np.diff(inside.astype(np.int8), axis=0)[:, 1:-1], np.diff(inside.astype(np.int8), axis=1)[1:-1]
    leaving: dict[tuple[int, int], list[int]] = {}
    for direction, (starts, shift) in enumerate(
        ((np.argwhere(down == 1), (0, 0)), (np.argwhere(across == -1), (0, 0)),
         (np.argwhere(down == -1), (0, 1)), (np.argwhere(across == 1), (1, 0)))
    ):  # fmt: skip
        for row, column in (starts + shift).tolist():
            leaving.setdefault((row, column), []).append(direction)
    walks = []
    while leaving:
        place, directions = next(iter(leaving.items()))
        walk, direction = [], directions[0]
        while place in leaving:
            directions = leaving[place]
            if direction not in directions or len(directions) > 1:
                # Of two ways turn right, round the pixel at hand.
                right = (direction + 1) % 4
                direction = right if right in directions else directions[0]
            directions.remove(direction)
            if not directions:
                del leaving[place]
            walk.append(place)
            place = (place[0] + STEPS[direction][0], place[1] + STEPS[direction][1])
        walks.append(walk)
    return walks


def _part_at_crossings(walk: list[tuple[int, int]]) -> list[Ring]:
    """The rings that a closed walk consists of, none of which meets itself."""
    rings: list[Ring] = []
    stack: list[tuple[int, int]] = []
    position: dict[tuple[int, int], int] = {}
    for place in walk:
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
    """Leave out corners on a straight line."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    return ring[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]


def _is_inside(hole: Ring, ring: Ring) -> bool:
    """Whether a hole lies in a ring that it does not cross: tested beside the middle of its first edge."""
    step = hole[1] - hole[0]
    row, column = 0.5 * (hole[0] + hole[1]) + 0.25 * np.array([step[1], -step[0]])  # to the left: into the hole
    r, c = ring[:, 0], ring[:, 1]
    r2, c2 = np.roll(r, -1), np.roll(c, -1)
    crosses = (r > row) != (r2 > row)
    at = c[crosses] + (row - r[crosses]) / (r2 - r)[crosses] * (c2 - c)[crosses]
    return bool(np.count_nonzero(at > column) % 2)
