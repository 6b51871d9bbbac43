"""One image after the other: where its best boxes are, and what its place in the order depends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._segmenters.inputs import PLANE_AXES, Diameter
from flowseg._segmenters.pipeline import Pipeline
from flowseg._suggest.boxes import Box, Part, cut_out, find_boxes
from flowseg._suggest.candidates import find_candidates
from flowseg._suggest.doubt import LEAST_VIEWS, VIEWS, map_doubt, measure_disagreement
from flowseg._suggest.order import Seen, order_images
from flowseg._suggest.suggestion import Suggestion

# Side of a box in typical diameters, and in pixels at least. Source: chosen, for some dozens of objects in a box.
DIAMETERS = 8
LEAST_SIDE = 64


@dataclass(frozen=True)
class Rules:
    """How many images and boxes are suggested, and how they are looked for; checked."""

    number: int = 5
    box_size: int | None = None  # None: by the diameter
    boxes_per_image: int = 1
    views: int = len(VIEWS)

    def check(self) -> None:
        """Raise TypeError or ValueError for numbers that are none or too small."""
        _checks.as_integer(self.number, "number", minimum=1)
        _checks.as_integer(self.box_size, "box_size", minimum=1, none="eight typical diameters")
        _checks.as_integer(self.boxes_per_image, "boxes_per_image", minimum=1)
        views = _checks.as_integer(self.views, "views", minimum=LEAST_VIEWS)
        if views > len(VIEWS):
            raise ValueError(f"views must be from {LEAST_VIEWS} to {len(VIEWS)}; got {views}.")


@dataclass(frozen=True, eq=False)
class Examined:
    """What is kept of an image: little, as there may be thousands."""

    boxes: list[Box]
    doubts: list[float]  # in each box
    distance: float
    shape: tuple[int, int]
    part: Part
    seen: Seen


class Examination:
    """Look at images, and put them in order.

    Parameters
    ----------
    pipeline : Pipeline
        A segmenter's way from images to masks.
    rules : Rules
        Checked.
    """

    def __init__(self, pipeline: Pipeline, rules: Rules) -> None:
        check_is_of_images(pipeline.ndim)
        pipeline.check_learned()
        self.pipeline, self.rules = pipeline, rules
        self.side = int(rules.box_size or 0) or max(LEAST_SIDE, round(DIAMETERS * pipeline.fitted.diameter))
        self.has_scores = pipeline.fitted.decoding.calibration is not None

    def look(self, image: NDArray[Any], diameter: Diameter = None) -> Examined:
        """Return the best boxes of an image of shape (rows, columns[, channels])."""
        pipeline = self.pipeline
        outputs = pipeline.run(image, diameter)
        candidates = find_candidates(pipeline, outputs)
        masks = candidates.found
        prepared = pipeline.prepare(image)
        disagreement = measure_disagreement(pipeline, prepared, outputs, self.rules.views)
        typical = pipeline.fitted.sizes.working / outputs.factor
        doubt = map_doubt(candidates, disagreement, typical)
        found = find_boxes(doubt, self.side, self.rules.boxes_per_image)
        boxes = [box for box, _ in found]
        statistics = pipeline.statistics(prepared.array, outputs, masks)
        ranges = pipeline.fitted.ranges
        outlier = None if ranges is None else ranges.find_outlier(statistics)
        distance = float("nan") if outlier is None else outlier.distance
        shape = (int(masks.shape[0]), int(masks.shape[1]))
        part = cut_out(masks, boxes)
        doubts = [total for _, total in found]
        return Examined(boxes, doubts, distance, shape, part, Seen(doubts[0], distance, statistics))

    def order(self, examined: Sequence[Examined]) -> list[Suggestion]:
        """Return all images, the first to annotate first."""
        order = order_images([one.seen for one in examined], self.rules.number)
        return [_suggest(index, priority, examined[index]) for index, priority in order]

    def remarks(self, examined: Sequence[Examined]) -> list[str]:
        """Return in one sentence each what was left out, and what is not as asked for."""
        sentences = []
        if not self.has_scores:
            sentences.append(
                "the segmenter has learned no scores of objects: doubt is what changes in the predicted foreground "
                "when the image is flipped."
            )
        if self.pipeline.fitted.ranges is None:
            sentences.append(
                "the segmenter has no ranges of its training images: how unlike them an image is does not count."
            )
        n_small = sum(min(one.shape) < self.side for one in examined)
        if n_small and self.rules.box_size is not None:
            sentences.append(
                f"boxes of {self.side} pixels are larger than {n_small} of {len(examined)} images: there they go from "
                "end to end."
            )
        return sentences


def check_is_of_images(ndim: int) -> None:
    """Raise ValueError for a segmenter of volumes."""
    if ndim != PLANE_AXES:
        raise ValueError(f"segmenter must be one of images, ndim=2, to suggest boxes; got ndim={ndim}.")


def _suggest(index: int, priority: float, one: Examined) -> Suggestion:
    return Suggestion(index, one.boxes, np.array(one.doubts), one.distance, priority, one.shape, one.part)
