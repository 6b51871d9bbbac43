"""Label images that are stacks: volumes and films, with the size of their pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks, io
from flowseg._image_files.selection import Selection
from flowseg.cli._shared.errors import FAULTS
from flowseg.cli._shared.find_ndim import stack_of
from flowseg.cli._shared.image_reading import IMAGE, VOLUME, Reading, Spacing
from flowseg.cli._shared.read_pairs import label_axes

PLANES, TIMES = "Z", "T"
# Axes of stacks that are written, by the name of the axis of the stack.
AXES = {PLANES: "ZYX", TIMES: "TYX"}


@dataclass(frozen=True)
class LabelStack:
    """What the file of a label image says of its axes and pixels."""

    file: Path
    stack: str  # names of the axes beside rows and columns: "" of an image, Z, T, or another letter of one without name
    pixel_size: Spacing | None  # height and width, of a volume after the distance of planes where it is known

    @property
    def axes(self) -> str | None:
        """The axes to write, where the file names them."""
        return AXES.get(self.stack)

    def check_volume(self, ndim: int, reason: str) -> None:
        """Refuse a stack of labels that are not said to be a volume; ``reason`` is what for."""
        if ndim == IMAGE or self.stack == PLANES:
            return
        kind = "T is time" if self.stack == TIMES else "the axis of its planes has no name"
        raise ValueError(
            f"{self.file} must be an image or a volume {reason}; {kind}: if it is a volume, give --axes ZYX."
        )


def look_at_labels(file: Path, masks: NDArray[np.generic], reading: Reading | None = None) -> LabelStack:
    """Return what the file of masks says of them; of other annotations than label images nothing is known.

    The axes and the spacing of ``reading`` come first.
    """
    chosen = Reading() if reading is None else reading
    if chosen.spacing is not None:
        _checks.as_spacing(chosen.spacing, masks.ndim, "--spacing")
    stack = "" if masks.ndim == IMAGE else stack_of(file, Selection(labels_axes(file, chosen)))
    return LabelStack(file, stack, _read_size(file, chosen, stack))


def labels_axes(file: Path, reading: Reading) -> str | None:
    """Return the axes that are given for a label image, where they fit it."""
    try:
        return label_axes(file, reading)
    except FAULTS:  # no label image
        return None


def _read_size(file: Path, reading: Reading, stack: str) -> Spacing | None:
    if reading.spacing is not None:
        return reading.spacing
    spacing = io.read_spacing(file) if stack == PLANES else None
    return io.read_pixel_size(file) if spacing is None else spacing


def volume_reading(reading: Reading, ndim: int) -> Reading:
    """Return how the image of masks is read, which are an image or a volume: so is the image."""
    return reading if ndim == IMAGE else reading.of_ndim(VOLUME, unnamed_are_planes=True)
