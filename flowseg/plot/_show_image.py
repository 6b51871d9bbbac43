"""Figures of one image: its flows, outlines and masks. They need matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks
from flowseg._labels.overlaps import number_objects
from flowseg.plot._axes import as_axes, as_color, as_fraction, draw_edges, show_picture
from flowseg.plot._palette import OUTLINE_COLOR
from flowseg.plot._pictures import flow_colors, flow_key, image_colors, mask_colors

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Yellow as in `outlines`.
OUTLINE = as_fraction(OUTLINE_COLOR)
# The color wheel beside the axes: left, bottom, width and height as shares of the axes; and its size in pixels.
KEY_PLACE = (1.02, 0.8, 0.2, 0.2)
KEY_SIZE = 256
# Opacity of objects on the image: colors can be distinguished, and the image stays visible.
MASK_OPACITY = 0.5


def show_flows(
    flows: ArrayLike, *, masks: ArrayLike | None = None, linewidth: float = 1.0, ax: Axes | None = None
) -> Axes:
    """Show flows as colors, with a color wheel as the key.

    Parameters
    ----------
    flows : array_like of float, shape (2, rows, columns)
        Row and column component of every pixel's flow.
    masks : array_like of int, shape (rows, columns), optional
        Objects to outline, in white.
    linewidth : float
        Width of the outlines, in points.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    ax : matplotlib.axes.Axes
        Axes with the picture; the key is an inset at the upper right.

    Raises
    ------
    TypeError, ValueError
        If flows or masks are invalid, their shapes differ, or ``linewidth`` is negative.
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
    picture = flow_colors(flows)
    number = None if masks is None else number_masks(masks, "masks", picture.shape[:2], "one component of flows")
    width = _checks.as_number(linewidth, "linewidth", low=0.0)
    axes = as_axes(ax)
    show_picture(axes, picture, exact=True)
    if number is not None:
        draw_edges(axes, number, "white", width)
    wheel = flow_key(KEY_SIZE)
    inset = axes.inset_axes(KEY_PLACE)
    show_picture(inset, np.dstack([wheel, 255 * wheel.any(axis=2).astype(np.uint8)]), exact=False)
    return axes


def show_outlines(
    image: ArrayLike, masks: ArrayLike, *, color: Any = OUTLINE, linewidth: float = 1.0, ax: Axes | None = None
) -> Axes:
    """Show an image with the outlines of objects along the edges of their pixels.

    Lines have the same width at every size of the figure, and hide no pixels when it is large.

    Parameters
    ----------
    image : array_like, shape (rows, columns) or (rows, columns, 3)
        Image; its 1st and 99th percentiles become black and white. A constant image is black.
    masks : array_like of int, shape (rows, columns)
        Label image.
    color : matplotlib color
        Color of the lines; by default the yellow of `outlines`.
    linewidth : float
        Width of the lines, in points.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    ax : matplotlib.axes.Axes
        Axes with the picture.

    Raises
    ------
    TypeError, ValueError
        If image or masks are invalid, their shapes differ, or ``linewidth`` is negative.
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
    number = number_masks(masks, "masks")
    picture = image_colors(image, number.shape)
    width = _checks.as_number(linewidth, "linewidth", low=0.0)
    line = as_color(color)
    axes = as_axes(ax)
    show_picture(axes, picture, exact=False)
    draw_edges(axes, number, line, width)
    return axes


def show_masks(masks: ArrayLike, *, image: ArrayLike | None = None, ax: Axes | None = None) -> Axes:
    """Show masks filled with colors that differ between neighbors.

    Parameters
    ----------
    masks : array_like of int, shape (rows, columns)
        Label image.
    image : array_like, shape (rows, columns) or (rows, columns, 3), optional
        Image below the masks; by default the background is black.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    ax : matplotlib.axes.Axes
        Axes with the picture.

    Raises
    ------
    TypeError, ValueError
        If masks or image are invalid, or their shapes differ.
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
    picture = mask_colors(masks)
    if image is not None:
        picture = blend(image_colors(image, picture.shape[:2]), picture, np.asarray(masks) > 0, MASK_OPACITY)
    axes = as_axes(ax)
    show_picture(axes, picture, exact=image is None)
    return axes


def blend(
    below: NDArray[np.uint8], above: NDArray[np.uint8], where: NDArray[np.bool_], opacity: float
) -> NDArray[np.uint8]:
    """Return a picture with another one over it, where ``where`` is True."""
    mixed = (1 - opacity) * below + opacity * above
    return np.where(where[..., None], np.rint(mixed).astype(np.uint8), below)


def number_masks(
    masks: ArrayLike, name: str, shape: tuple[int, ...] | None = None, other: str = ""
) -> NDArray[np.int64]:
    """Return a label image with its objects numbered 1..n; its shape must be ``shape`` if that is given."""
    array = _checks.as_masks(masks, name, ndims=(2,))
    if shape is not None:
        _checks.check_same_shape(array.shape, shape, name, other)
    _, number, _ = number_objects(array)
    return number.reshape(array.shape)
