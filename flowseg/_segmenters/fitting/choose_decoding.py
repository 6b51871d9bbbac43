"""Choices of `fit` on the validation set: whether diameters are estimated, thresholds, scores."""

from __future__ import annotations

from dataclasses import replace
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._labels.overlaps import count_objects
from flowseg._nets.lattice import Spacing
from flowseg._segmenters.fitted import Fitted
from flowseg._segmenters.fitting.pairs import Pairs
from flowseg._segmenters.learned_decoding.find_objects import Decoding
from flowseg._segmenters.learned_decoding.jackknife_scores import Score, best_iou, score_found, standard_error
from flowseg._segmenters.learned_decoding.learn_decoding import LEAST_OBJECTS
from flowseg._segmenters.pipeline import Pipeline
from flowseg._segmenters.size_estimate import estimate_outputs


def choose_decoding(pipeline: Pipeline, pairs: Pairs, *, keep: bool = False) -> Fitted:
    """Return the fitted model with the choices made on validation images, if these hold enough objects.

    If not, nothing changes. Nor does it with ``keep``, for a model that is trained further, where there is one image:
    that is enough for scores, but not for replacing known thresholds.
    """
    fitted = pipeline.fitted
    if pairs.n_objects < LEAST_OBJECTS or (keep and len(pairs) == 1):
        return fitted
    if pipeline.settings.estimate_diameters:  # True or "auto"
        gain = gain_of_estimates(pipeline, pairs)
        fitted = replace(fitted, sizes=replace(fitted.sizes, estimate=bool(gain[0] > standard_error(gain))))
    return replace(fitted, decoding=learn_from(replace(pipeline, fitted=fitted), pairs))


def learn_from(pipeline: Pipeline, pairs: Pairs) -> Decoding:
    """Return the decoding learned from images with known masks; what they do not determine stays as it is."""
    fitted = pipeline.fitted
    outputs = map(pipeline.run, pairs.images, repeat(None), pairs.spacings)
    return pipeline.settings.codec.learn(outputs, pairs.masks, fitted.decoding, diameter=fitted.diameter)


def gain_of_estimates(pipeline: Pipeline, pairs: Pairs) -> Score:
    """Return the score with estimated diameters minus the score without, both with default thresholds."""
    default = pipeline.settings.codec.default_decoding()
    plain = replace(pipeline, fitted=replace(pipeline.fitted, decoding=default))
    found = [_score_passes(plain, *one) for one in zip(pairs.images, pairs.masks, pairs.spacings, strict=True)]
    typical, estimated = zip(*found, strict=True)
    n_true = np.array([count_objects(m) for m in pairs.masks])
    return score_found(estimated, n_true) - score_found(typical, n_true)


def _score_passes(
    pipeline: Pipeline, image: NDArray[Any], true: NDArray[Any], spacing: Spacing | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the best IoU of objects of the pass for the typical diameter, and of the pass for the estimated one."""
    prepared = pipeline.prepare(image, spacing)
    outputs = pipeline.run_at(prepared, pipeline.typical_diameter(prepared.pixel))
    factor, typical = outputs.factor, best_iou(true, pipeline.decode(outputs))
    del outputs  # or both would be in memory
    outputs = estimate_outputs(pipeline, prepared, bounded=True)
    return typical, typical if outputs.factor == factor else best_iou(true, pipeline.decode(outputs))
