"""The shapes of ImageJ regions, with the pixels of ImageJ's own masks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._labels.canvas import Canvas
from flowseg._labels.polygons import Polygon
from flowseg._system.optional_packages import need
from flowseg.io._entries import UnreadableEntryError, as_floats, check_corners, parsing_entry

# Pixels that a curve may deviate from the polygon that it is drawn as, and halvings at most: ImageJ's and Java's own.
FLATNESS = 0.01
MAX_HALVINGS = 10

# Pixels along a side of a box at most: ImageJ stores integers in 16 bits.
MAX_SIDE = 1 << 16
# Pixels from the image to a box at most: subpixel boxes are 32-bit floats, which hold any number.
MAX_OFFSET = 1 << 40

# Commands in a composite's path (java.awt.geom.PathIterator), and how many numbers follow each.
MOVE, CLOSE = 0, 4
NUMBERS = {MOVE: 2, 1: 2, 2: 4, 3: 6, CLOSE: 0}

Places = NDArray[np.floating]


def draw_region(roi: Any, canvas: Canvas) -> None:
    """Add one region to a canvas; raise UnreadableEntryError if it has no area."""
    roifile = need("roifile", "formats")
    kinds, subtypes = roifile.ROI_TYPE, roifile.ROI_SUBTYPE
    if roi.subtype in (subtypes.TEXT, subtypes.IMAGE):
        raise UnreadableEntryError(f"a region that is {'a text' if roi.subtype == subtypes.TEXT else 'an image'}")
    if roi.composite:
        _draw([_composite_rings(_path_numbers(roi))], canvas)
    elif roi.roitype in (kinds.RECT, kinds.OVAL):
        top, left, height, width = _box(roi)
        kind = "an oval" if roi.roitype == kinds.OVAL else "a rectangle"
        if min(height, width) < 1 or max(height, width) > MAX_SIDE:
            raise UnreadableEntryError(f"{kind} of {height} rows and {width} columns")
        if max(abs(top), abs(left)) > MAX_OFFSET:
            raise UnreadableEntryError(f"{kind} farther from the image than any region")
        draw = _in_oval if roi.roitype == kinds.OVAL else _in_rectangle
        size = (height, width, roi.rounded_rect_arc_size)

        def inside(row: NDArray[np.intp], column: NDArray[np.intp]) -> NDArray[np.bool_]:
            return draw(row + 0.5 - height / 2, column + 0.5 - width / 2, *size)

        canvas.add_inside(inside, (top, left), (height, width))
    elif roi.roitype in (kinds.POLYGON, kinds.FREEHAND, kinds.TRACED):
        if roi.options & roifile.ROI_OPTIONS.SPLINE_FIT:
            raise UnreadableEntryError(
                "a region with a fitted spline: Edit > Selection > Interpolate makes a polygon of it"
            )
        with parsing_entry():
            corners = roi.coordinates()
        ring = as_floats(corners, "corners")
        if ring.ndim != 2 or len(ring) < 3:
            raise UnreadableEntryError("a region of fewer than three corners")
        _draw([[ring[:, ::-1]]], canvas)
    else:
        raise UnreadableEntryError(f"a {roi.roitype.name.lower()}, which has no area")


def _draw(polygons: list[Polygon], canvas: Canvas) -> None:
    """Add one object of polygons whose corners are checked."""
    for polygon in polygons:
        check_corners(polygon)
    canvas.add_polygons(polygons)


def _box(roi: Any) -> tuple[int, int, int, int]:
    """Return first row and column, height and width in whole pixels, rounded as in ImageJ."""
    if roi.subpixelrect:
        if not np.all(np.isfinite([roi.yd, roi.xd, roi.heightd, roi.widthd])):
            raise UnreadableEntryError("a box that is not finite")
        return int(roi.yd), int(roi.xd), int(np.ceil(roi.heightd)), int(np.ceil(roi.widthd))
    return roi.top, roi.left, roi.bottom - roi.top, roi.right - roi.left


def _in_oval(row: Places, column: Places, height: int, width: int, _: int) -> NDArray[np.bool_]:
    """Return whether centers of pixels, from the middle of the box, are in an oval that fills it."""
    return np.asarray((row / (height / 2)) ** 2 + (column / (width / 2)) ** 2 <= 1)


def _in_rectangle(row: Places, column: Places, height: int, width: int, arc: int) -> NDArray[np.bool_]:
    """Return the same for a rectangle whose corners are quarters of ovals as large as ``arc``, or as the rectangle."""
    if arc < 1:
        return np.ones((row.size, column.size), dtype=bool)
    high, wide = min(arc, height) / 2, min(arc, width) / 2
    beyond = (
        np.maximum(np.abs(row) - height / 2 + high, 0) / high,
        np.maximum(np.abs(column) - width / 2 + wide, 0) / wide,
    )
    return np.asarray(beyond[0] ** 2 + beyond[1] ** 2 <= 1)


def _path_numbers(roi: Any) -> list[float]:
    """Return the commands and points of a composite's path."""
    path = as_floats(roi.multi_coordinates, "a composite with commands")
    if path.ndim != 1:
        raise UnreadableEntryError("a composite whose path is damaged")
    numbers: list[float] = path.tolist()
    return numbers


def _composite_rings(numbers: Sequence[float]) -> Polygon:
    """Return the rings of a composite's path."""
    parts: list[list[tuple[float, float]]] = []
    k = 0
    while k < len(numbers):
        command = numbers[k]
        n = NUMBERS.get(int(command)) if np.isfinite(command) else None
        values = numbers[k + 1 : k + 1 + (n or 0)]
        if n is None or len(values) < n or (command != MOVE and not parts):
            raise UnreadableEntryError("a composite whose path is damaged")
        points = list(zip(values[::2], values[1::2], strict=True))
        if command == MOVE:
            parts.append(points)
        elif command != CLOSE:
            parts[-1] += _flatten([parts[-1][-1], *points])
        k += 1 + n
    rings = [np.array(part, dtype=np.float64)[:, ::-1] for part in parts if len(part) > 2]
    if not rings:
        raise UnreadableEntryError("a composite without an area")
    return rings


def _flatten(points: list[tuple[float, float]], halvings: int = 0) -> list[tuple[float, float]]:
    """Return a line or a Bezier curve, given by its ends and the controls between, as corners after the first."""
    if (
        halvings == MAX_HALVINGS
        or max((_distance(p, points[0], points[-1]) for p in points[1:-1]), default=0) < FLATNESS
    ):
        return [points[-1]]
    first, second, row = [points[0]], [points[-1]], points
    while len(row) > 1:  # de Casteljau
        row = [((a[0] + b[0]) / 2, (a[1] + b[1]) / 2) for a, b in pairwise(row)]
        first.append(row[0])
        second.append(row[-1])
    return _flatten(first, halvings + 1) + _flatten(second[::-1], halvings + 1)


def _distance(point: tuple[float, float], start: tuple[float, float], end: tuple[float, float]) -> float:
    """Return the distance of a point from a line between two others."""
    (x, y), (dx, dy) = (point[0] - start[0], point[1] - start[1]), (end[0] - start[0], end[1] - start[1])
    along = min(max((x * dx + y * dy) / (dx * dx + dy * dy), 0), 1) if dx or dy else 0
    return float(np.hypot(x - along * dx, y - along * dy))
