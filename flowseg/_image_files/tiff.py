"""TIFF files: their series, axes and colors."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from flowseg._image_files.ome_sets import n_images
from flowseg._image_files.scenes import choose_scene
from flowseg._image_files.source import Source, check_content
from flowseg._image_files.tiff_limits import check_declared
from flowseg._image_files.tiff_planes import Planes, Transform
from flowseg._system.invalid_file import InvalidFileError, StoredFile

# Numbers of tags.
PHOTOMETRIC, ORIENTATION, COLOR_MAP = 262, 274, 320
# Values of the tag of colors (262).
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK, YCBCR = 0, 1, 2, 3, 4, 6
# Compressions by JPEG: they turn YCbCr into RGB, and change labels.
JPEG = (6, 7, 33007, 34892)
OPACITIES = (1, 2)  # kinds of extra samples that are opacity
SEPARATE = 2  # planar configuration: samples in planes, one after the other
# Kinds of files that hold one image, and beside it a thumbnail, a label and an overview of the slide.
SLIDES = ("svs", "ndpi", "scn", "philips", "bif", "qpi", "avs")
# Kinds whose palette is for display: the values are intensities.
VALUES_WITH_PALETTE = ("imagej", "ome", "lsm", "fluoview", "stk", "mmstack", "ndtiff")


def is_tiff(path: Path) -> bool:
    """Return whether a file has the name of a TIFF."""
    return path.suffix.lower() in (".tif", ".tiff", ".svs")


KIND = "TIFF file"


@contextmanager
def open_series(path: Path, scene: int | str | None) -> Iterator[tuple[tifffile.TiffFile, Any, int]]:
    """Open a TIFF: the file, the series to read and its number among the file's images."""
    check_content(path, "TIFF")
    stored = StoredFile(path, KIND)
    with stored.parsing():
        file = tifffile.TiffFile(path)
    with file:
        check_declared(stored, file)
        with stored.parsing():
            everything = list(file.series)
            images = [one for one in everything if not (one.keyframe.is_reduced or one.keyframe.is_mask)] or everything
            kinds = {str(one.kind) for one in images}
        _check_complete(stored, file, images, kinds)
        with stored.parsing():
            names = [_name(i, one) for i, one in enumerate(images)]
            is_slide = images[0].kind in SLIDES
        number = choose_scene(names, 0 if scene is None and is_slide else scene, path)
        yield file, images[number], number


def _name(number: int, series: Any) -> str:
    return str(series.name) or f"{number}: {' x '.join(map(str, series.shape))} {series.dtype}"


def _check_complete(stored: StoredFile, file: tifffile.TiffFile, images: Sequence[Any], kinds: set[str]) -> None:
    """Refuse a file whose metadata or pages promise more than is found."""
    path = stored.path
    if not images:
        raise InvalidFileError(f"{path} must hold an image; it has none.")
    with stored.parsing():
        metadata = file.ome_metadata if kinds == {"ome"} else None
        of_imagej = file.imagej_metadata if file.is_imagej else None
        n_planes = sum(len(one) for one in images)
    if metadata and n_images(metadata, stored) > len(images):
        raise InvalidFileError(
            f"{path} must hold the {n_images(metadata, stored)} images that its OME metadata describe; only "
            f"{len(images)} can be read. Put all files of the set into one folder, under their own names."
        )
    if kinds & {"generic", "uniform"} and _has_next_page(stored, file):
        raise InvalidFileError(f"{path} must hold all of its pages; it is cut short. Copy or export it again.")
    described = (of_imagej or {}).get("images", 1)
    if kinds == {"generic"} and isinstance(described, int) and n_planes < described:
        raise InvalidFileError(f"{path} must hold the {described} planes that ImageJ describes; it is cut short.")


def _has_next_page(stored: StoredFile, file: tifffile.TiffFile) -> bool:
    """Return whether the last page names a next one: tifffile stops in silence where that is not in the file."""
    layout, stream = file.tiff, file.filehandle
    with stored.parsing():
        stream.seek(file.pages[len(file.pages) - 1].offset)
        (n_tags,) = struct.unpack(layout.tagnoformat, stream.read(layout.tagnosize))
        stream.seek(n_tags * layout.tagsize, os.SEEK_CUR)
        offset = stream.read(layout.offsetsize)
    return len(offset) < layout.offsetsize or any(offset)


@contextmanager
def open_tiff(path: Path, scene: int | str | None, *, labels: bool) -> Iterator[Source]:
    """Open one image of a TIFF; labels have the values that are stored, an image those that viewers show."""
    stored = StoredFile(path, KIND)
    with open_series(path, scene) as (file, series, number):
        with stored.parsing():
            page = series.keyframe
            samples = "S" in page.axes
            has_opacity = samples and bool(page.extrasamples) and int(page.extrasamples[-1]) in OPACITIES
            kind = int(page.photometric) if PHOTOMETRIC in page.tags else BLACK_IS_ZERO
            is_jpeg = int(page.compression) in JPEG
            is_planar, is_described = samples and int(page.planarconfig) == SEPARATE, series.kind == "shaped"
            orientation = orientation_of(page)
        if page.dtype is None:
            raise InvalidFileError(
                f"{path} must have samples of a type that NumPy has; got {page.bitspersample} bits of sample format "
                f"{page.sampleformat}."
            )
        planes = Planes(stored, file, series, number, _transform(stored, series, kind, is_jpeg, labels))
        yield Source(
            path,
            planes.axes,
            planes.shape,
            planes.dtype,
            planes.read,
            orientation,
            has_opacity,
            is_planar=is_planar,
            is_described=is_described,
        )


def read_tiff(path: Path) -> NDArray[Any]:
    """Return the array of a TIFF of one image, its axes and values as they are stored."""
    with open_tiff(path, None, labels=True) as source:
        return source.read(source.everything())


def orientation_of(page: Any) -> int:
    """Return the orientation of rows and columns of a page: the value of its tag, 1 if it has none or a wrong one."""
    tag = page.tags.get(ORIENTATION)
    return int(tag.value) if tag is not None and tag.value in range(1, 9) else 1


def _transform(stored: StoredFile, series: Any, kind: int, is_jpeg: bool, labels: bool) -> Transform | None:
    """Return the function from values of a page to those that viewers show, None where they are equal."""
    page, path = series.keyframe, stored.path
    if labels and is_jpeg:
        raise InvalidFileError(
            f"{path} must not be compressed by JPEG, which changes labels. Save masks with LZW or zlib."
        )
    if kind not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK) and not (kind == YCBCR and is_jpeg):
        name = getattr(page.photometric, "name", kind)
        raise InvalidFileError(f"{path} must be gray or RGB; its colors are {name}. Convert it to RGB.")
    if labels or kind not in (WHITE_IS_ZERO, PALETTE) or page.dtype == bool:  # bits are marks: 1 is marked
        return None
    if kind == WHITE_IS_ZERO:
        return _inversion(path, page)
    if series.kind in VALUES_WITH_PALETTE or COLOR_MAP not in page.tags:
        return None
    with stored.parsing():
        colors = np.asarray(page.colormap)
        table = (colors >> 8 if colors.max() > np.iinfo(np.uint8).max else colors).astype(np.uint8).T
    if table.ndim != 2 or table.shape[1] != 3:
        raise stored.invalid(f"a palette of shape {table.shape[::-1]}")
    if _is_one_hue(table):
        return None

    def paint(values: NDArray[Any]) -> NDArray[Any]:
        if values.size and not (values.min() >= 0 and values.max() < len(table)):
            raise stored.invalid(f"values beyond the {len(table)} colors of the palette")
        return np.asarray(table[values.astype(np.intp)])

    return paint


def _is_one_hue(table: NDArray[np.uint8]) -> bool:
    """Return whether a palette shows gray values in shades of one color, as in files of Leica's program."""
    used = [channel.astype(int) for channel in table.T if channel.any()]
    return len(used) in (1, 2) and np.array_equal(used[0], used[-1]) and bool(np.all(np.diff(used[0]) >= 0))


def _inversion(path: Path, page: Any) -> Transform:
    """Return the function that makes white the largest value and keeps an opacity."""
    if page.dtype.kind not in "iu":
        raise InvalidFileError(
            f"{path} must have 0 as black: where 0 is white, floats have no scale. Invert it and save it so."
        )
    n_colors = page.samplesperpixel - len(page.extrasamples)
    samples = page.axes.find("S")
    # Bits that no value has stay 0; of signed values the lowest becomes the highest.
    bits = page.dtype.type(-1 if page.dtype.kind == "i" else 2**page.bitspersample - 1)

    def invert(values: NDArray[Any]) -> NDArray[Any]:
        inverted = np.bitwise_xor(values, bits)
        if samples >= 0 and n_colors < page.samplesperpixel:
            place = (slice(None),) * samples + (slice(n_colors, None),)
            inverted[place] = values[place]
        return np.asarray(inverted)

    return invert
