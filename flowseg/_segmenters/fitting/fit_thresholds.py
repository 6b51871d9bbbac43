"""Thresholds and scores from images that the network was not trained on: the work of `FlowSegmenter.fit_thresholds`."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

from flowseg._segmenters import inputs
from flowseg._segmenters.fitted import Fitted
from flowseg._segmenters.fitting.annotation_checks import check_has_objects, check_not_binary
from flowseg._segmenters.fitting.choose_decoding import learn_from
from flowseg._segmenters.pipeline import Pipeline


def fit_thresholds(pipeline: Pipeline, images: Any, masks: Any, *, stacklevel: int) -> Fitted:
    """Return the fitted model with the decoding learned from images and masks; warn where that is nothing."""
    image_list, mask_list = inputs.as_pairs(images, masks, n_channels=pipeline.n_channels)
    check_has_objects(mask_list, "masks")
    check_not_binary(mask_list, "masks")
    learned = learn_from(pipeline, image_list, mask_list)
    n_constant = sum(map(inputs.is_constant, image_list))
    inputs.warn_of_constant(n_constant, len(image_list), stacklevel=stacklevel + 1)
    if learned.calibration is None:
        warnings.warn(
            "the segmenter finds no object in the images: nothing is learned from them.", stacklevel=stacklevel + 1
        )
        return pipeline.fitted
    if len(image_list) == 1:
        warnings.warn(
            "one image is enough to learn scores, but not to choose thresholds: give more.", stacklevel=stacklevel + 1
        )
    return replace(pipeline.fitted, decoding=learned)
