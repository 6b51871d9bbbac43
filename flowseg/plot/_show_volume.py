"""Figures of a volume with the outlines of objects in their own colors. They need matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from flowseg import _checks
from flowseg.plot._axes import as_axes, draw_cross, draw_outlines, show_picture
from flowseg.plot._pictures import image_colors, number_masks, object_colors
from flowseg.plot._views import PAPER, make_sheet
from flowseg.plot._volumes import as_volume, project_image, project_objects

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def show_volume(
    image: ArrayLike,
    masks: ArrayLike | None = None,
    *,
    spacing: ArrayLike | None = None,
    at: Sequence[int] | None = None,
    linewidth: float = 1.0,
    ax: Axes | None = None,
) -> Axes:
    """Show three planes of a volume that are perpendicular to each other, with lines where they cut.

    Parameters
    ----------
    image : array_like, shape (planes, rows, columns) or (planes, rows, columns, 3)
        Volume; its 1st and 99th percentiles become black and white.
    masks : array_like of int, shape (planes, rows, columns), optional
        Label image. Objects are outlined in the colors of `mask_colors`: the same in all views, and other ones than
        their neighbors in every view.
    spacing : array_like of float, optional
        Distance between voxels along each axis, in any unit, for the right proportions; by default equal.
    at : (int, int, int), optional
        Plane, row and column of the voxel that all three planes cut; by default the middle.
    linewidth : float
        Width of the outlines, in points.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    ax : matplotlib.axes.Axes
        Axes with the picture, arranged as in `orthogonal_views`; the title is the point.

    Raises
    ------
    TypeError, ValueError
        If image or masks are invalid, their shapes differ, ``linewidth`` is negative, or ``at`` is outside.
    ImportError
        If matplotlib is not installed: it comes with the extra ``plot``.

    See Also
    --------
    orthogonal_views : returns a picture, without matplotlib.
    show_projections : looks through the whole volume.

    Examples
    --------
    >>> import numpy as np
    >>> from flowseg import plot
    >>> masks = np.zeros((10, 40, 50), dtype=int)
    >>> masks[3:7, 10:30, 20:40] = 1
    >>> ax = plot.show_volume(100 * masks, masks, spacing=(2, 1, 1), at=(4, 20, 30))
    >>> ax.get_title()
    'plane 4, row 20, column 30'
    """
    shown, shape = as_volume(image)
    sheet = make_sheet(shape, spacing, at)
    numbers = None if masks is None else number_masks(masks, "masks", shape, "image")
    width = _checks.as_number(linewidth, "linewidth", low=0.0)
    axes = as_axes(ax)
    show_picture(axes, sheet.cut(image_colors(shown, shape), PAPER), exact=False)
    if numbers is not None:
        number, n = numbers
        draw_outlines(axes, sheet, sheet.cut(number, 0), object_colors(number, n), width)
    draw_cross(axes, sheet)
    return axes


def show_projections(
    image: ArrayLike,
    masks: ArrayLike | None = None,
    *,
    spacing: ArrayLike | None = None,
    linewidth: float = 1.0,
    ax: Axes | None = None,
) -> Axes:
    """Show the brightest values of a volume along each of its axes.

    Parameters
    ----------
    image : array_like, shape (planes, rows, columns) or (planes, rows, columns, 3)
        Volume. The 1st and 99th percentiles of its projections become black and white.
    masks : array_like of int, shape (planes, rows, columns), optional
        Label image. Objects are outlined in the colors of `mask_colors`; of those behind each other, the one of the
        lowest plane, row or column is shown.
    spacing : array_like of float, optional
        Distance between voxels along each axis, in any unit, for the right proportions; by default equal.
    linewidth : float
        Width of the outlines, in points.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    ax : matplotlib.axes.Axes
        Axes with the picture, arranged as in `orthogonal_views`.

    Raises
    ------
    TypeError, ValueError
        If image or masks are invalid, their shapes differ, or ``linewidth`` is negative.
    ImportError
        If matplotlib is not installed: it comes with the extra ``plot``.

    See Also
    --------
    maximum_projections : returns a picture, without matplotlib.

    Examples
    --------
    >>> import numpy as np
    >>> from flowseg import plot
    >>> volume = np.zeros((10, 40, 50))
    >>> volume[3, 20, 30] = 1
    >>> ax = plot.show_projections(volume, spacing=(2, 1, 1))
    >>> ax.get_title()
    'maximum projections'
    """
    shown, shape = as_volume(image)
    sheet = make_sheet(shape, spacing)
    numbers = None if masks is None else number_masks(masks, "masks", shape, "image")
    width = _checks.as_number(linewidth, "linewidth", low=0.0)
    axes = as_axes(ax)
    show_picture(axes, sheet.place(sheet.scale(project_image(sheet, shown)), PAPER), exact=False)
    if numbers is not None:
        number, n = numbers
        seen = sheet.place(sheet.scale(project_objects(sheet, number)), 0)
        draw_outlines(axes, sheet, seen, object_colors(number, n), width)
    axes.set_title("maximum projections", fontsize="medium")
    return axes
