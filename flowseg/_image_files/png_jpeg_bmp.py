"""PNG, JPEG and BMP files: their values, palettes, opacity and orientation."""

from __future__ import annotations

import math
import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from flowseg._image_files.scenes import choose_scene
from flowseg._image_files.source import Index, Source, check_content, pick
from flowseg._system import memory
from flowseg._system.invalid_file import InvalidFileError, StoredFile
from flowseg._system.optional_packages import need

# Suffix -> Pillow's class for such a file. No other format is tried, whatever the content is. `Image.open`, which
# limits the number of pixels, is not used: memory is the limit.
PLUGINS: dict[str, Any] = {
    ".png": PngImageFile,
    ".jpg": JpegImageFile,
    ".jpeg": JpegImageFile,
    ".bmp": BmpImageFile,
}
# Pillow's modes -> axes and dtype of their arrays.
MODES = {
    "1": ("YX", "u1"),
    "L": ("YX", "u1"),
    "I;16": ("YX", "u2"),
    "I;16B": ("YX", "u2"),
    "I": ("YX", "i4"),
    "LA": ("YXS", "u1"),
    "RGB": ("YXS", "u1"),
    "RGBA": ("YXS", "u1"),
}
# PNG: bytes of the header with the bits of a sample and the type of color; types, and how many samples they have.
BIT_DEPTH, COLOR_TYPE, HEADER = 24, 25, 26
SIGNATURE, CHECKSUM = 8, 4  # bytes before the first chunk, and behind each
FIRST_CHUNK = slice(12, 16)  # its kind
GRAY = 0
SAMPLES = {2: 3, 4: 2, 6: 4}
ORIENTATION_TAG = 0x0112
MAX_EXIF = 1 << 16  # bytes, as in JPEG
# Bytes that Pillow holds for each pixel at most, and copies of the array while it is read.
PILLOW_BYTES, COPIES = 4, 2
# Pillow's name of pictures beside the first of a JPEG that show something else; previews have another name.
MULTI_FRAME, MP_ENTRIES = "Multi-Frame", 0xB002


@dataclass(frozen=True)
class Layout:
    """How a picture is stored."""

    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    bits: int  # of a sample
    mode: str  # Pillow's, to which it is converted


def is_picture(path: Path) -> bool:
    """Return whether a file has the name of a picture."""
    return path.suffix.lower() in PLUGINS


@contextmanager
def open_picture(path: Path, scene: int | str | None, *, labels: bool) -> Iterator[Source]:
    """Open a picture; labels are the indices of a palette, an image its colors."""
    choose_scene([path.stem], scene, path)
    plugin = PLUGINS[path.suffix.lower()]
    stored = StoredFile(path, f"{plugin.format} file")
    check_content(path, plugin.format)
    with stored.parsing(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of damaged metadata
        file = plugin(str(path))
    with file:
        layout = _describe(stored, file, labels)
        orientation = _orientation(stored, file)

        def read(index: Index) -> NDArray[Any]:
            return np.asarray(pick(_decode(stored, file, layout), index))

        yield Source(path, layout.axes, layout.shape, layout.dtype, read, orientation, layout.mode in ("LA", "RGBA"))


def _orientation(stored: StoredFile, file: ImageFile.ImageFile) -> int:
    """Return the orientation of rows and columns: the value of the EXIF tag, 1 if there is none."""
    raw = _png_exif(stored.path) if file.format == "PNG" else b""
    with stored.parsing():
        exif = Image.Exif() if file.format == "PNG" else file.getexif()
        if raw:
            exif.load(raw)
        value = exif.get(ORIENTATION_TAG, 1)
    return value if type(value) is int else 1


def _png_exif(path: Path) -> bytes:
    """Return the EXIF chunk of a PNG, wherever it is: to find it Pillow would decode all pixels."""
    with path.open("rb") as raw:
        raw.seek(SIGNATURE)
        while len(beginning := raw.read(8)) == 8:
            length, kind = struct.unpack(">I4s", beginning)
            if kind == b"eXIf" and length <= MAX_EXIF:
                return raw.read(length)
            raw.seek(length + CHECKSUM, os.SEEK_CUR)
    return b""


def _describe(stored: StoredFile, file: ImageFile.ImageFile, labels: bool) -> Layout:
    path, size = stored.path, (file.height, file.width)
    others = _other_pictures(file)
    if others:
        raise InvalidFileError(f"{path} must hold one picture; it holds {others + 1}. Save the one to read.")
    with stored.parsing():
        n_frames = getattr(file, "n_frames", 1)
    if n_frames > 1:
        raise InvalidFileError(f"{path} must be a still picture; it has {n_frames} frames. Save the one to read.")
    bits, kind = _png_header(stored) if file.format == "PNG" else (8, GRAY)
    if bits == 16 and kind in SAMPLES:
        return Layout("YXS", (*size, SAMPLES[kind]), np.dtype("u2"), bits, "RGBA" if kind in (4, 6) else "RGB")
    mode = ("RGBA" if not labels else "P") if file.mode == "P" else file.mode
    if mode == "P":
        return Layout("YX", size, np.dtype("u1"), 8, mode)
    if mode not in MODES:
        raise InvalidFileError(
            f"{path} must be gray or RGB; its colors are {mode}. Convert it to RGB and save it as PNG."
        )
    axes, dtype = MODES[mode]
    dtype = "u2" if bits == 16 else dtype  # older versions of Pillow have them as int32
    return Layout(axes, (*size, len(mode))[: len(axes)], np.dtype(dtype), bits, mode)


def _other_pictures(file: ImageFile.ImageFile) -> int:
    """Return how many pictures beside the first show something else (views, parts of a panorama) in a JPEG."""
    if "mp" not in file.info or not isinstance(file, JpegImageFile):
        return 0
    try:
        index = file._getmp()
    except Exception:  # noqa: BLE001 - Pillow raises anything when the index is damaged, which the picture does not need
        return 0
    entries = index[MP_ENTRIES] if index else []
    return sum(entry["Attribute"]["MPType"].startswith(MULTI_FRAME) for entry in entries[1:])


def _png_header(stored: StoredFile) -> tuple[int, int]:
    """Return the bits of a sample and the type of color."""
    with stored.path.open("rb") as raw:
        header = raw.read(HEADER)
    if len(header) < HEADER or header[FIRST_CHUNK] != b"IHDR":
        raise stored.invalid("a PNG that does not begin with its header")
    return header[BIT_DEPTH], header[COLOR_TYPE]


def _decode(stored: StoredFile, file: ImageFile.ImageFile, layout: Layout) -> NDArray[Any]:
    pixels = PILLOW_BYTES * file.width * file.height
    memory.check_image(stored.path, layout.shape, pixels + COPIES * math.prod(layout.shape) * layout.dtype.itemsize)
    if layout.bits == 16 and "S" in layout.axes:  # Pillow would keep 8
        imagecodecs = need("imagecodecs", "imagecodecs")
        raw = stored.path.read_bytes()
        with stored.parsing():
            return np.asarray(imagecodecs.png_decode(raw))
    with stored.parsing():
        array = np.asarray(file if file.mode in (layout.mode, "I;16B") else file.convert(layout.mode))
    if array.dtype == bool:
        return array.astype(np.uint8)
    if layout.mode == "L" and layout.bits in (2, 4):  # spread by Pillow over 0 to 255
        return np.asarray(array // np.uint8(255 // (2**layout.bits - 1)))
    return array.astype(layout.dtype, copy=False)
