"""Charts of a training and of the objects' scores. They need matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._system.optional import need
from flowseg.plot._axes import EXTRA, as_axes, as_fraction, say_count
from flowseg.plot._colors import BLUE, SKY_BLUE, VERMILLION
from flowseg.plot._reliability import Reliability, as_scores, as_tables, find_matched

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Curves of a history: key, name, color, line style.
CURVES = (("loss", "training", as_fraction(SKY_BLUE), "--"), ("val_loss", "validation", as_fraction(BLUE), "-"))
MATCHED, UNMATCHED = as_fraction(SKY_BLUE), as_fraction(VERMILLION)
# Besides the color, for those to whom it says nothing.
NO_HATCH, UNMATCHED_HATCH = "", "////"
GREY = "0.5"


def show_history(history: Mapping[str, Sequence[float]], *, ax: Axes | None = None) -> Axes:
    """Show the losses of a training by epoch.

    Parameters
    ----------
    history : dict of list of float
        A segmenter's ``history_``: "loss", and "val_loss" if there were validation images.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    ax : matplotlib.axes.Axes
        A point marks the epoch of the lowest validation loss, whose weights the segmenter has, or epoch 0 where a
        training further kept those that it started from.

    Raises
    ------
    TypeError, ValueError
        If ``history`` holds no losses.
    ImportError
        Without matplotlib: the extra ``plot``.

    Examples
    --------
    >>> from flowseg import plot
    >>> ax = plot.show_history({"loss": [3.0, 2.0, 1.5], "val_loss": [2.8, 2.2, 2.4]})
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['training', 'validation', 'lowest: 2.2, epoch 2']
    """
    losses = _as_losses(history)
    axes = as_axes(ax)
    for key, name, color, style in CURVES:
        if key in losses:
            marker = "o" if losses[key].size == 1 else None
            axes.plot(np.arange(1, losses[key].size + 1), losses[key], style, c=color, marker=marker, label=name)
    kept, start = losses.get("val_loss", np.empty(0)), history.get("val_loss_before")
    if start and start == history.get("val_loss_after"):  # a training further that was not worth it
        label = f"kept: {start[0]:.3g}, the start"
        axes.plot(0, start[0], "o", c=as_fraction(VERMILLION), label=label, zorder=3)
    elif np.isfinite(kept).any():
        best = int(np.nanargmin(kept))
        label = f"lowest: {kept[best]:.3g}, epoch {best + 1}"
        axes.plot(best + 1, kept[best], "o", c=as_fraction(VERMILLION), label=label, zorder=3)
    axes.set(xlabel="epoch", ylabel="loss")
    axes.xaxis.set_major_locator(need("matplotlib.ticker", EXTRA).MaxNLocator(integer=True))
    axes.legend(frameon=False)
    return axes


def _as_losses(history: Any) -> dict[str, NDArray[np.float64]]:
    """Losses by name, of the same number of epochs."""
    if not isinstance(history, Mapping):
        raise TypeError(f"history must be a dict of losses, a segmenter's history_; got {type(history).__name__}.")
    if "loss" not in history:
        raise ValueError(f"history must have the key 'loss'; got {', '.join(map(repr, history)) or 'an empty dict'}.")
    losses = {}
    for key, *_ in CURVES:
        if key not in history:
            continue
        try:
            losses[key] = np.asarray(history[key], dtype=np.float64)
        except (TypeError, ValueError):
            raise TypeError(f"history[{key!r}] must be a list of numbers; got {history[key]!r}.") from None
        if losses[key].shape != losses["loss"].shape or losses[key].ndim != 1 or losses[key].size == 0:
            got = " and ".join(f"{name!r} of shape {values.shape}" for name, values in losses.items())
            raise ValueError(f"history must hold one loss per epoch, of one epoch at least; got {got}.")
    return losses


def show_quality(
    objects: Any,
    *,
    true: Any = None,
    predicted: Any = None,
    threshold: float = 0.5,
    n_bins: int = 20,
    ax: Axes | None = None,
) -> Axes:
    """Show how the scores of objects are spread, and which of them match true objects where these are known.

    Parameters
    ----------
    objects : dict or pandas.DataFrame, or list of them
        Table of one image from `FlowSegmenter.predict_objects`, or of several.
    true : array_like of int or list of them, optional
        True label images, as many as tables.
    predicted : array_like of int or list of them, optional
        The label images that the tables came with, needed with ``true``.
    threshold : float
        IoU from which an object matches.
    n_bins : int
        Bins of equal width from 0 to 1.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    ax : matplotlib.axes.Axes
        With ``true`` the bars are stacked, and the legend holds the counts.

    Raises
    ------
    TypeError, ValueError
        If the objects have no scores, true and predicted masks do not fit them, or a number is out of range.
    ImportError
        Without matplotlib: the extra ``plot``.

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
        groups = [(scores, MATCHED, NO_HATCH, say_count(scores.size, "object", "objects"))]
    else:
        one = not isinstance(objects, list | tuple)
        scores, matched = find_matched([true] if one else true, [predicted] if one else predicted, objects, level)
        yes, no = scores[matched], scores[~matched]
        groups = [
            (yes, MATCHED, NO_HATCH, say_count(yes.size, "matches", "match")),
            (no, UNMATCHED, UNMATCHED_HATCH, say_count(no.size, "does not", "do not")),
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
    """Show a reliability diagram: the scores of objects against the share that really matches.

    Parameters
    ----------
    result : Reliability
        From `reliability`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    ax : matplotlib.axes.Axes
        One point per bin that holds objects, with its 95 % interval; the numbers of objects stand above. Points below
        the diagonal mean that scores are too hopeful. The expected calibration error is the title.

    Raises
    ------
    TypeError
        If ``result`` is not what `reliability` returns.
    ImportError
        Without matplotlib: the extra ``plot``.

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
    axes.plot([0, 1], [0, 1], "--", c=GREY, lw=1)
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
    above.tick_params(length=0, labelsize="small", labelcolor=GREY)
    above.set_xlabel(f"objects (of {result.counts.sum()})", fontsize="small", color=GREY)
    axes.set(
        xlabel="score",
        ylabel=f"share that matches at IoU {result.threshold:g} (95 % interval)",
        xlim=(0, 1),
        ylim=(-0.02, 1.02),
        aspect="equal",
    )
    axes.set_title(f"expected calibration error {result.expected_calibration_error:.3f}", fontsize="medium")
    return axes
