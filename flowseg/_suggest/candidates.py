"""The objects that a segmenter finds, and those that it drops because of their score: either decision may be wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowseg._segmenters.codecs.codec import Masks, Outputs
from flowseg._segmenters.codecs.flow_codec import FlowCodec
from flowseg._segmenters.pipeline import Pipeline


class Candidates(NamedTuple):
    """Objects that are in the result or might be."""

    found: Masks  # those in the result, as `predict` returns them
    all: Masks  # together with those that were dropped because of their score
    wrong: NDArray[np.float64] | None  # probability that the decision about each label 1..n is wrong; None: not known


def find_candidates(pipeline: Pipeline, outputs: Outputs) -> Candidates:
    """Return the objects of an image. Of an object in the result 1 - score is wrong, of a dropped one its score."""
    codec, decoding = pipeline.settings.codec, pipeline.fitted.decoding
    if not isinstance(codec, FlowCodec) or decoding.calibration is None:
        found = pipeline.decode(outputs)
        return Candidates(found, found, None)
    keeping = replace(codec, given=replace(codec.given, score_threshold=None))
    masks, objects = keeping.decode_objects(outputs, decoding)
    score, threshold = objects["score"], codec.thresholds(decoding).score_threshold
    is_kept = score >= (0.0 if threshold is None else threshold)
    number = np.append(0, np.where(is_kept, np.cumsum(is_kept), 0)).astype(np.int32)
    return Candidates(number[masks], masks, np.where(is_kept, 1 - score, score))
