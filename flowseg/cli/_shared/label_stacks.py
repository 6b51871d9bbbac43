"""Label images that are stacks: volumes and films, with the size of their pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from flowseg import _checks, io
from flowseg._image_files.reading import UNNAMED
from flowseg._image_files.selection import Selection
from flowseg.cli._shared.errors import FAULTS
from flowseg.cli._shared.find_ndim import stack_of
from flowseg.cli._shared.find_spacings import check_same_spacing
from flowseg.cli._shared.image_reading import IMAGE, VOLUME, Reading, Spacing

if TYPE_CHECKING:
    from flowseg.blockwise._results.label_image import LabelImage

PLANES, TIMES = "Z", "T"
# Axes of stacks that are written, by the name of the axis of the stack.
AXES = {PLANES: "ZYX", TIMES: "TYX"}


@dataclass(frozen=True)
class LabelStack:
    """The axes and pixel size that the file of a label image gives."""

    file: Path
    stack: str  # names of the axes beside rows and columns: "" of an image, Z, T, or another letter of one without name
    reading: Reading
    image: Path | None

    @cached_property
    def pixel_size(self) -> Spacing | None:
        """Height and width of a pixel, of a volume after the distance of planes where it is known."""
        sizes = [self.reading.spacing, _read_size(self.file, Reading(), self.stack)]
        if self.image is not None:
            sizes.append(_read_size(self.image, self.reading, self.stack))
            check_same_spacing(self.image, self.file, self.reading)
        return max((size for size in sizes if size is not None), key=len, default=None)

    @property
    def spacing(self) -> Spacing | None:
        """The size of a pixel along every axis, where it is known along all."""
        known = self.pixel_size
        return known if known is not None and len(known) == self.ndim else None

    @property
    def ndim(self) -> int:
        """Axes of the masks: 2 of an image, 3 of a stack."""
        return VOLUME if self.stack else IMAGE

    @property
    def axes(self) -> str | None:
        """The axes to write, where the file names them."""
        return AXES.get(self.stack)

    def check_no_film(self) -> None:
        """Refuse a stack of times."""
        if self.stack == TIMES:
            raise ValueError(f"{self.file} must be a label image or a label volume; it is a series of times (T).")

    def check_volume(self, reason: str) -> None:
        """Refuse a stack of labels that may not be a volume; ``reason`` is what a volume is needed for."""
        if self.stack in ("", PLANES):
            return
        kind = "T is time" if self.stack == TIMES else "the axis of its planes has no name"
        raise ValueError(
            f"{self.file} must be an image or a volume {reason}; {kind}: if it is a volume, give --axes ZYX."
        )


def look_at_labels(
    file: Path, shape: tuple[int, ...], reading: Reading | None = None, image: Path | None = None
) -> LabelStack:
    """Return the axes and pixel size of masks of this shape.

    What ``reading`` gives comes first, then the file of the masks, and last their image. Files of other annotations
    than label images hold neither.
    """
    chosen = Reading() if reading is None else reading
    stack = stack_of(file, Selection(axes_of_labels(file, chosen)))
    if not stack and len(shape) == VOLUME and shape[0] == 1:  # one plane, whose axis has no name
        stack = UNNAMED
    _checks.as_spacing(chosen.spacing, VOLUME if stack else IMAGE, "--spacing")
    if stack not in ("", PLANES, TIMES) and image is not None and stack_of(image, chosen) == PLANES:
        stack = PLANES  # labels without a name, of an image that has one
    return LabelStack(file, stack, chosen, image)


def axes_of_labels(file: Path, reading: Reading) -> str | None:
    """Return the axes that are given for a label image, where they fit it."""
    try:
        return reading.axes_of_labels(file)
    except FAULTS:  # no label image
        return None


def _read_size(file: Path, reading: Reading, stack: str) -> Spacing | None:
    """Return the size of a pixel of a file, of a volume with the distance of planes where it is known."""
    if stack == PLANES:
        return volume_reading(reading, VOLUME).read_pixel_size(file)
    return io.read_pixel_size(file, scene=reading.scene)


def open_large_labels(file: Path, reading: Reading | None = None) -> LabelImage:
    """Open a label image, or a label volume, to be worked on block by block; planes need no name."""
    from flowseg.blockwise._results.label_image import open_label_image

    chosen = Reading() if reading is None else reading
    axes = chosen.axes_of_labels(file) or Reading(unnamed_are_planes=True).axes_of(file)
    return open_label_image(file, Selection(axes))


def volume_reading(reading: Reading, ndim: int) -> Reading:
    """Return how the image of masks is read, which are an image or a volume: so is the image."""
    return reading if ndim != VOLUME else reading.of_ndim(VOLUME, unnamed_are_planes=True)
