"""The stages of a run, in order, for both segmenters."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import replace

from flowseg._nets.sizes import MAX_PASSES
from flowseg._segmenters.codecs.boundary_codec import BoundaryCodec, expansion_distance
from flowseg._segmenters.codecs.flow_codec import FlowCodec
from flowseg._segmenters.learned_decoding.find_objects import Decoding as LearnedDecoding
from flowseg._segmenters.learned_decoding.thresholds import Thresholds
from flowseg.blockwise._boundary_decoder import BoundaryDecoder
from flowseg.blockwise._decode_stages import CheckStage, Decoding, FragmentsStage, MergeStage, ObjectsStage
from flowseg.blockwise._decoder import BlockDecoder
from flowseg.blockwise._flow_decoder import FlowDecoder
from flowseg.blockwise._label_stages import MAX_LEVELS, LabelsStage, LevelStage
from flowseg.blockwise._limit_stages import MAX_SCANS, ScanStage, SearchStage
from flowseg.blockwise._network_stages import NetworkStage, SizeStage
from flowseg.blockwise._plan import Plan
from flowseg.blockwise._run_data import ESTIMATE, ESTIMATE_BOUNDED, RunData
from flowseg.blockwise._stages import Stage


def stages_of(plan: Plan) -> Sequence[Stage]:
    """Return the stages of a plan, in order."""
    stages: list[Stage] = []
    for number in range(MAX_SCANS):
        stages += [ScanStage(number), SearchStage(number)]
    how = dict(plan.settings)["diameter"]
    if how in (ESTIMATE, ESTIMATE_BOUNDED):
        for number in range(MAX_PASSES):
            trial = decoding_for_size(number)
            stages += [NetworkStage(number), *_decode(trial), SizeStage(number, trial, how == ESTIMATE_BOUNDED)]
    else:
        stages.append(NetworkStage(0))
    levels = [LevelStage(level) for level in range(1, MAX_LEVELS)]
    return [*stages, *_decode(FINAL), LabelsStage(FINAL), *levels]


def _decode(decoding: Decoding) -> list[Stage]:
    return [FragmentsStage(decoding), MergeStage(decoding), CheckStage(decoding), ObjectsStage(decoding)]


def _final_decoder(data: RunData) -> BlockDecoder:
    codec, learned = data.pipeline.settings.codec, data.pipeline.fitted.decoding
    if isinstance(codec, FlowCodec):
        return FlowDecoder(data.grid, replace(learned, thresholds=codec.thresholds(learned)))
    return _boundary_decoder(data, data.last_pass())


def _boundary_decoder(data: RunData, number: int | None) -> BlockDecoder:
    codec = data.pipeline.settings.codec
    if not isinstance(codec, BoundaryCodec) or number is None:
        raise TypeError(f"there is no decoder by blocks for {type(codec).__name__}.")
    return BoundaryDecoder(data.grid, expansion_distance(data.factor(number)), codec.min_size)


FINAL = Decoding("", _final_decoder, RunData.last_pass)


def decoding_for_size(number: int) -> Decoding:
    """Return the decoding of a pass that sizes are measured in."""

    def find_pass(data: RunData) -> int | None:
        return None if data.size_of_pass(number) is None else number

    def decoder(data: RunData) -> BlockDecoder:
        codec = data.pipeline.settings.codec
        if isinstance(codec, FlowCodec):
            plain = replace(codec.given.resolve(Thresholds()), score_threshold=None)
            return FlowDecoder(data.grid, LearnedDecoding(plain))
        return _boundary_decoder(data, number)

    return Decoding(f"-{string.ascii_lowercase[number]}", decoder, find_pass)
