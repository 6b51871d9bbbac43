"""Whether files are images or volumes, by the names of their axes: a stack without a name is never guessed at."""

from __future__ import annotations

import warnings
from pathlib import Path

from flowseg._image_files.opening import open_image
from flowseg._image_files.reading import PAGES, UNNAMED
from flowseg._image_files.selection import Selection, choose_part
from flowseg.cli._shared.errors import FAULTS
from flowseg.cli._shared.find_inputs import Pairs
from flowseg.cli._shared.image_reading import IMAGE, VOLUME, Reading

# Names of the axis of a label image that is a stack of planes: labels are often written without names.
LABEL_PLANES = ("Z", UNNAMED, PAGES)


def find_ndim(pairs: Pairs, reading: Reading, ndim: int | None) -> Reading:
    """Return how images and their masks are read: as images or as volumes.

    ``ndim`` is the user's answer, if there is one. Otherwise images whose planes are named Z are volumes, if their
    masks are, too. Other stacks raise ValueError, which names the option to give. Files that cannot be read are
    reported later, by their reader.
    """
    if ndim is not None and ndim not in (IMAGE, VOLUME):
        raise ValueError(f"--ndim must be 2 (images) or 3 (volumes); got {ndim}.")
    if ndim is not None:
        return reading.of_ndim(ndim, unnamed_are_planes=ndim == VOLUME)
    stacks = [(image, masks, stack_of(image, reading)) for image, masks in pairs]
    for image, _, stack in stacks:
        if stack not in ("", "Z"):
            raise ValueError(f"{image} must be an image or a volume; {_advise(image, reading, stack)}")
    volumes = [(image, masks) for image, masks, stack in stacks if stack]
    if not volumes:
        return reading.of_ndim(IMAGE)
    if len(volumes) < len(stacks):
        single = next(image for image, _, stack in stacks if not stack)
        raise ValueError(
            f"IMAGES must be all images or all volumes; got {single} with one plane, and {volumes[0][0]} with planes "
            "named Z. Choose one of its planes with --z."
        )
    for image, masks in volumes:
        if stack_of(masks, Selection()) not in LABEL_PLANES:
            raise ValueError(
                f"{masks} must be a label volume, as {image} has planes named Z; it is none. Choose one plane of the "
                "images with --z."
            )
    return reading.of_ndim(VOLUME)


def stack_of(file: Path, selection: Selection) -> str:
    """Return the names of the axes that a file has beside rows, columns and channels; "" if it cannot be read."""
    try:
        with warnings.catch_warnings(action="ignore"), open_image(file, selection.scene) as source:
            return "".join(name for name in choose_part(source, selection).axes if name not in "YXCS")
    except FAULTS:
        return ""


def _advise(file: Path, reading: Reading, stack: str) -> str:
    """Return what a stack is, and what to give for it, as the end of a sentence."""
    with open_image(file, reading.scene) as source:
        part = choose_part(source, reading)
    has = f"it has axes {part.axes} of shape {part.shape}"
    if "T" in stack and "Z" in stack:
        return f"{has}. T is time: choose one with --t for volumes, and a plane with --z for images."
    if stack == "T":
        return f"{has}. T is time: choose one with --t, or if these are planes of a volume, give --axes ZYX."
    if len(stack) == 1:
        return (
            f"{has}, and {stack} is no name. For a volume give --ndim 3 or --axes "
            f"{part.axes.replace(stack, 'Z')}, for one plane --z with these axes, for channels --axes CYX."
        )
    return f"{has}. Name them with --axes: T time, Z plane, C channel, Y row, X column, S color."
