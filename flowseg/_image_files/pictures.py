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

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from flowseg._image_files.scenes import choose_scene
from flowseg._image_files.source import Index, Source, check_content, pick
from flowseg._system import files, memory

# Suffix -> what opens such a file. No other format is tried, whatever the content is, and Pillow's own limit of pixels,
# which `Image.open` sets, does not hold: memory is the limit.
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
GREY = 0
SAMPLES = {2: 3, 4: 2, 6: 4}
ORIENTATION_TAG = 0x0112
MAX_EXIF = 1 << 16  # bytes, as in JPEG
# Bytes that Pillow holds for each pixel at most, and how often an array is there until it is read.
PILLOW_BYTES, COPIES = 4, 2
# How Pillow names pictures beside the first of a JPEG that show something else; previews do not.
MULTI_FRAME, MP_ENTRIES = "Multi-Frame", 0xB002


@dataclass(frozen=True)
class Stored:
    """How a picture is stored."""

    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    bits: int  # of a sample
    mode: str  # Pillow's, to which it is converted


def is_picture(path: Path) -> bool:
    """Whether a file's name says that it is a picture."""
    return path.suffix.lower() in PLUGINS


@contextmanager
def open_picture(path: Path, scene: int | str | None, *, labels: bool) -> Iterator[Source]:
    """Open a picture; labels are the indices of a palette, an image its colors."""
    choose_scene([path.stem], scene, path)
    plugin = PLUGINS[path.suffix.lower()]
    kind = f"{plugin.format} file"
    check_content(path, plugin.format)
    with files.naming_what_is_damaged(path, kind), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of damaged metadata
        file = plugin(str(path))
    with file:
        stored = _describe(path, file, labels)
        with files.naming_what_is_damaged(path, kind):
            orientation = _png_orientation(path) if file.format == "PNG" else file.getexif().get(ORIENTATION_TAG, 1)

        def read(index: Index) -> NDArray[Any]:
            with files.naming_what_is_damaged(path, kind):
                return np.asarray(pick(_decode(path, file, stored), index))

        yield Source(path, stored.axes, stored.shape, stored.dtype, read, orientation, stored.mode in ("LA", "RGBA"))


def _png_orientation(path: Path) -> int:
    """What the EXIF chunk of a PNG says, wherever it stands: to find it Pillow would decode all pixels."""
    with path.open("rb") as raw:
        raw.seek(SIGNATURE)
        while len(beginning := raw.read(8)) == 8:
            length, kind = struct.unpack(">I4s", beginning)
            if kind == b"eXIf" and length <= MAX_EXIF:
                exif = Image.Exif()
                exif.load(raw.read(length))
                return exif.get(ORIENTATION_TAG, 1)
            raw.seek(length + CHECKSUM, os.SEEK_CUR)
    return 1


def _describe(path: Path, file: ImageFile.ImageFile, labels: bool) -> Stored:
    size = (file.height, file.width)
    others = _other_pictures(file)
    if others:
        raise ValueError(f"{path} must hold one picture; it holds {others + 1}. Save the one you mean.")
    if getattr(file, "n_frames", 1) > 1:
        raise ValueError(f"{path} must be a still picture; it has {file.n_frames} frames. Save the one you mean.")
    bits, kind = _png_header(path) if file.format == "PNG" else (8, GREY)
    if bits == 16 and kind in SAMPLES:
        return Stored("YXS", (*size, SAMPLES[kind]), np.dtype("u2"), bits, "RGBA" if kind in (4, 6) else "RGB")
    mode = ("RGBA" if not labels else "P") if file.mode == "P" else file.mode
    if mode == "P":
        return Stored("YX", size, np.dtype("u1"), 8, mode)
    if mode not in MODES:
        raise ValueError(f"{path} must be grey or RGB; its colors are {mode}. Convert it to RGB and save it as PNG.")
    axes, dtype = MODES[mode]
    dtype = "u2" if bits == 16 else dtype  # older versions of Pillow have them as int32
    return Stored(axes, (*size, len(mode))[: len(axes)], np.dtype(dtype), bits, mode)


def _other_pictures(file: ImageFile.ImageFile) -> int:
    """Pictures beside the first that show something else (views, parts of a panorama): a JPEG may hold some."""
    if "mp" not in file.info or not isinstance(file, JpegImageFile):
        return 0
    try:
        said = file._getmp()
        kinds = [entry["Attribute"]["MPType"] for entry in said[MP_ENTRIES]]
    except Exception:  # noqa: BLE001 - what is damaged there is no picture's part
        return 0
    return sum(kind.startswith(MULTI_FRAME) for kind in kinds[1:])


def _png_header(path: Path) -> tuple[int, int]:
    with path.open("rb") as raw:
        header = raw.read(HEADER)
    return header[BIT_DEPTH], header[COLOR_TYPE]


def _decode(path: Path, file: ImageFile.ImageFile, stored: Stored) -> NDArray[Any]:
    pixels = PILLOW_BYTES * file.width * file.height
    memory.check_image(path, stored.shape, pixels + COPIES * math.prod(stored.shape) * stored.dtype.itemsize)
    if stored.bits == 16 and "S" in stored.axes:  # of which Pillow would keep 8
        return np.asarray(imagecodecs.png_decode(path.read_bytes()))
    array = np.asarray(file if file.mode in (stored.mode, "I;16B") else file.convert(stored.mode))
    if array.dtype == bool:
        return array.astype(np.uint8)
    if stored.mode == "L" and stored.bits in (2, 4):  # spread by Pillow over 0 to 255
        return array // np.uint8(255 // (2**stored.bits - 1))
    return array.astype(stored.dtype, copy=False)
