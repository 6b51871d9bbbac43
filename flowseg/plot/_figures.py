"""Figures of one image: its flows, outlines and masks, and what was found of what is true. They need matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from flowseg import _checks
from flowseg._labels.overlaps import exceeds, find_overlaps, leave_out_ignored, number_objects
from flowseg._system.optional import need
from flowseg.metrics import PARTNER_IOU, Match, match
from flowseg.plot._axes import EXTRA, as_axes, as_color, as_fraction, draw_edges, say_count, show_picture
from flowseg.plot._colors import (
    OUTLINE_COLOR,
    SKY_BLUE,
    VERMILLION,
    YELLOW,
    flow_colors,
    flow_key,
    image_colors,
    mask_colors,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

# Yellow as in `outlines`.
OUTLINE = as_fraction(OUTLINE_COLOR)
# The color wheel beside the axes: left, bottom, width and height, in shares of theirs; and its pixels across.
KEY_PLACE = (1.02, 0.8, 0.2, 0.2)
KEY_SIZE = 256
# How much of an object's color goes over the image: enough to tell colors apart, and the image can be seen.
MASK_OPACITY = 0.5
COMPARISON_OPACITY = 0.35
# Colors of hits, misses and false finds: of different lightness as well as hue.
HIT, MISS, FALSE_FIND = SKY_BLUE, VERMILLION, YELLOW
# Marks on split and merged objects.
SPLIT_MARKER, MERGE_MARKER = "X", "P"


def show_flows(
    flows: ArrayLike, *, masks: ArrayLike | None = None, linewidth: float = 1.0, ax: Axes | None = None
) -> Axes:
    """Show flows by color, with the color wheel that is the key.

    Parameters
    ----------
    flows : array_like of float, shape (2, rows, columns)
        Row before column.
    masks : array_like of int, shape (rows, columns), optional
        Objects to outline, in white.
    linewidth : float
        Of the outlines, in points.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    ax : matplotlib.axes.Axes
        The key is an inset at its upper right.

    Raises
    ------
    TypeError, ValueError
        If flows or masks cannot be used or do not fit each other, or a number is out of range.
    ImportError
        Without matplotlib: the extra ``plot``.

    See Also
    --------
    flow_colors : the picture alone, without matplotlib.

    Examples
    --------
    >>> from flowseg import masks_to_flows, plot, synthetic
    >>> _, masks = synthetic.cells((64, 64), 5, rng=0)
    >>> ax = plot.show_flows(masks_to_flows(masks), masks=masks)
    >>> ax.figure.savefig("flows.png")  # doctest: +SKIP
    """
    picture = flow_colors(flows)
    number = None if masks is None else _number(masks, "masks", picture.shape[:2], "one component of flows")
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
    """Show an image with the outlines of objects, along the edges of their pixels.

    Lines keep their width however large the image is shown, and hide no pixel when it is large.

    Parameters
    ----------
    image : array_like, shape (rows, columns) or (rows, columns, 3)
        Stretched to its 1st and 99th percentiles; a constant one is black.
    masks : array_like of int, shape (rows, columns)
        Label image.
    color : matplotlib color
        Of the lines.
    linewidth : float
        Of the lines, in points.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    ax : matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If image or masks cannot be used or do not fit each other, or a number is out of range.
    ImportError
        Without matplotlib: the extra ``plot``.

    See Also
    --------
    outlines : a picture in which the objects' outer pixels are colored, without matplotlib.

    Examples
    --------
    >>> from flowseg import plot, synthetic
    >>> image, masks = synthetic.cells((64, 64), 5, rng=0)
    >>> ax = plot.show_outlines(image, masks, color="white")
    """
    number = _number(masks, "masks")
    picture = image_colors(image, number.shape)
    width = _checks.as_number(linewidth, "linewidth", low=0.0)
    line = as_color(color)
    axes = as_axes(ax)
    show_picture(axes, picture, exact=False)
    draw_edges(axes, number, line, width)
    return axes


def show_masks(masks: ArrayLike, *, image: ArrayLike | None = None, ax: Axes | None = None) -> Axes:
    """Show masks filled with colors that differ between neighbours.

    Parameters
    ----------
    masks : array_like of int, shape (rows, columns)
        Label image.
    image : array_like, shape (rows, columns) or (rows, columns, 3), optional
        To lay them over; by default background is black.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    ax : matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If masks or image cannot be used or do not fit each other.
    ImportError
        Without matplotlib: the extra ``plot``.

    See Also
    --------
    mask_colors : the picture alone, without matplotlib.

    Examples
    --------
    >>> from flowseg import plot, synthetic
    >>> image, masks = synthetic.cells((64, 64), 5, rng=0)
    >>> ax = plot.show_masks(masks, image=image)
    """
    picture = mask_colors(masks)
    if image is not None:
        picture = _blend(image_colors(image, picture.shape[:2]), picture, np.asarray(masks) > 0, MASK_OPACITY)
    axes = as_axes(ax)
    show_picture(axes, picture, exact=image is None)
    return axes


def show_comparison(
    true: ArrayLike,
    predicted: ArrayLike,
    *,
    image: ArrayLike | None = None,
    threshold: float = 0.5,
    linewidth: float = 1.0,
    ax: Axes | None = None,
) -> Axes:
    """Show which objects were found, which were missed and which are not real.

    Parameters
    ----------
    true : array_like of int, shape (rows, columns)
        True label image.
    predicted : array_like of int, shape (rows, columns)
        Predicted one.
    image : array_like, shape (rows, columns) or (rows, columns, 3), optional
        To draw on; by default on black.
    threshold : float
        IoU from which two objects match, one to one.
    linewidth : float
        Of the outlines, in points.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    ax : matplotlib.axes.Axes
        The legend below holds the counts of `metrics.match`: predicted objects that match (blue), true objects without
        a partner (vermillion), predicted ones without a partner (yellow). A pixel of several is filled with the
        predicted one's color. Where `metrics.splits_merges` counts any, true objects that were split and predicted
        ones that merge several are marked.

    Raises
    ------
    TypeError, ValueError
        If masks or image cannot be used or do not fit each other, or a number is out of range.
    ImportError
        Without matplotlib: the extra ``plot``.

    Examples
    --------
    >>> import numpy as np
    >>> from flowseg import plot
    >>> true, predicted = np.array([[1, 1, 0, 2, 2]]), np.array([[1, 1, 0, 0, 3]])
    >>> ax = plot.show_comparison(true, predicted, threshold=0.75)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['1 hit', '1 miss', '1 false find']
    """
    result = match(true, predicted, threshold=threshold)
    a, b = (_checks.as_masks(m, name, ndims=(2,)) for m, name in ((true, "true"), (predicted, "predicted")))
    a, b = (np.maximum(m, 0).astype(np.int64) for m in (a, leave_out_ignored(a, b)))
    width = _checks.as_number(linewidth, "linewidth", low=0.0)
    picture = image_colors(np.zeros(a.shape) if image is None else image, a.shape)
    is_hit, is_found = np.isin(b, result.pairs[:, 1]), np.isin(a, result.pairs[:, 0])
    layers = (
        (np.where(is_hit, b, 0), b > 0, HIT),
        (np.where(is_hit, 0, b), b > 0, FALSE_FIND),
        (np.where(is_found, 0, a), b == 0, MISS),
    )
    for labels, where, color in layers:
        picture = _blend(picture, np.array(color, dtype=np.uint8), where & (labels > 0), COMPARISON_OPACITY)
    axes = as_axes(ax)
    show_picture(axes, picture, exact=image is None)
    for labels, _, color in layers:
        draw_edges(axes, labels, as_fraction(color), width)
    _add_legend(axes, result, _mark_splits_merges(axes, a, b))
    return axes


def _mark_splits_merges(ax: Axes, true: NDArray[np.int64], predicted: NDArray[np.int64]) -> list[Line2D]:
    """Mark objects with more than one partner at their centres; return the marks that there are."""
    overlaps = find_overlaps(true, predicted)
    partners = exceeds(overlaps.iou, PARTNER_IOU)
    marks = []
    for masks, labels, index, marker, names in (
        (true, overlaps.true_labels, overlaps.true_index, SPLIT_MARKER, ("split", "splits")),
        (predicted, overlaps.predicted_labels, overlaps.predicted_index, MERGE_MARKER, ("merge", "merges")),
    ):
        found = labels[np.bincount(index[partners], minlength=labels.size) > 1]
        if found.size:
            row, column = np.transpose(ndimage.center_of_mass(np.ones_like(masks), masks, found))
            marks += ax.plot(
                column,
                row,
                marker,
                mfc="white",
                mec="black",
                label=say_count(found.size, *names),
                scalex=False,
                scaley=False,
            )
    return marks


def _add_legend(ax: Axes, result: Match, marks: list[Line2D]) -> None:
    """Counts below the picture, those of the marks in a second row."""
    fills = (
        (result.tp, "hit", "hits", HIT),
        (result.fn, "miss", "misses", MISS),
        (result.fp, "false find", "false finds", FALSE_FIND),
    )
    make_patch = need("matplotlib.patches", EXTRA).Patch
    handles = [
        make_patch(color=as_fraction(color), label=say_count(n, one, several)) for n, one, several, color in fills
    ]
    for k, mark in enumerate(marks):
        handles.insert(2 * k + 1, mark)  # legends fill columns one by one
    ax.legend(
        handles=handles,
        title=f"IoU {result.threshold:g}, average precision {result.average_precision:.2f}",
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=len(fills),
        fontsize="small",
        frameon=False,
        handlelength=1.0,
        columnspacing=1.2,
    )


def _blend(
    below: NDArray[np.uint8], above: NDArray[np.uint8], where: NDArray[np.bool_], opacity: float
) -> NDArray[np.uint8]:
    """One picture over the other."""
    mixed = (1 - opacity) * below + opacity * above
    return np.where(where[..., None], np.rint(mixed).astype(np.uint8), below)


def _number(masks: ArrayLike, name: str, shape: tuple[int, ...] | None = None, other: str = "") -> NDArray[np.int64]:
    """Label image with the objects numbered 1..n; of a given shape, if there is one."""
    array = _checks.as_masks(masks, name, ndims=(2,))
    if shape is not None:
        _checks.check_same_shape(array.shape, shape, name, other)
    _, number, _ = number_objects(array)
    return number.reshape(array.shape)
