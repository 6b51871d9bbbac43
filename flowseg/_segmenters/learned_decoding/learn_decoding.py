"""Learn thresholds and the score of objects from validation images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._labels.overlaps import count_objects
from flowseg._segmenters.learned_decoding.candidates import Seen
from flowseg._segmenters.learned_decoding.choose_thresholds import choose_score_threshold, choose_thresholds
from flowseg._segmenters.learned_decoding.find_objects import Decoding
from flowseg._segmenters.learned_decoding.jackknife_scores import MATCH
from flowseg._segmenters.learned_decoding.object_scores import calibrate
from flowseg._segmenters.learned_decoding.thresholds import GivenThresholds

# With fewer objects in the validation images nothing is chosen on them: the choice would be random.
LEAST_OBJECTS = 50


def learn_decoding(
    outputs: Iterable[Seen],
    masks: Sequence[NDArray[Any]],
    given: GivenThresholds,
    *,
    diameter: float,
    n_iter: int | None,
    workers: int | None,
) -> Decoding:
    """Return thresholds and calibration learned from flows and cellprobs of images with known masks.

    ``given`` thresholds are not chosen.
    """
    chosen, found = choose_thresholds(outputs, masks, given, n_iter=n_iter, workers=workers)
    calibration = calibrate(found.tables, [values >= MATCH for values in found.iou], diameter)
    if calibration is None:
        return Decoding(chosen, None)
    if "score_threshold" in given.names:
        return Decoding(replace(chosen, score_threshold=given.score), calibration)
    n_true = np.array([count_objects(m) for m in masks])
    score_threshold = choose_score_threshold(found.tables, found.iou, n_true, diameter)
    return Decoding(replace(chosen, score_threshold=score_threshold), calibration)
