"""The spacing of images and their masks, from their files."""

from __future__ import annotations

from pathlib import Path

from flowseg import io
from flowseg._nets.lattice import is_same_spacing
from flowseg.cli._shared.errors import FAULTS
from flowseg.cli._shared.find_inputs import Pairs
from flowseg.cli._shared.image_reading import VOLUME, Reading, Spacing, format_spacing

# The distance between pixels along each axis, of every image; None where none has one.
Spacings = list[tuple[float, ...]] | None


def find_spacings(pairs: Pairs, reading: Reading) -> Spacings:
    """Return the spacing of each image; None where none has one, or images are read without.

    Masks must not hold another one, nor be the only ones that hold one.
    """
    files = [image for image, _ in pairs]
    found = [reading.read_spacing(file) for file in files]
    for image, masks in pairs if reading.ndim == VOLUME else ():  # images have none, so no file need be opened
        check_same_spacing(image, masks, reading)
    known = [spacing for spacing in found if spacing is not None]
    if not known:
        _check_none_in_masks(pairs, reading)
        return None
    if len(known) < len(found):
        without = files[found.index(None)]
        with_one = next(file for file, spacing in zip(files, found, strict=True) if spacing is not None)
        raise ValueError(
            f"--spacing must be given where only some files hold one: {with_one} holds "
            f"{format_spacing(known[0])}, {without} none."
        )
    return known


def check_same_spacing(image: Path, masks: Path, reading: Reading) -> None:
    """Raise where the files of a volume and of its masks hold different spacings, and none is given."""
    if reading.spacing is not None:
        return
    first, second = _of_volume(image), _of_volume(masks)
    if first is not None and second is not None and not is_same_spacing(first, second):
        raise ValueError(
            f"--spacing must be given where image and masks hold different ones: {image} holds "
            f"{format_spacing(first)}, {masks} {format_spacing(second)}."
        )


def _check_none_in_masks(pairs: Pairs, reading: Reading) -> None:
    """Raise where only the masks of volumes hold a spacing: it is not lost without a word."""
    if reading.ndim != VOLUME or reading.spacing is not None:
        return
    for image, masks in pairs:
        spacing = _of_volume(masks)
        if spacing is not None:
            raise ValueError(
                f"--spacing must be given where only masks hold one: {masks} holds {format_spacing(spacing)}, {image} "
                "none."
            )


def _of_volume(file: Path) -> Spacing | None:
    """Return the spacing in a file whose planes are named; None where it has none or cannot be read."""
    try:
        return io.read_spacing(file)
    except FAULTS:
        return None


def describe_spacings(spacings: Spacings, reading: Reading) -> str:
    """Return the spacing of the images in words."""
    if spacings is None:
        return "no spacing in the files: voxels count as equally long (--spacing)"
    shown = ", ".join(f"{length:g}" for length in spacings[0])
    if reading.spacing is not None:
        return f"spacing {shown}"
    return f"spacing {shown}, from the files" if len({*spacings}) == 1 else f"spacing from each file, such as {shown}"
