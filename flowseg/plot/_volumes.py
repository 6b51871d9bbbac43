"""Pictures of volumes as RGB arrays, without matplotlib: three orthogonal views, and maximum projections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from skimage.segmentation import find_boundaries

from flowseg import _checks
from flowseg.plot._graph_coloring import see_first
from flowseg.plot._pictures import as_shown, image_colors, number_masks, object_colors, to_bytes
from flowseg.plot._views import PAPER, Sheet, make_sheet

# Percentiles of the projections that become black and white, as in `outlines`.
LOW, HIGH = 1.0, 99.0
# Of 255: on pixels brighter than this, cross lines are dark.
BRIGHT = 128


def orthogonal_views(
    image: ArrayLike,
    masks: ArrayLike | None = None,
    *,
    spacing: ArrayLike | None = None,
    at: Sequence[int] | None = None,
    cross_lines: bool = True,
) -> NDArray[np.uint8]:
    """Return one picture of three planes of a volume that are perpendicular to each other.

    Parameters
    ----------
    image : array_like, shape (planes, rows, columns) or (planes, rows, columns, 3)
        Volume; its 1st and 99th percentiles become black and white.
    masks : array_like of int, shape (planes, rows, columns), optional
        Label image. Objects are outlined in the colors of `mask_colors`: the same in all views, and other ones than
        their neighbors in every view.
    spacing : array_like of float, optional
        Distance between voxels along each axis, in any unit, for the right proportions; by default equal. One pixel of
        the picture is one voxel along the axis of the smallest distance.
    at : (int, int, int), optional
        Plane, row and column of the voxel that all three planes cut; by default the middle.
    cross_lines : bool
        Whether to draw lines through this voxel.

    Returns
    -------
    picture : ndarray of uint8, shape (height, width, 3)
        At the upper left a plane (rows and columns), below it planes and columns, to its right rows and planes.

    Raises
    ------
    TypeError, ValueError
        If image or masks are invalid, their shapes differ, or ``at`` is outside.
    MemoryError
        If the picture does not fit into memory, for example with a spacing of 1000 along a long axis.

    See Also
    --------
    show_volume : a figure, with sharp lines.
    maximum_projections : looks through the whole volume.

    Examples
    --------
    >>> import numpy as np
    >>> from flowseg import plot
    >>> masks = np.zeros((10, 40, 50), dtype=int)
    >>> masks[3:7, 10:30, 20:40] = 1
    >>> plot.orthogonal_views(100 * masks, masks, spacing=(2, 1, 1)).shape
    (62, 72, 3)
    """
    shown, shape = as_volume(image)
    sheet = make_sheet(shape, spacing, at)
    numbers = None if masks is None else number_masks(masks, "masks", shape, "image")
    scaled = sheet.scale(sheet.slices(image_colors(shown, shape)))
    if numbers is not None:
        number, n = numbers
        _outline(scaled, sheet.scale(sheet.slices(number)), object_colors(number, n))
    if cross_lines:
        _draw_cross(sheet, scaled)
    return sheet.place(scaled, PAPER)


def maximum_projections(
    image: ArrayLike, masks: ArrayLike | None = None, *, spacing: ArrayLike | None = None
) -> NDArray[np.uint8]:
    """Return one picture of the brightest values of a volume along each of its axes.

    Parameters
    ----------
    image : array_like, shape (planes, rows, columns) or (planes, rows, columns, 3)
        Volume. The 1st and 99th percentiles of its projections become black and white.
    masks : array_like of int, shape (planes, rows, columns), optional
        Label image. Objects are outlined in the colors of `mask_colors`; of those behind each other, the one of the
        lowest plane, row or column is shown.
    spacing : array_like of float, optional
        Distance between voxels along each axis, in any unit, for the right proportions; by default equal.

    Returns
    -------
    picture : ndarray of uint8, shape (height, width, 3)
        Arranged as in `orthogonal_views`.

    Raises
    ------
    TypeError, ValueError
        If image or masks are invalid, or their shapes differ.
    MemoryError
        If the picture does not fit into memory.

    See Also
    --------
    show_projections : a figure, with sharp lines.

    Examples
    --------
    >>> import numpy as np
    >>> from flowseg import plot
    >>> volume = np.zeros((10, 40, 50))
    >>> volume[3, 20, 30] = 1
    >>> plot.maximum_projections(volume).shape
    (52, 62, 3)
    """
    shown, shape = as_volume(image)
    sheet = make_sheet(shape, spacing)
    numbers = None if masks is None else number_masks(masks, "masks", shape, "image")
    scaled = sheet.scale(project_image(sheet, shown))
    if numbers is not None:
        number, n = numbers
        _outline(scaled, sheet.scale(project_objects(sheet, number)), object_colors(number, n))
    return sheet.place(scaled, PAPER)


def as_volume(image: ArrayLike) -> tuple[NDArray[Any], tuple[int, ...]]:
    """Return a volume with the channels that are shown, and its shape without channels."""
    array = _checks.as_image(image)
    if array.ndim == 2:
        raise ValueError(
            f"image must be a volume (planes, rows, columns); got shape {array.shape}. "
            "An image is shown by plot.outlines and plot.show_outlines."
        )
    shown = as_shown(array, 3)
    return shown, shown.shape[:3]


def project_image(sheet: Sheet, shown: NDArray[Any]) -> list[NDArray[np.uint8]]:
    """Return the brightest values along the axis of each view as RGB, all stretched alike."""
    planes = [shown.max(axis=axis).astype(np.float64) for axis in sheet.unseen]
    black, white = np.percentile(np.concatenate([plane.ravel() for plane in planes]), (LOW, HIGH))
    width = max(white - black, np.finfo(np.float64).tiny)
    return [
        to_bytes(np.broadcast_to(((plane - black) / width).reshape(*plane.shape[:2], -1), (*plane.shape[:2], 3)))
        for plane in planes
    ]


def project_objects(sheet: Sheet, number: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the first object along the axis of each view."""
    return [see_first(number, axis) for axis in sheet.unseen]


def _outline(pictures: list[NDArray[np.uint8]], numbers: list[NDArray[np.int64]], colors: NDArray[np.uint8]) -> None:
    """Draw the outlines of objects on the views, in their colors."""
    for picture, number in zip(pictures, numbers, strict=True):
        edge = find_boundaries(number, mode="inner")
        picture[edge] = colors[number[edge]]


def _draw_cross(sheet: Sheet, pictures: list[NDArray[np.uint8]]) -> None:
    """Draw lines through the voxel that all views cut: half transparent, dark where the picture is bright."""
    for view, picture in zip(sheet.views, pictures, strict=True):
        row, column = (int(place) for place in sheet.cross(view))
        line = np.zeros(picture.shape[:2], dtype=bool)
        line[row] = line[:, column] = True
        below = picture[line]
        bright = below.mean(axis=1, keepdims=True) > BRIGHT
        picture[line] = below // 2 + np.where(bright, 0, 127).astype(np.uint8)
