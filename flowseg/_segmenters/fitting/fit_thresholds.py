"""Thresholds and scores from images that the network was not trained on: the work of `FlowSegmenter.fit_thresholds`."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

from flowseg._segmenters import inputs
from flowseg._segmenters.fitted import Fitted
from flowseg._segmenters.fitting.annotation_checks import check_has_objects, check_not_binary
from flowseg._segmenters.fitting.choose_decoding import learn_from
from flowseg._segmenters.fitting.pairs import make_pairs
from flowseg._segmenters.pipeline import Pipeline


def fit_thresholds(pipeline: Pipeline, images: Any, masks: Any, spacing: Any, *, stacklevel: int) -> Fitted:
    """Return the fitted model with the decoding learned from images and masks; warn where that is nothing."""
    pairs = make_pairs(images, masks, spacing, n_channels=pipeline.n_channels, ndim=pipeline.ndim)
    pipeline.check_spacings(pairs.spacings)
    check_has_objects(pairs.masks, "masks")
    check_not_binary(pairs.masks, "masks")
    learned = learn_from(pipeline, pairs)
    n_constant = sum(map(inputs.is_constant, pairs.images))
    inputs.warn_of_constant(n_constant, len(pairs), stacklevel=stacklevel + 1)
    pipeline.warn_of_spacing(pairs.spacings, stacklevel=stacklevel + 1)
    if learned.calibration is None:
        warnings.warn(
            "the segmenter finds no object in the images: nothing is learned from them.", stacklevel=stacklevel + 1
        )
        return pipeline.fitted
    if len(pairs) == 1:
        warnings.warn(
            "one image is enough to learn scores, but not to choose thresholds: give more.", stacklevel=stacklevel + 1
        )
    return replace(pipeline.fitted, decoding=learned)
