"""Boxes to annotate: between the worker and the viewer, their order, and the pixels that they add; without napari."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from flowseg._labels.numbering import NOT_ANNOTATED
from flowseg._suggest.boxes import Box, Part, cut_out
from flowseg._suggest.suggestion import Suggestion

# A box of which more is annotated already is passed over: it was suggested before, perhaps a few pixels beside.
MOST_ANNOTATED = 0.5


@dataclass(frozen=True, eq=False)
class FoundBox:
    """A box of an image to annotate next."""

    image: int  # number of the image in the job
    box: Box
    doubt: float  # expected number of wrong objects in it
    distance: float  # of the image from the ranges of the training images, NaN where it is not known
    part: Part  # the objects that touch the box


def split_into_boxes(suggestions: Sequence[Suggestion]) -> Iterator[FoundBox]:
    """Yield the boxes of images in their order, each with the objects that touch it."""
    for one in suggestions:
        masks = np.maximum(one.masks, 0)
        for box, doubt in zip(one.boxes, one.doubt, strict=True):
            yield FoundBox(one.index, box, float(doubt), one.distance, cut_out(masks, [box]))


def write_boxes(path: Path, boxes: Sequence[FoundBox]) -> None:
    """Write boxes in their order."""
    arrays = {
        "images": np.array([one.image for one in boxes], dtype=np.int64),
        "boxes": np.array([one.box for one in boxes], dtype=np.int64),
        "doubts": np.array([one.doubt for one in boxes], dtype=np.float64),
        "distances": np.array([one.distance for one in boxes], dtype=np.float64),
        "corners": np.array([one.part.corner for one in boxes], dtype=np.int64),
    }
    save_file(arrays | {f"labels_{k}": np.ascontiguousarray(one.part.labels) for k, one in enumerate(boxes)}, path)


def read_boxes(path: Path) -> list[FoundBox]:
    """Read boxes in their order."""
    arrays = load_file(path)
    names = ("images", "boxes", "doubts", "distances", "corners")
    rows = zip(*(arrays[name].tolist() for name in names), strict=True)
    return [
        FoundBox(image, Box(*box), doubt, distance, Part((corner[0], corner[1]), arrays[f"labels_{k}"]))
        for k, (image, box, doubt, distance, corner) in enumerate(rows)
    ]


class Queue:
    """Boxes of which one after the other is shown.

    Parameters
    ----------
    boxes : sequence of FoundBox
        In their order.
    """

    def __init__(self, boxes: Sequence[FoundBox]) -> None:
        self._boxes = boxes
        self.n_past = 0

    def __len__(self) -> int:
        return len(self._boxes)

    def find_next(self, is_wanted: Callable[[FoundBox], bool]) -> FoundBox | None:
        """Return the first wanted box after the last one that was returned; None where there is none."""
        while self.n_past < len(self._boxes):
            self.n_past += 1
            if is_wanted(box := self._boxes[self.n_past - 1]):
                return box
        return None


def is_annotated(masks: NDArray[Any], box: Box) -> bool:
    """Return whether most of a box is annotated."""
    known = np.count_nonzero(masks[box.slices] != NOT_ANNOTATED)
    return bool(known > MOST_ANNOTATED * masks[box.slices].size)


def fill_in(masks: NDArray[Any], part: Part, first: int) -> NDArray[Any]:
    """Return a label image with the objects of a part, and background between them, where nothing is annotated yet.

    Annotated pixels stay as they are. An object that covers some of them is left out, its other pixels stay unknown:
    somebody has decided about it before.

    Parameters
    ----------
    masks : ndarray, shape (rows, columns)
        Label image; pixels that are not annotated are -1.
    part : Part
        Objects to add.
    first : int
        Their first label; they are numbered from here on.
    """
    window = tuple(slice(start, start + n) for start, n in zip(part.corner, part.labels.shape, strict=True))
    before, added = masks[window], part.labels
    is_free = before == NOT_ANNOTATED
    left_out = np.unique(added[~is_free & (added > 0)])
    labels = np.setdiff1d(added[added > 0], left_out)
    number = np.full(int(added.max(initial=0)) + 1, NOT_ANNOTATED, dtype=np.int64)
    number[0] = 0
    number[labels] = np.arange(first, first + labels.size)
    filled = masks.copy()
    filled[window] = np.where(is_free, np.where(added > NOT_ANNOTATED, number[added], NOT_ANNOTATED), before)
    return filled
