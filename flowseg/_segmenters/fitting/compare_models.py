"""Average precision on the validation set, and whether a further training made the model better."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import metrics
from flowseg._segmenters.codecs.codec import Masks, Outputs
from flowseg._segmenters.fitted import Fitted, Precision
from flowseg._segmenters.fitting.fit_summary import IOU_NAMES
from flowseg._segmenters.fitting.pairs import Pairs
from flowseg._segmenters.pipeline import Pipeline

# IoU thresholds of the average precision that is reported, and by which trainings are compared.
REPORTED_THRESHOLDS = tuple(map(float, IOU_NAMES))

# Sees an image, its outputs and its masks.
Look = Callable[[NDArray[Any], Outputs, Masks], None]


def warn_of_no_comparison(warm_start: bool, n_held_out: int) -> None:
    """Warn in one line of a further training without a validation set."""
    if warm_start and not n_held_out:
        warnings.warn(
            "without validation images it stays unknown whether training further makes the model better or worse: "
            "give some, or six images or more, of which fit holds some out.",
            stacklevel=3,
        )


def measure_precision(pipeline: Pipeline, pairs: Pairs, look: Look | None = None) -> Precision | None:
    """Return the average precision of `predict` on images; None without images, or where it would refuse.

    ``look`` is called with each image, its outputs and its masks.
    """
    try:
        pipeline.check_learned()
    except ValueError:  # a score_threshold without scores
        return None
    if not len(pairs):
        return None
    found = list(predict_each(pipeline, pairs, look))
    values = metrics.average_precision(pairs.masks, found, thresholds=REPORTED_THRESHOLDS)
    return tuple(float(value) for value in values)


def predict_each(pipeline: Pipeline, pairs: Pairs, look: Look | None = None) -> Iterator[Masks]:
    """Yield the masks of one image after the other; ``look`` as in `measure_precision`."""
    for image, spacing in zip(pairs.images, pairs.spacings, strict=True):
        outputs = pipeline.run(image, None, spacing)
        masks = pipeline.decode(outputs)
        if look is not None:
            look(image, outputs, masks)
        yield masks


def keep_the_better(start: Fitted, start_ap: Precision, end: Fitted) -> Fitted:
    """Return the result of a further training, or the model that it started from if that is better.

    The criterion is the mean of the average precisions; where it is equal, the lower validation loss. The history of
    the result has both ends of the training.
    """
    losses, old_loss = end.history.get("val_loss", []), end.history.get("val_loss_before", [])
    new_loss = [float(np.nanmin([*losses, *old_loss]))] if old_loss else []
    gain = -np.inf if end.validation_ap is None else np.mean(end.validation_ap) - np.mean(start_ap)
    better = end
    if gain < 0 or (gain == 0 and new_loss == old_loss):
        better, new_loss = replace(start, validation_ap=start_ap), old_loss
    ends = {"val_loss_after": new_loss, "val_ap_before": start_ap, "val_ap_after": better.validation_ap or ()}
    return replace(better, history=end.history | {name: list(values) for name, values in ends.items() if values})
