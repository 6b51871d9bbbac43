"""Axes to draw on, and the edges of objects drawn on them as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from flowseg._labels.objects import objects_of
from flowseg._labels.polygons import Ring, trace
from flowseg._system.optional_packages import need
from flowseg.plot._views import Sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The extra in pyproject.toml that installs matplotlib.
EXTRA = "plot"
# Cross lines: wide and dark below narrow and bright, so that they are visible on any image; color, width in points and
# opacity.
CROSS_LINES = (("black", 1.8, 0.35), ("white", 0.7, 0.7))
# Pixels between an outline in an object's own color and the edge, so that those of touching objects are both visible.
INSET = 0.25


def as_axes(ax: Any) -> Axes:
    """Return axes to draw on; for None those of a new figure."""
    axes = need("matplotlib.axes", EXTRA)
    if ax is None:
        _, new = need("matplotlib.pyplot", EXTRA).subplots(layout="constrained")
        return cast("Axes", new)
    if not isinstance(ax, axes.Axes):
        raise TypeError(f"ax must be matplotlib Axes or None (a new figure); got {type(ax).__name__}.")
    return cast("Axes", ax)


def as_color(color: Any, name: str = "color") -> Any:
    """Return a color, checked by matplotlib."""
    if not need("matplotlib.colors", EXTRA).is_color_like(color):
        raise ValueError(f"{name} must be a color that matplotlib knows, such as 'white' or '#ffdc00'; got {color!r}.")
    return color


def as_fraction(color: tuple[int, int, int]) -> tuple[float, float, float]:
    """Return red, green and blue from 0 to 1, as matplotlib takes them."""
    red, green, blue = color
    return red / 255, green / 255, blue / 255


def count_in_words(n: int, one: str, several: str) -> str:
    """Return a number with the word for what is counted."""
    return f"{n} {one if n == 1 else several}"


def show_picture(ax: Axes, picture: NDArray[np.uint8], *, exact: bool) -> None:
    """Show an RGB picture without ticks; ``exact`` keeps its colors unmixed where it is shrunk."""
    ax.imshow(picture, interpolation="nearest" if exact else None)
    ax.set_axis_off()


def draw_edges(ax: Axes, number: NDArray[Any], color: Any, linewidth: float) -> None:
    """Draw lines between pixels of different objects, and around the image where there are objects."""
    collections = need("matplotlib.collections", EXTRA)
    lines = find_edges(number)
    ax.add_collection(
        collections.LineCollection(list(lines), colors=[color], linewidths=linewidth, capstyle="projecting"),
        autolim=False,
    )


def draw_outlines(ax: Axes, sheet: Sheet, number: NDArray[np.int64], colors: NDArray[np.uint8], width: float) -> None:
    """Draw the outline of every object on a sheet of numbers, in its own color, just inside its edge."""
    rings, shades = [], []
    for view in sheet.views:
        for k, corner, mask in objects_of(number[view.box]):
            found = [_inset(ring) + corner + (view.top - 0.5, view.left - 0.5) for part in trace(mask) for ring in part]
            rings += [ring[:, ::-1] for ring in found]
            shades += [colors[k] / 255] * len(found)
    collections = need("matplotlib.collections", EXTRA)
    ax.add_collection(
        collections.PolyCollection(rings, facecolors="none", edgecolors=shades, linewidths=width), autolim=False
    )


def _inset(ring: Ring) -> Ring:
    """Return a ring around an object, which is to the right of its edges, moved into the object."""
    ahead = np.sign(np.roll(ring, -1, axis=0) - ring)
    right = np.stack([ahead[:, 1], -ahead[:, 0]], axis=1)
    moved: Ring = ring + INSET * (right + np.roll(right, 1, axis=0))
    return moved


def draw_cross(ax: Axes, sheet: Sheet) -> None:
    """Draw lines through the point of the views of a volume, and name it; an image has neither."""
    if len(sheet.shape) == 2:
        return
    lines = []
    for view in sheet.views:
        row, column = sheet.cross(view)
        top, left = view.top - 0.5, view.left - 0.5
        lines += [
            [(left, top + row), (left + view.columns, top + row)],
            [(left + column, top), (left + column, top + view.rows)],
        ]
    make = need("matplotlib.collections", EXTRA).LineCollection
    for color, width, opacity in CROSS_LINES:
        ax.add_collection(make(lines, colors=color, linewidths=width, alpha=opacity), autolim=False)
    plane, row_at, column_at = sheet.at
    ax.set_title(f"plane {plane}, row {row_at}, column {column_at}", fontsize="medium")


def find_edges(number: NDArray[Any]) -> NDArray[np.float64]:
    """Return straight lines between pixels of different objects, each once; shape (n, 2 ends, x and y).

    As in `matplotlib.axes.Axes.imshow`, pixel (0, 0) has its center at (0, 0). Outside the image there is background.
    """
    padded = np.pad(number, 1)
    column, top, bottom = _find_runs((padded[:, 1:] != padded[:, :-1]).T[:, 1:-1])
    row, left, right = _find_runs((padded[1:] != padded[:-1])[:, 1:-1])
    upright = np.stack([np.stack([column, top], axis=1), np.stack([column, bottom], axis=1)], axis=1)
    level = np.stack([np.stack([left, row], axis=1), np.stack([right, row], axis=1)], axis=1)
    return np.concatenate([upright, level]) - 0.5


def _find_runs(edge: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return row, start and end of every run of True along the rows."""
    change = np.diff(np.pad(edge, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    line, start = np.nonzero(change == 1)
    _, stop = np.nonzero(change == -1)
    return line, start, stop
