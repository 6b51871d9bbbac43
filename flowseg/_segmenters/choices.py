"""What `fit` chooses on validation images: how outputs become masks, and whether a training further was worth it."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import metrics
from flowseg._labels.overlaps import count_objects
from flowseg._segmenters.codecs import Outputs
from flowseg._segmenters.decoding import LEAST_OBJECTS, Decoding
from flowseg._segmenters.fitted import Fitted, Precision
from flowseg._segmenters.inputs import Images
from flowseg._segmenters.pipeline import Pipeline
from flowseg._segmenters.summary import IOU_NAMES
from flowseg._segmenters.validation_scores import Score, best_iou, score_found, standard_error

# Average precision is told, and trainings are compared, at these IoU thresholds.
TOLD_THRESHOLDS = tuple(map(float, IOU_NAMES))


def warn_of_no_comparison(goes_on: bool, n_held_out: int) -> None:
    """Warn in one line of a trained model that is trained further unseen."""
    if goes_on and not n_held_out:
        warnings.warn(
            "without validation images nothing tells whether training further makes the model better or worse: give "
            "some, or six images or more, of which fit holds some out.",
            stacklevel=3,
        )


def measure_precision(pipeline: Pipeline, images: Images, masks: Images) -> Precision | None:
    """Of what `predict` finds in the images; None without images, or where it would refuse."""
    try:
        pipeline.check_learned()
    except ValueError:  # a score_threshold without scores
        return None
    if not images:
        return None
    found = [pipeline.decode(pipeline.run(image)) for image in images]
    values = metrics.average_precision(masks, found, thresholds=TOLD_THRESHOLDS)
    return tuple(float(value) for value in values)


def keep_the_better(start: Fitted, start_ap: Precision, end: Fitted) -> Fitted:
    """The end of a training, or the trained model that it started from, unless that is beaten; tells of both.

    What counts is the mean of what is told. Where that is equal, weights with a lower validation loss are better.
    """
    losses, old_loss = end.history.get("val_loss", []), end.history.get("val_loss_before", [])
    new_loss = [float(np.nanmin([*losses, *old_loss]))] if old_loss else []
    gain = -np.inf if end.validation_ap is None else np.mean(end.validation_ap) - np.mean(start_ap)
    better = end
    if gain < 0 or (gain == 0 and new_loss == old_loss):
        better, new_loss = replace(start, validation_ap=start_ap), old_loss
    told = {"val_loss_after": new_loss, "val_ap_before": start_ap, "val_ap_after": better.validation_ap or ()}
    return replace(better, history=end.history | {name: list(values) for name, values in told.items() if values})


def choose_decoding(pipeline: Pipeline, images: Images, masks: Images, *, keep: bool = False) -> Fitted:
    """Learn from validation images what comes after the network, if they hold enough objects.

    If not, all stays as it is. So it does with ``keep`` where there is one image: it teaches scores, but not what
    others would gain, and is not enough to give up what is known.
    """
    fitted = pipeline.fitted
    if sum(count_objects(m) for m in masks) < LEAST_OBJECTS or (keep and len(images) == 1):
        return fitted
    if pipeline.settings.estimate_diameters:  # True or "auto"
        gain = gain_of_estimates(pipeline, images, masks)
        fitted = replace(fitted, sizes=replace(fitted.sizes, estimate=bool(gain[0] > standard_error(gain))))
    return replace(fitted, decoding=learn_from(replace(pipeline, fitted=fitted), images, masks))


def learn_from(pipeline: Pipeline, images: Images, masks: Images) -> Decoding:
    """What images with known masks teach of decoding; what they do not stays as it is."""
    fitted = pipeline.fitted
    outputs = (pipeline.run(image) for image in images)
    return pipeline.settings.codec.learn(outputs, masks, fitted.decoding, diameter=fitted.diameter)


def gain_of_estimates(pipeline: Pipeline, images: Images, masks: Images) -> Score:
    """Score with estimated diameters less that without, both by the usual thresholds."""
    pairs = zip(images, masks, strict=True)
    plain = replace(pipeline, fitted=replace(pipeline.fitted, decoding=Decoding()))
    typical, estimated = zip(*(_judge_passes(plain, image, true) for image, true in pairs), strict=True)
    n_true = np.array([count_objects(m) for m in masks])
    return score_found(estimated, n_true) - score_found(typical, n_true)


def _judge_passes(
    pipeline: Pipeline, image: NDArray[Any], true: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the first pass over an image finds, and the one that is made for the diameter that it estimates."""
    found: list[NDArray[np.float64]] = []

    def judge(outputs: Outputs) -> None:
        found.append(best_iou(true, pipeline.decode(outputs)))

    outputs = pipeline.estimate(image, bounded=True, on_first=judge)
    if outputs.factor != pipeline.fitted.sizes.working / pipeline.fitted.diameter:
        judge(outputs)
    return found[0], found[-1]
