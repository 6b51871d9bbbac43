"""Three orthogonal views of a volume on one sheet, scaled so that proportions are right; of an image, itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks
from flowseg._system import memory

# Axes of a volume that run down and across each view: rows and columns; below it planes and columns; to its right rows
# and planes. Source: the usual arrangement, as in Fiji.
VIEW_AXES = ((1, 2), (0, 2), (1, 0))
# Between two views: this share of the longer side of the sheet, and at least this many pixels.
GAP_SHARE, GAP_PIXELS = 0.01, 2
# Between views, and where no view is.
PAPER = 255
# Bytes per pixel of a sheet: labels (int64), the picture, and copies of both that are scaled.
SHEET_BYTES = 32


class View(NamedTuple):
    """One view: its axes, and its place on the sheet in pixels."""

    down: int
    across: int
    top: int
    left: int
    rows: int
    columns: int

    @property
    def box(self) -> tuple[slice, slice]:
        """Its pixels on the sheet."""
        return slice(self.top, self.top + self.rows), slice(self.left, self.left + self.columns)


@dataclass(frozen=True)
class Sheet:
    """The views of an array of ``shape``: of an image one, of a volume three, through the voxel ``at``."""

    shape: tuple[int, ...]
    at: tuple[int, ...]
    views: tuple[View, ...]
    rows: int
    columns: int

    def slices(self, array: NDArray[Any]) -> list[NDArray[Any]]:
        """Return the planes of the views, their axes in the order of the array."""
        if len(self.shape) == 2:
            return [array]
        return [array.take(self.at[axis], axis=axis) for axis in self.unseen]

    @property
    def unseen(self) -> list[int]:
        """The axis that each view of a volume looks along."""
        return [3 - view.down - view.across for view in self.views]

    def scale(self, planes: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Return the planes of the views as they are on the sheet."""
        turned = [
            plane.swapaxes(0, 1) if view.down > view.across else plane
            for view, plane in zip(self.views, planes, strict=True)
        ]
        return [_stretch(plane, view.rows, view.columns) for view, plane in zip(self.views, turned, strict=True)]

    def place(self, scaled: Sequence[NDArray[Any]], background: int) -> NDArray[Any]:
        """Return the sheet with scaled planes on it."""
        sheet = np.full((self.rows, self.columns, *scaled[0].shape[2:]), background, dtype=scaled[0].dtype)
        for view, plane in zip(self.views, scaled, strict=True):
            sheet[view.box] = plane
        return sheet

    def cut(self, array: NDArray[Any], background: int) -> NDArray[Any]:
        """Return the sheet of an array of this shape, with or without channels."""
        return self.place(self.scale(self.slices(array)), background)

    def cross(self, view: View) -> tuple[float, float]:
        """Return where the voxel ``at`` is in a view: row and column of its center, from the outer corner."""
        row = (self.at[view.down] + 0.5) * view.rows / self.shape[view.down]
        return row, (self.at[view.across] + 0.5) * view.columns / self.shape[view.across]


def make_sheet(shape: tuple[int, ...], spacing: ArrayLike | None = None, at: Any = None) -> Sheet:
    """Return the sheet of an image or a volume; by default ``at`` is the middle."""
    distances = _checks.as_spacing(spacing, len(shape))
    lengths = [max(1, round(n * d)) for n, d in zip(shape, distances / distances.min(), strict=True)]
    point = _as_point(at, shape)
    if len(shape) == 2:
        rows, columns = lengths
        return Sheet(shape, point, (View(0, 1, 0, 0, rows, columns),), rows, columns)
    depth, rows, columns = lengths
    gap = max(GAP_PIXELS, round(GAP_SHARE * max(rows + depth, columns + depth)))
    memory.check(
        SHEET_BYTES * (rows + gap + depth) * (columns + gap + depth),
        f"with {rows + gap + depth} x {columns + gap + depth} pixels the picture of a volume of shape {shape}",
    )
    corners = ((0, 0), (rows + gap, 0), (0, columns + gap))
    views = tuple(
        View(down, across, top, left, lengths[down], lengths[across])
        for (down, across), (top, left) in zip(VIEW_AXES, corners, strict=True)
    )
    return Sheet(shape, point, views, rows + gap + depth, columns + gap + depth)


def _stretch(plane: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    """Return a plane of other rows and columns: each new pixel takes the value at its center."""
    if plane.shape[:2] == (rows, columns):
        return plane
    down, across = (
        (2 * np.arange(new) + 1) * old // (2 * new) for new, old in zip((rows, columns), plane.shape[:2], strict=True)
    )
    return np.asarray(plane[down[:, None], across])


def _as_point(at: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    if at is None:
        return tuple(n // 2 for n in shape)
    if len(shape) == 2:
        raise ValueError(f"at must be None for an image: it is the point of a volume to show; got {at!r}.")
    if isinstance(at, str) or not isinstance(at, Sequence | np.ndarray) or len(at) != len(shape):
        raise TypeError(f"at must be (plane, row, column) or None (the middle); got {at!r}.")
    point = tuple(_checks.as_integer(value, f"at[{k}]", minimum=0) for k, value in enumerate(at))
    if any(value >= n for value, n in zip(point, shape, strict=True)):
        raise ValueError(f"at must be inside a volume of shape {shape}; got {point}.")
    return point
