"""Images that are worked on block by block, because they may not fit into memory."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path

from flowseg._image_files.opening import open_image
from flowseg._image_files.reading import choose_one_image
from flowseg._image_files.selection import ALL, Part, choose_part
from flowseg._image_files.volumes import choose_volume
from flowseg._system.optional_packages import need
from flowseg.cli._shared.errors import FAULTS
from flowseg.cli._shared.image_reading import IMAGE, VOLUME, Reading

# Images of more pixels are worked on block by block. Source: at once they take 2.6 GB and the image itself (40 bytes
# per pixel, see `image_reading`), a third of the memory of a small computer.
LARGE_PIXELS = 64_000_000
# Volumes of more voxels. Source: the same memory, at 60 bytes per voxel.
LARGE_VOXELS = 40_000_000
MEGAPIXEL = 1_000_000
# Axes of label images, sorted: films and stacks without names are no volumes.
LABELS = (["X", "Y"], ["X", "Y", "Z"])


def is_many(n: int, ndim: int) -> bool:
    """Return whether an image of ``n`` pixels, or a volume of as many voxels, is worked on block by block."""
    return n > (LARGE_VOXELS if ndim == VOLUME else LARGE_PIXELS)


def large_size(ndim: int) -> str:
    """Return in words how large an image or a volume is that is worked on block by block."""
    if ndim == VOLUME:
        return f"more than {LARGE_VOXELS // MEGAPIXEL} megavoxels"
    return f"more than {LARGE_PIXELS // MEGAPIXEL} megapixels"


def is_large(file: Path, reading: Reading) -> bool:
    """Return whether an image, or a volume, is worked on block by block; what cannot be read is reported later."""
    choose = choose_volume if reading.ndim == VOLUME else choose_one_image
    try:
        with warnings.catch_warnings(action="ignore"), open_image(file, reading.scene) as source:
            part = choose(source, reading.selection)
            return is_many(_count_pixels(part), reading.ndim)
    except FAULTS:
        return False


def _count_pixels(part: Part) -> int:
    return math.prod(n for n, name in zip(part.shape, part.axes, strict=True) if name in "ZYX")


def has_large_labels(file: Path) -> bool:
    """Return whether a label image is worked on block by block: a plane or a volume of integers, not colors."""
    try:
        with warnings.catch_warnings(action="ignore"), open_image(file, None, labels=True) as source:
            part = choose_part(source, ALL)
            is_labels = sorted(part.axes) in LABELS and source.dtype.kind in "iu"
            return is_labels and is_many(_count_pixels(part), len(part.axes))
    except FAULTS:
        return False


def find_large(files: Sequence[Path], reading: Reading, choice: bool | None) -> set[Path]:
    """Return the files that are worked on block by block: all or none as chosen, by default the large ones."""
    if choice is False:
        return set()
    return {*files} if choice else {file for file in files if is_large(file, reading)}


def check_extra(file: Path, advice: str = "", ndim: int = IMAGE) -> None:
    """Raise ImportError, which names the file, if what is needed to work block by block is not installed."""
    try:
        need("zarr", "large")
        need("distributed", "large")
    except ImportError as error:
        raise ImportError(f"{file} has {large_size(ndim)} and is read block by block: {error}{advice}") from error
