"""Chart of the losses of a training. It needs matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flowseg._system.optional_packages import need
from flowseg.plot._axes import EXTRA, as_axes, as_fraction
from flowseg.plot._palette import BLUE, SKY_BLUE, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Curves of a history: key, label, color, line style.
CURVES = (("loss", "training", as_fraction(SKY_BLUE), "--"), ("val_loss", "validation", as_fraction(BLUE), "-"))


def show_history(history: Mapping[str, Sequence[float]], *, ax: Axes | None = None) -> Axes:
    """Show the losses of a training by epoch.

    Parameters
    ----------
    history : dict of list of float
        The ``history_`` of a segmenter: "loss", and "val_loss" if there were validation images.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    ax : matplotlib.axes.Axes
        Axes with the curves. A point marks the epoch of the lowest validation loss, whose weights the segmenter has.
        Where training further kept the first weights, it marks epoch 0.

    Raises
    ------
    TypeError, ValueError
        If ``history`` holds no losses.
    ImportError
        If matplotlib is not installed: it comes with the extra ``plot``.

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
    if start and start == history.get("val_loss_after"):  # training further was no improvement
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
    """Return losses by name, checked to be of the same number of epochs."""
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
