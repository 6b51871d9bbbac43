"""Images that are worked on block by block, because they may not fit into memory."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from flowseg._image_files.opening import open_image
from flowseg._image_files.reading import choose_one_image
from flowseg._image_files.selection import ALL, Selection, choose_part
from flowseg._system.optional import need
from flowseg.cli._shared.errors import FAULTS

# Images of more pixels are worked on block by block. Source: at once they take 2.6 GB and the image itself (40 bytes
# per pixel, see `image_reading`), a third of the memory of a small computer.
LARGE_PIXELS = 64_000_000
MEGAPIXEL = 1_000_000


def count_pixels(file: Path, selection: Selection = ALL) -> int:
    """Return the rows times the columns of an image; 0 if it cannot be read as one, which is reported later."""
    try:
        with warnings.catch_warnings(action="ignore"), open_image(file, selection.scene) as source:
            part = choose_one_image(source, selection)
            return part.n_rows * part.n_columns
    except FAULTS:
        return 0


def is_large(file: Path, selection: Selection = ALL) -> bool:
    """Return whether an image is worked on block by block."""
    return count_pixels(file, selection) > LARGE_PIXELS


def has_large_labels(file: Path) -> bool:
    """Return whether a label image is worked on block by block: one plane of integers, not colors."""
    try:
        with warnings.catch_warnings(action="ignore"), open_image(file, None, labels=True) as source:
            part = choose_part(source, ALL)
            is_plane = sorted(part.axes) == ["X", "Y"] and source.dtype.kind in "iu"
            return is_plane and part.n_rows * part.n_columns > LARGE_PIXELS
    except FAULTS:
        return False


def find_large(files: Sequence[Path], selection: Selection, choice: bool | None) -> set[Path]:
    """Return the files that are worked on block by block: all or none as chosen, by default the large ones."""
    if choice is False:
        return set()
    return {*files} if choice else {file for file in files if is_large(file, selection)}


def check_extra(file: Path, advice: str = "") -> None:
    """Raise ImportError, which names the file, if what is needed to work block by block is not installed."""
    try:
        need("zarr", "large")
        need("distributed", "large")
    except ImportError as error:
        raise ImportError(
            f"{file} has more than {LARGE_PIXELS // MEGAPIXEL} megapixels and is read block by block: {error}{advice}"
        ) from error
