"""All objects that validation images give at each cellprob threshold, to choose among without another decoding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from flowseg._flows.decoding import flows_to_masks
from flowseg._segmenters.calibration import Table, describe_objects
from flowseg._segmenters.validation_scores import best_iou, is_judged

Split = tuple[NDArray[np.float32], NDArray[np.float32]]  # flows, cellprob


@dataclass(frozen=True)
class Candidates:
    """Objects at one cellprob threshold, image by image."""

    tables: list[Table] = field(default_factory=list)  # from `describe_objects`
    iou: list[NDArray[np.float64]] = field(default_factory=list)  # with the true object that each shares most with

    def kept(self, flow_threshold: float, min_size: int) -> Candidates:
        """Those that `flows_to_masks` keeps with these thresholds; infinite: no flow check."""
        stay = self._stay(flow_threshold, min_size)
        tables = [{k: v[s] for k, v in table.items()} for table, s in zip(self.tables, stay, strict=True)]
        return Candidates(tables, [v[s] for v, s in zip(self.iou, stay, strict=True)])

    def kept_iou(self, flow_threshold: float, min_size: int) -> list[NDArray[np.float64]]:
        """Only the IoU of `kept`."""
        return [v[s] for v, s in zip(self.iou, self._stay(flow_threshold, min_size), strict=True)]

    def _stay(self, flow_threshold: float, min_size: int) -> list[NDArray[np.bool_]]:
        return [
            ((t["flow_error"] <= flow_threshold) | t["touches_border"]) & (t["area"] >= min_size) for t in self.tables
        ]


def find_candidates(
    outputs: Iterable[Split],
    masks: Sequence[NDArray[np.integer]],
    cellprob_thresholds: Sequence[float],
    *,
    n_iter: int | None,
    workers: int | None,
) -> list[Candidates]:
    """All objects at each threshold, none dropped; outputs are taken one by one, and none is kept."""
    found = [Candidates() for _ in cellprob_thresholds]
    for (flows, cellprob), true in zip(outputs, masks, strict=True):
        for threshold, candidates in zip(cellprob_thresholds, found, strict=True):
            predicted = flows_to_masks(
                flows,
                cellprob,
                cellprob_threshold=threshold,
                flow_threshold=None,
                min_size=0,
                n_iter=n_iter,
                workers=workers,
            )
            judged = is_judged(true, predicted)
            table = describe_objects(predicted, flows, cellprob, workers=workers)
            candidates.tables.append({name: column[judged] for name, column in table.items()})
            candidates.iou.append(best_iou(true, predicted))
    return found
