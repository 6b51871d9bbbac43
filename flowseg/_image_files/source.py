"""An image in a file: its axes are known at once, its pixels are read where they are selected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._system.invalid_file import InvalidFileError, check_regular

# For each axis of an array one of: a number, which takes the axis away; several; a slice.
Index = tuple[int | list[int] | slice, ...]
EVERYTHING = slice(None)
# Values of the orientation tag (TIFF 6.0, EXIF) whose rows are stored as columns.
TRANSPOSED = (5, 6, 7, 8)
# Those whose columns, and rows, run backwards once rows are rows.
MIRRORED_COLUMNS = (2, 3, 6, 7)
MIRRORED_ROWS = (3, 4, 7, 8)
# How files begin, by their kind, and the endings of the names of those that flowseg reads as images.
CONTENTS = {
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "JPEG": (b"\xff\xd8\xff",),
    "BMP": (b"BM",),
    "CZI": (b"ZISRAWFILE",),
    "GIF": (b"GIF8",),
    "PostScript": (b"%!PS", b"\xc5\xd0\xd3\xc6"),
    "PDF": (b"%PDF",),
    "HDF5": (b"\x89HDF\r\n\x1a\n",),
    "JPEG 2000": (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
    "NumPy": (b"\x93NUMPY",),
    "ZIP": (b"PK\x03\x04",),
    "RIFF (WebP)": (b"RIFF",),
}
NAMES = {"TIFF": ".tif", "PNG": ".png", "JPEG": ".jpg", "BMP": ".bmp", "CZI": ".czi"}
BEGINNING = 16  # bytes


def check_content(path: Path, kind: str) -> None:
    """Refuse a file whose content is of another kind than its name."""
    check_regular(path)
    with path.open("rb") as file:
        beginning = file.read(BEGINNING)
    found = next((name for name, begins in CONTENTS.items() if beginning.startswith(begins)), None)
    if found == kind:
        return
    expected = f"{path} must be a {kind} file to match its name"
    if not beginning:
        raise InvalidFileError(f"{expected}; it is empty.")
    if found is None:
        raise InvalidFileError(f"{expected}; it does not begin as one. Save the image again, as TIFF or PNG.")
    advice = f"Let its name end in {NAMES[found]}." if found in NAMES else "Save the image as TIFF or PNG."
    raise InvalidFileError(f"{expected}; it is a {found} file. {advice}")


@dataclass(frozen=True)
class Source:
    """An image of a file, its axes in the order of the file; ``read`` gives a part of it."""

    path: Path | str  # a URL is text
    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[Index], NDArray[Any]]
    orientation: int = 1
    has_opacity: bool = False  # the last sample is no color
    is_planar: bool = False  # samples of color lie in planes, one after the other
    is_described: bool = False  # the file holds the shape of the array that was written

    def everything(self) -> Index:
        """Return the index of the whole image."""
        return (EVERYTHING,) * len(self.shape)


def pick(array: Any, index: Index) -> Any:
    """Return a part of an array, also of a lazy one."""
    numbers = tuple(entry if isinstance(entry, int) else EVERYTHING for entry in index)
    return array[numbers][tuple(entry for entry in index if not isinstance(entry, int))]


def picked_shape(shape: tuple[int, ...], index: Index) -> tuple[int, ...]:
    """Return the shape of a part of an array."""
    pairs = zip(shape, index, strict=True)
    return tuple(len(range(n)[i] if isinstance(i, slice) else i) for n, i in pairs if not isinstance(i, int))


def orient(array: NDArray[Any], axes: str, orientation: int) -> NDArray[Any]:
    """Return an array with rows and columns as viewers show them."""
    rows, columns = axes.index("Y"), axes.index("X")
    if orientation in TRANSPOSED:
        array = array.swapaxes(rows, columns)
    if orientation in MIRRORED_COLUMNS:
        array = np.flip(array, columns)
    return np.flip(array, rows) if orientation in MIRRORED_ROWS else array
