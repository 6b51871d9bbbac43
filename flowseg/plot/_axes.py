"""Axes to draw on, and the edges of objects as lines on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flowseg._system.optional import need

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of pyproject.toml: brings matplotlib.
EXTRA = "plot"


def as_axes(ax: Any) -> Axes:
    """Axes to draw on; new ones, of a figure of their own, for None."""
    axes = need("matplotlib.axes", EXTRA)
    if ax is None:
        _, made = need("matplotlib.pyplot", EXTRA).subplots(layout="constrained")
        return made
    if not isinstance(ax, axes.Axes):
        raise TypeError(f"ax must be matplotlib Axes or None (a new figure); got {type(ax).__name__}.")
    return ax


def as_color(color: Any, name: str = "color") -> Any:
    """Return what matplotlib takes for a color."""
    if not need("matplotlib.colors", EXTRA).is_color_like(color):
        raise ValueError(f"{name} must be a color that matplotlib knows, such as 'white' or '#ffdc00'; got {color!r}.")
    return color


def as_fraction(color: tuple[int, int, int]) -> tuple[float, float, float]:
    """Red, green and blue from 0 to 1, as matplotlib takes them, of 0 to 255."""
    red, green, blue = color
    return red / 255, green / 255, blue / 255


def say_count(n: int, one: str, several: str) -> str:
    """A number and what is counted."""
    return f"{n} {one if n == 1 else several}"


def show_picture(ax: Axes, picture: NDArray[np.uint8], *, exact: bool) -> None:
    """Show an RGB picture without ticks; ``exact`` mixes no colors where it shrinks, photographs look better mixed."""
    ax.imshow(picture, interpolation="nearest" if exact else None)
    ax.set_axis_off()


def draw_edges(ax: Axes, number: NDArray[Any], color: Any, linewidth: float) -> None:
    """Draw lines between pixels of different numbers and round the image where these are not 0."""
    collections = need("matplotlib.collections", EXTRA)
    lines = find_edges(number)
    ax.add_collection(
        collections.LineCollection(list(lines), colors=[color], linewidths=linewidth, capstyle="projecting"),
        autolim=False,
    )


def find_edges(number: NDArray[Any]) -> NDArray[np.float64]:
    """Straight lines between pixels of different numbers, each once; shape (n, 2 ends, x and y).

    As in `matplotlib.axes.Axes.imshow`, pixel (0, 0) has its centre at (0, 0). Outside the image everything is 0.
    """
    padded = np.pad(number, 1)
    column, top, bottom = _find_runs((padded[:, 1:] != padded[:, :-1]).T[:, 1:-1])
    row, left, right = _find_runs((padded[1:] != padded[:-1])[:, 1:-1])
    upright = np.stack([np.stack([column, top], axis=1), np.stack([column, bottom], axis=1)], axis=1)
    level = np.stack([np.stack([left, row], axis=1), np.stack([right, row], axis=1)], axis=1)
    return np.concatenate([upright, level]) - 0.5


def _find_runs(edge: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Row, start and end of every run of True along the rows."""
    change = np.diff(np.pad(edge, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    line, start = np.nonzero(change == 1)
    _, stop = np.nonzero(change == -1)
    return line, start, stop
