"""Charts of the scores of objects. They need matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flowseg import _checks
from flowseg._system.optional_packages import need
from flowseg.plot._axes import EXTRA, as_axes, as_fraction, count_in_words
from flowseg.plot._palette import BLUE, SKY_BLUE, VERMILLION
from flowseg.plot._reliability import Reliability, as_scores, as_tables, find_matched

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MATCHED, UNMATCHED = as_fraction(SKY_BLUE), as_fraction(VERMILLION)
# Beside the color, for people who cannot distinguish it.
NO_HATCH, UNMATCHED_HATCH = "", "////"
GRAY = "0.5"


def show_quality(
    objects: Any,
    *,
    true: Any = None,
    predicted: Any = None,
    threshold: float = 0.5,
    n_bins: int = 20,
    ax: Axes | None = None,
) -> Axes:
    """Show the distribution of scores of objects and, if true objects are given, which match.

    Parameters
    ----------
    objects : dict or pandas.DataFrame, or list of them
        Table of one image from `FlowSegmenter.predict_objects`, or of several images.
    true : array_like of int or list of them, optional
        True label images, one per table.
    predicted : array_like of int or list of them, optional
        Label images that the tables belong to; needed with ``true``.
    threshold : float
        IoU from which an object matches.
    n_bins : int
        Bins of equal width from 0 to 1.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    ax : matplotlib.axes.Axes
        Axes with the histogram. With ``true`` the bars are stacked, and the legend holds the counts.

    Raises
    ------
    TypeError, ValueError
        If objects have no scores, masks do not fit the tables, or a number is out of range.
    ImportError
        If matplotlib is not installed: it comes with the extra ``plot``.

    Examples
    --------
    >>> import numpy as np
    >>> from flowseg import plot
    >>> objects = {"label": np.array([1, 2]), "score": np.array([0.9, 0.2])}
    >>> true, predicted = np.array([[1, 1, 0, 0]]), np.array([[1, 1, 0, 2]])
    >>> ax = plot.show_quality(objects, true=true, predicted=predicted)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['1 matches', '1 does not']
    """
    n = _checks.as_integer(n_bins, "n_bins", minimum=1)
    edges = np.arange(n + 1) / n
    level = _checks.as_number(threshold, "threshold", low=0.0, high=1.0, open_low=True)
    if (true is None) != (predicted is None):
        raise ValueError("true and predicted must be given both or neither; got one of them.")
    if true is None:
        scores = as_scores(as_tables(objects))
        groups = [(scores, MATCHED, NO_HATCH, count_in_words(scores.size, "object", "objects"))]
    else:
        one = not isinstance(objects, list | tuple)
        scores, matched = find_matched([true] if one else true, [predicted] if one else predicted, objects, level)
        yes, no = scores[matched], scores[~matched]
        groups = [
            (yes, MATCHED, NO_HATCH, count_in_words(yes.size, "matches", "match")),
            (no, UNMATCHED, UNMATCHED_HATCH, count_in_words(no.size, "does not", "do not")),
        ]
    axes = as_axes(ax)
    below = np.zeros(edges.size - 1)
    for values, color, hatch, label in groups:
        counts, _ = np.histogram(values, edges)
        axes.bar(
            edges[:-1],
            counts,
            np.diff(edges),
            below,
            align="edge",
            color=color,
            edgecolor="white",
            linewidth=0.5,
            hatch=hatch,
            label=label,
        )
        below += counts
    axes.legend(title=None if true is None else f"at IoU {level:g}", frameon=False)
    axes.set(xlabel="score", ylabel="objects", xlim=(0, 1))
    axes.yaxis.set_major_locator(need("matplotlib.ticker", EXTRA).MaxNLocator(integer=True))
    return axes


def show_reliability(result: Reliability, *, ax: Axes | None = None) -> Axes:
    """Show a reliability diagram: the share of objects that match, by their score.

    Parameters
    ----------
    result : Reliability
        Result of `reliability`.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    ax : matplotlib.axes.Axes
        Axes with one point per bin that holds objects, and its 95 % interval. The numbers of objects are above.
        Points below the diagonal mean that scores are too high. The title is the expected calibration error.

    Raises
    ------
    TypeError
        If ``result`` is not a `Reliability`.
    ImportError
        If matplotlib is not installed: it comes with the extra ``plot``.

    Examples
    --------
    >>> import numpy as np
    >>> from flowseg import plot
    >>> masks = [np.array([[1, 1, 0, 2]])]
    >>> objects = [{"label": np.array([1, 2]), "score": np.array([0.9, 0.8])}]
    >>> ax = plot.show_reliability(plot.reliability(masks, masks, objects))
    """
    if not isinstance(result, Reliability):
        raise TypeError(f"result must be what reliability returns; got {type(result).__name__}.")
    axes = as_axes(ax)
    axes.plot([0, 1], [0, 1], "--", c=GRAY, lw=1)
    full = result.counts > 0
    share, (low, high) = result.shares[full], result.intervals[:, full]
    axes.errorbar(
        result.mean_scores[full],
        share,
        np.abs([share - low, high - share]),
        fmt="o-",
        c=as_fraction(BLUE),
        lw=1,
        capsize=2,
    )
    above = axes.secondary_xaxis("top")
    above.set_xticks((result.edges[:-1] + result.edges[1:]) / 2, [str(n) if n else "" for n in result.counts])
    above.tick_params(length=0, labelsize="small", labelcolor=GRAY)
    above.set_xlabel(f"objects (of {result.counts.sum()})", fontsize="small", color=GRAY)
    axes.set(
        xlabel="score",
        ylabel=f"share that matches at IoU {result.threshold:g} (95 % interval)",
        xlim=(0, 1),
        ylim=(-0.02, 1.02),
        aspect="equal",
    )
    axes.set_title(f"expected calibration error {result.expected_calibration_error:.3f}", fontsize="medium")
    return axes
