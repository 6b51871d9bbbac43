"""Figures of one image or volume: its flows, outlines and masks. They need matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks
from flowseg.plot._axes import as_axes, as_color, as_fraction, draw_cross, draw_edges, show_picture
from flowseg.plot._palette import OUTLINE_COLOR
from flowseg.plot._pictures import flow_colors, flow_key, image_colors, number_masks, object_colors
from flowseg.plot._views import PAPER, Sheet, make_sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Yellow as in `outlines`.
OUTLINE = as_fraction(OUTLINE_COLOR)
# The color wheel beside the axes: left, bottom, width and height as shares of the axes; and its size in pixels.
KEY_PLACE = (1.02, 0.8, 0.2, 0.2)
KEY_SIZE = 256
# Opacity of objects on the image: colors can be distinguished, and the image stays visible.
MASK_OPACITY = 0.5
# On a sheet of numbers of objects, where no view is; its color is the last of a table of colors.
NO_VIEW, PAPER_COLOR = -1, np.full((1, 3), PAPER, dtype=np.uint8)


def show_flows(
    flows: ArrayLike,
    *,
    masks: ArrayLike | None = None,
    linewidth: float = 1.0,
    spacing: ArrayLike | None = None,
    at: Sequence[int] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Show flows as colors, with a color wheel as the key.

    Of a volume three views are shown: a plane, and the two that are perpendicular to it.

    Parameters
    ----------
    flows : array_like of float, shape (2, rows, columns) or (3, planes, rows, columns)
        Row and column component of every pixel's flow; of a volume the plane component before them. Each of the three
        views of a volume shows the two components within its own plane.
    masks : array_like of int, shape (rows, columns) or (planes, rows, columns), optional
        Objects to outline, in white.
    linewidth : float
        Width of the outlines, in points.
    spacing : array_like of float, optional
        Distance between pixels along each axis, in any unit, for the right proportions; by default equal.
    at : (int, int, int), optional
        Plane, row and column of the voxel that the three views of a volume cut; by default the middle.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    ax : matplotlib.axes.Axes
        Axes with the picture; the key is an inset at the upper right.

    Raises
    ------
    TypeError, ValueError
        If flows or masks are invalid, their shapes differ, ``linewidth`` is negative, or ``at`` is outside.
    ImportError
        If matplotlib is not installed: it comes with the extra ``plot``.

    See Also
    --------
    flow_colors : returns the picture, without matplotlib.

    Examples
    --------
    >>> from flowseg import masks_to_flows, plot, synthetic
    >>> _, masks = synthetic.cells((64, 64), 5, rng=0)
    >>> ax = plot.show_flows(masks_to_flows(masks), masks=masks)
    >>> ax.figure.savefig("flows.png")  # doctest: +SKIP
    """
    array = _checks.as_flows(flows)
    shape = array.shape[1:]
    number = None if masks is None else number_masks(masks, "masks", shape, "one component of flows")[0]
    width = _checks.as_number(linewidth, "linewidth", low=0.0)
    sheet = make_sheet(shape, spacing, at)
    axes = as_axes(ax)
    show_picture(axes, _color_views(sheet, array), exact=True)
    if number is not None:
        draw_edges(axes, sheet.cut(number, 0), "white", width)
    draw_cross(axes, sheet)
    wheel = flow_key(KEY_SIZE)
    inset = axes.inset_axes(KEY_PLACE)
    show_picture(inset, np.dstack([wheel, 255 * wheel.any(axis=2).astype(np.uint8)]), exact=False)
    return axes


def _color_views(sheet: Sheet, flows: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the sheet of flows as colors, in each view by the components along its own axes."""
    planes = []
    for k, view in enumerate(sheet.views):
        down, across = sheet.slices(flows[view.down])[k], sheet.slices(flows[view.across])[k]
        planes.append(flow_colors(np.stack([down, across])))
    return sheet.place(sheet.scale(planes), PAPER)


def show_outlines(
    image: ArrayLike,
    masks: ArrayLike,
    *,
    color: Any = OUTLINE,
    linewidth: float = 1.0,
    spacing: ArrayLike | None = None,
    at: Sequence[int] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Show an image with the outlines of objects along the edges of their pixels.

    Lines have the same width at every size of the figure, and hide no pixels when it is large. Of a volume three views
    are shown: a plane, and the two that are perpendicular to it.

    Parameters
    ----------
    image : array_like, shape (rows, columns) or (rows, columns, 3), or with planes before the rows
        Image; its 1st and 99th percentiles become black and white. A constant image is black.
    masks : array_like of int, shape (rows, columns) or (planes, rows, columns)
        Label image.
    color : matplotlib color
        Color of the lines; by default the yellow of `outlines`.
    linewidth : float
        Width of the lines, in points.
    spacing : array_like of float, optional
        Distance between pixels along each axis, in any unit, for the right proportions; by default equal.
    at : (int, int, int), optional
        Plane, row and column of the voxel that the three views of a volume cut; by default the middle.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    ax : matplotlib.axes.Axes
        Axes with the picture.

    Raises
    ------
    TypeError, ValueError
        If image or masks are invalid, their shapes differ, ``linewidth`` is negative, or ``at`` is outside.
    ImportError
        If matplotlib is not installed: it comes with the extra ``plot``.

    See Also
    --------
    outlines : returns a picture in which the outer pixels of objects are colored, without matplotlib.

    Examples
    --------
    >>> from flowseg import plot, synthetic
    >>> image, masks = synthetic.cells((64, 64), 5, rng=0)
    >>> ax = plot.show_outlines(image, masks, color="white")
    """
    number, _ = number_masks(masks, "masks")
    picture = image_colors(image, number.shape)
    width = _checks.as_number(linewidth, "linewidth", low=0.0)
    line = as_color(color)
    sheet = make_sheet(number.shape, spacing, at)
    axes = as_axes(ax)
    show_picture(axes, sheet.cut(picture, PAPER), exact=False)
    draw_edges(axes, sheet.cut(number, 0), line, width)
    draw_cross(axes, sheet)
    return axes


def show_masks(
    masks: ArrayLike,
    *,
    image: ArrayLike | None = None,
    spacing: ArrayLike | None = None,
    at: Sequence[int] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Show masks filled with colors that differ between neighbors.

    Of a volume three views are shown: a plane, and the two that are perpendicular to it.

    Parameters
    ----------
    masks : array_like of int, shape (rows, columns) or (planes, rows, columns)
        Label image.
    image : array_like, shape (rows, columns) or (rows, columns, 3), or with planes before the rows, optional
        Image below the masks; by default the background is black.
    spacing : array_like of float, optional
        Distance between pixels along each axis, in any unit, for the right proportions; by default equal.
    at : (int, int, int), optional
        Plane, row and column of the voxel that the three views of a volume cut; by default the middle.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    ax : matplotlib.axes.Axes
        Axes with the picture.

    Raises
    ------
    TypeError, ValueError
        If masks or image are invalid, their shapes differ, or ``at`` is outside.
    ImportError
        If matplotlib is not installed: it comes with the extra ``plot``.

    See Also
    --------
    mask_colors : returns the picture, without matplotlib.

    Examples
    --------
    >>> from flowseg import plot, synthetic
    >>> image, masks = synthetic.cells((64, 64), 5, rng=0)
    >>> ax = plot.show_masks(masks, image=image)
    """
    number, n = number_masks(masks, "masks")
    below = None if image is None else image_colors(image, number.shape)
    sheet = make_sheet(number.shape, spacing, at)
    seen = sheet.cut(number, NO_VIEW)
    picture = np.concatenate([object_colors(number, n), PAPER_COLOR])[seen]
    if below is not None:
        picture = blend(sheet.cut(below, PAPER), picture, seen > 0, MASK_OPACITY)
    axes = as_axes(ax)
    show_picture(axes, picture, exact=image is None)
    draw_cross(axes, sheet)
    return axes


def blend(
    below: NDArray[np.uint8], above: NDArray[np.uint8], where: NDArray[np.bool_], opacity: float
) -> NDArray[np.uint8]:
    """Return a picture with another one over it, where ``where`` is True."""
    mixed = (1 - opacity) * below + opacity * above
    return np.where(where[..., None], np.rint(mixed).astype(np.uint8), below)
