"""The stages of a run, in order, for both segmenters."""

from __future__ import annotations

from collections.abc import Sequence

from flowseg._nets.sizes import MAX_PASSES
from flowseg.blockwise._runs.plan import Plan
from flowseg.blockwise._runs.stage import Stage
from flowseg.blockwise._stages.decode import CheckStage, Decoding, FragmentsStage, MergeStage, ObjectsStage
from flowseg.blockwise._stages.decodings import FINAL, decoding_for_size
from flowseg.blockwise._stages.labels import MAX_LEVELS, LabelsStage, LevelStage
from flowseg.blockwise._stages.limits import MAX_SCANS, ScanStage, SearchStage
from flowseg.blockwise._stages.network import NetworkStage, SizeStage
from flowseg.blockwise._stages.run_data import ESTIMATE, ESTIMATE_BOUNDED


def stages_of(plan: Plan) -> Sequence[Stage]:
    """Return the stages of a plan, in order."""
    stages: list[Stage] = []
    for number in range(MAX_SCANS):
        stages += [ScanStage(number), SearchStage(number)]
    how = dict(plan.settings)["diameter"]
    if how in (ESTIMATE, ESTIMATE_BOUNDED):
        for number in range(MAX_PASSES):
            trial = decoding_for_size(number)
            stages += [NetworkStage(number), *_decode(trial), SizeStage(number, trial)]
    else:
        stages.append(NetworkStage(0))
    levels = [LevelStage(level) for level in range(1, MAX_LEVELS)]
    return [*stages, *_decode(FINAL), LabelsStage(FINAL), *levels]


def _decode(decoding: Decoding) -> list[Stage]:
    return [FragmentsStage(decoding), MergeStage(decoding), CheckStage(decoding), ObjectsStage(decoding)]
