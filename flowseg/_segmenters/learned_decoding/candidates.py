"""Candidate objects of validation images at each cellprob threshold, so that thresholds are tried without decoding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowseg._flows.decoding import flows_to_masks
from flowseg._nets.lattice import PixelShape
from flowseg._segmenters.learned_decoding.jackknife_scores import best_iou, is_judged
from flowseg._segmenters.learned_decoding.object_table import Table, as_learned, describe_objects, sizes_in


class Seen(NamedTuple):
    """The outputs of a network for a validation image."""

    flows: NDArray[np.float32]
    cellprob: NDArray[np.float32]
    pixel: PixelShape | None = None  # None: as long along every axis


@dataclass(frozen=True)
class Candidates:
    """All objects at one cellprob threshold, image by image."""

    tables: list[Table] = field(default_factory=list)  # from `describe_objects`
    iou: list[NDArray[np.float64]] = field(default_factory=list)  # the largest with a true object

    def kept(self, flow_threshold: float, min_size: int) -> Candidates:
        """Return the candidates that `flows_to_masks` keeps with these thresholds; infinite: no flow check."""
        keep = self._keep(flow_threshold, min_size)
        tables = [{k: v[s] for k, v in table.items()} for table, s in zip(self.tables, keep, strict=True)]
        return Candidates(tables, [v[s] for v, s in zip(self.iou, keep, strict=True)])

    def kept_iou(self, flow_threshold: float, min_size: int) -> list[NDArray[np.float64]]:
        """Return the IoU of the candidates that `kept` returns."""
        return [v[s] for v, s in zip(self.iou, self._keep(flow_threshold, min_size), strict=True)]

    def _keep(self, flow_threshold: float, min_size: int) -> list[NDArray[np.bool_]]:
        return [
            ((t["flow_error"] <= flow_threshold) | t["touches_border"]) & (sizes_in(t) >= min_size) for t in self.tables
        ]


def find_candidates(
    outputs: Iterable[Seen],
    masks: Sequence[NDArray[np.integer]],
    cellprob_thresholds: Sequence[float],
    *,
    n_iter: int | None,
    workers: int | None,
) -> list[Candidates]:
    """Return all objects at each threshold; outputs are taken one by one and not kept.

    Diameters are in pixels of the training images.
    """
    found = [Candidates() for _ in cellprob_thresholds]
    for seen, true in zip(outputs, masks, strict=True):
        flows, cellprob, pixel = Seen(*seen)
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
            table = as_learned(describe_objects(predicted, flows, cellprob, pixel=pixel, workers=workers), pixel)
            judged = is_judged(true, predicted)
            candidates.tables.append({name: column[judged] for name, column in table.items()})
            candidates.iou.append(best_iou(true, predicted))
    return found
