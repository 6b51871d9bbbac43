"""The summary of a training: losses, average precision, thresholds, diameter, duration."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from flowseg._nets.durations import format_duration

if TYPE_CHECKING:
    from flowseg._segmenters.base import Segmenter

# IoU thresholds of the average precision that is reported.
IOU_NAMES = ("0.5", "0.75")


def format_precision(values: Any) -> str:
    """Return the average precision at the thresholds of `validation_ap_` in words."""
    return "average precision " + " / ".join(f"{value:.3f}" for value in values) + f" at IoU {' / '.join(IOU_NAMES)}"


def format_thresholds(thresholds: dict[str, Any]) -> str:
    """Return thresholds with their names in one line."""
    words = {name: "none" if value is None else f"{value:g}" for name, value in thresholds.items()}
    return ", ".join(f"{name} {value}" for name, value in words.items())


def thresholds_of(segmenter: Segmenter) -> dict[str, Any]:
    """Return the thresholds in effect by name; none for three classes."""
    from flowseg._segmenters.pipeline import pipeline_of

    thresholds = pipeline_of(segmenter).thresholds
    return {} if thresholds is None else asdict(thresholds)


def is_start_kept(history: dict[str, list[float]]) -> bool:
    """Return whether a further training has left the model as it was."""
    return "val_ap_after" in history and all(
        history.get(f"{name}_before") == history.get(f"{name}_after") for name in ("val_loss", "val_ap")
    )


def describe_fit(segmenter: Segmenter, seconds: float) -> list[str]:
    """Return the result of `fit` in lines of text."""
    history = segmenter.history_
    lines = []
    if "val_ap_before" in history:
        lines += [f"validation images, {when}: {_format_scores(history, when)}" for when in ("before", "after")]
        if is_start_kept(history):
            lines.append("nothing was better than the model that it started from, which is kept as it was")
        elif history.get("val_loss_before", [1]) == history.get("val_loss_after", [0]):
            lines.append("no epoch had a lower loss than the start: its weights are kept, what follows is chosen again")
    elif segmenter.validation_ap_ is not None:
        loss = f"loss {min(history['val_loss']):.3f}, " if "val_loss" in history else ""
        lines.append(f"validation images: {loss}{format_precision(segmenter.validation_ap_)}")
    else:
        lines.append(f"no validation images: the last weights, of loss {history['loss'][-1]:.3f}, are kept")
    if segmenter.classes_ is not None:
        lines.append(f"classes {', '.join(segmenter.classes_)}")
    thresholds = thresholds_of(segmenter)
    chosen = f"{format_thresholds(thresholds)}; diameters are " if thresholds else "diameters are "
    lines.append(f"{chosen}{'' if segmenter.estimate_diameters_ else 'not '}estimated")
    lines.append(f"typical diameter {segmenter.diameter_:.1f} pixels, trained in {format_duration(seconds)}")
    return lines


def _format_scores(history: dict[str, list[float]], when: str) -> str:
    loss = history.get(f"val_loss_{when}")
    return (f"loss {loss[0]:.3f}, " if loss else "") + format_precision(history[f"val_ap_{when}"])
