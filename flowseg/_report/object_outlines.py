"""Outlines of the objects of one image for the report, with the values that its errors are found from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import metrics
from flowseg._labels.objects import objects_of
from flowseg._labels.overlaps import Overlaps, assign, exceeds
from flowseg._labels.polygons import Ring, trace
from flowseg._report.scores import IOU_THRESHOLDS, count_partners

SIDES = ("true", "predicted")


def describe_objects(true: NDArray[Any], predicted: NDArray[Any], overlaps: Overlaps) -> dict[str, Any]:
    """Return the size of an image, and values and outlines of the objects of both sides, in the order of labels."""
    sides: dict[str, Any] = {"rows": true.shape[0], "columns": true.shape[1]}
    for name, masks, values in zip(SIDES, (true, predicted), describe_errors(overlaps), strict=True):
        outlines = [(label, _outline(corner, mask)) for label, corner, mask in objects_of(masks)]
        sides[name] = {
            "label": [label for label, _ in outlines],
            "rings": [rings for _, rings in outlines],
            **values,
        }
    return sides


def describe_errors(overlaps: Overlaps) -> list[dict[str, list[Any]]]:
    """Return plain values of the true and of the predicted objects, in the order of labels.

    ``iou`` is that of the matching pair at IoU 0.5, or 0. Above 0.5 an object has one possible partner, so a pair
    matches at every threshold up to its IoU. ``parts`` is the number of partners. ``shared`` is 1 if one of them has
    several partners itself: the object is part of a split, or in a merge.
    """
    pairs = assign(overlaps, IOU_THRESHOLDS[0])
    partners = np.flatnonzero(exceeds(overlaps.iou, metrics.PARTNER_IOU))
    indices = overlaps.true_index, overlaps.predicted_index
    parts = count_partners(overlaps)
    sides = []
    for k in range(2):
        mine, other = indices[k], indices[1 - k]
        n = parts[k].size
        iou, shared = np.zeros(n), np.zeros(n, dtype=bool)
        iou[mine[pairs]] = overlaps.iou[pairs]
        shared[mine[partners]] |= parts[1 - k][other[partners]] > 1
        sides.append({"iou": iou.tolist(), "parts": parts[k].tolist(), "shared": shared.astype(int).tolist()})
    return sides


def _outline(corner: tuple[int, int], mask: NDArray[np.bool_]) -> list[list[int]]:
    return [encode_ring(ring + corner) for polygon in trace(mask) for ring in polygon]


def encode_ring(ring: Ring) -> list[int]:
    """Return column and row of a corner, then the moves to the next ones, alternately along row and column."""
    corners = ring[:, ::-1].astype(np.int64)
    if corners[0, 0] == corners[1, 0]:
        corners = np.roll(corners, -1, axis=0)
    moves = np.diff(corners, axis=0, append=corners[:1])
    along = moves[np.arange(len(moves)), np.arange(len(moves)) % 2]
    return [*corners[0].tolist(), *along.tolist()]
