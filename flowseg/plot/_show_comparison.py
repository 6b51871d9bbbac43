"""Figure of predicted and true masks: true positives, false positives and false negatives. It needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from flowseg import _checks
from flowseg._labels.overlaps import Overlaps, exceeds, find_overlaps, leave_out_ignored
from flowseg._system.optional_packages import need
from flowseg.metrics import PARTNER_IOU, Match, match
from flowseg.plot._axes import EXTRA, as_axes, as_fraction, count_in_words, draw_cross, draw_edges, show_picture
from flowseg.plot._palette import SKY_BLUE, VERMILLION, YELLOW
from flowseg.plot._pictures import image_colors
from flowseg.plot._show_image import blend
from flowseg.plot._views import PAPER, Sheet, View, make_sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

# Opacity of objects on the image: colors can be distinguished, and the image stays visible.
COMPARISON_OPACITY = 0.35
# Colors that differ in lightness as well as in hue.
TRUE_POSITIVE, FALSE_NEGATIVE, FALSE_POSITIVE = SKY_BLUE, VERMILLION, YELLOW
# Marks on split and merged objects.
SPLIT_MARKER, MERGE_MARKER = "X", "P"


def show_comparison(
    true: ArrayLike,
    predicted: ArrayLike,
    *,
    image: ArrayLike | None = None,
    threshold: float = 0.5,
    linewidth: float = 1.0,
    spacing: ArrayLike | None = None,
    at: Sequence[int] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Show true positives, false negatives and false positives.

    Of a volume three views are shown: a plane, and the two that are perpendicular to it.

    Parameters
    ----------
    true : array_like of int, shape (rows, columns) or (planes, rows, columns)
        True label image.
    predicted : array_like of int, of the same shape
        Predicted label image.
    image : array_like, shape (rows, columns) or (rows, columns, 3), or with planes before the rows, optional
        Image below the objects; by default black.
    threshold : float
        IoU from which two objects match, one to one.
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
        Axes with the picture. The legend below holds the counts of `metrics.match`: true positives (blue), false
        negatives (vermillion), false positives (yellow). Where a true and a predicted object overlap, the color of the
        predicted one is shown. Splits and merges, as `metrics.splits_merges` counts them, are marked. Counts are those
        of the whole volume, also of objects that no view shows.

    Raises
    ------
    TypeError, ValueError
        If masks or image are invalid, their shapes differ, or a number is out of range.
    ImportError
        If matplotlib is not installed: it comes with the extra ``plot``.

    Examples
    --------
    >>> import numpy as np
    >>> from flowseg import plot
    >>> true, predicted = np.array([[1, 1, 0, 2, 2]]), np.array([[1, 1, 0, 0, 3]])
    >>> ax = plot.show_comparison(true, predicted, threshold=0.75)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['1 true positive', '1 false negative', '1 false positive']
    """
    result = match(true, predicted, threshold=threshold)
    a, b = (_checks.as_masks(m, name) for m, name in ((true, "true"), (predicted, "predicted")))
    a, b = (np.maximum(m, 0).astype(np.int64) for m in (a, leave_out_ignored(a, b)))
    width = _checks.as_number(linewidth, "linewidth", low=0.0)
    below = image_colors(np.zeros(a.shape) if image is None else image, a.shape)
    sheet = make_sheet(a.shape, spacing, at)
    overlaps = find_overlaps(a, b)
    a, b, picture = sheet.cut(a, 0), sheet.cut(b, 0), sheet.cut(below, PAPER)
    is_matched, is_found = np.isin(b, result.pairs[:, 1]), np.isin(a, result.pairs[:, 0])
    layers = (
        (np.where(is_matched, b, 0), b > 0, TRUE_POSITIVE),
        (np.where(is_matched, 0, b), b > 0, FALSE_POSITIVE),
        (np.where(is_found, 0, a), b == 0, FALSE_NEGATIVE),
    )
    for labels, where, color in layers:
        picture = blend(picture, np.array(color, dtype=np.uint8), where & (labels > 0), COMPARISON_OPACITY)
    axes = as_axes(ax)
    show_picture(axes, picture, exact=image is None)
    for labels, _, color in layers:
        draw_edges(axes, labels, as_fraction(color), width)
    draw_cross(axes, sheet)
    _add_legend(axes, result, _mark_splits_merges(axes, sheet, overlaps, (a, b)))
    return axes


def _mark_splits_merges(
    ax: Axes, sheet: Sheet, overlaps: Overlaps, seen: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> list[Line2D]:
    """Mark objects with several partners at their centers in each view; return the marks."""
    partners = exceeds(overlaps.iou, PARTNER_IOU)
    marks = []
    for masks, labels, index, marker, names in (
        (seen[0], overlaps.true_labels, overlaps.true_index, SPLIT_MARKER, ("split", "splits")),
        (seen[1], overlaps.predicted_labels, overlaps.predicted_index, MERGE_MARKER, ("merge", "merges")),
    ):
        found = labels[np.bincount(index[partners], minlength=labels.size) > 1]
        if found.size:
            row, column = np.concatenate([_find_centers(masks[view.box], found, view) for view in sheet.views]).T
            marks += ax.plot(
                column,
                row,
                marker,
                mfc="white",
                mec="black",
                label=count_in_words(found.size, *names),
                scalex=False,
                scaley=False,
            )
    return marks


def _find_centers(masks: NDArray[np.int64], labels: NDArray[Any], view: View) -> NDArray[np.float64]:
    """Return row and column on the sheet of the centers of the objects that a view shows; shape (n, 2)."""
    visible = labels[np.isin(labels, masks)]
    centers = ndimage.center_of_mass(np.ones_like(masks), masks, visible)
    return np.reshape(centers, (-1, 2)) + (view.top, view.left)


def _add_legend(ax: Axes, result: Match, marks: list[Line2D]) -> None:
    """Add the counts below the picture, those of the marks in a second row."""
    fills = (
        (result.tp, "true positive", "true positives", TRUE_POSITIVE),
        (result.fn, "false negative", "false negatives", FALSE_NEGATIVE),
        (result.fp, "false positive", "false positives", FALSE_POSITIVE),
    )
    make_patch = need("matplotlib.patches", EXTRA).Patch
    handles = [
        make_patch(color=as_fraction(color), label=count_in_words(n, one, several)) for n, one, several, color in fills
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
