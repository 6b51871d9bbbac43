"""TIFF files: their series, axes and colors."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from flowseg._image_files.ome_sets import n_images
from flowseg._image_files.scenes import choose_scene
from flowseg._image_files.source import Source, check_content
from flowseg._image_files.tiff_declared import check_declared
from flowseg._image_files.tiff_planes import Planes
from flowseg._system import files

# Tags that are asked for by their numbers.
PHOTOMETRIC, ORIENTATION, COLOR_MAP = 262, 274, 320
# What values mean (tag 262).
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK, YCBCR = 0, 1, 2, 3, 4, 6
# Compressions by JPEG: they turn YCbCr into RGB, and change labels.
JPEG = (6, 7, 33007, 34892)
OPACITIES = (1, 2)  # kinds of extra samples that are opacity
SEPARATE = 2  # planar configuration: samples in planes, one after the other
# Kinds of files that hold one image, and beside it a thumbnail, a label and an overview of the slide.
SLIDES = ("svs", "ndpi", "scn", "philips", "bif", "qpi", "avs")
# Kinds whose palette is for display: the values are those of a camera.
VALUES_WITH_PALETTE = ("imagej", "ome", "lsm", "fluoview", "stk", "mmstack", "ndtiff")


def is_tiff(path: Path) -> bool:
    """Whether a file's name says that it is a TIFF."""
    return path.suffix.lower() in (".tif", ".tiff")


@contextmanager
def open_series(path: Path, scene: int | str | None) -> Iterator[tuple[tifffile.TiffFile, Any, int]]:
    """Open a TIFF: the file, the series to read and its number among the file's images."""
    check_content(path, "TIFF")
    with files.naming_what_is_damaged(path, "TIFF file"):
        file = tifffile.TiffFile(path)
    with file:
        with files.naming_what_is_damaged(path, "TIFF file"):
            check_declared(path, file)
            everything = list(file.series)
        images = [one for one in everything if not (one.keyframe.is_reduced or one.keyframe.is_mask)] or everything
        _check_complete(path, file, images)
        first = scene is None and images[0].kind in SLIDES
        number = choose_scene([_name(i, one) for i, one in enumerate(images)], 0 if first else scene, path)
        yield file, images[number], number


def _name(number: int, series: Any) -> str:
    return series.name or f"{number}: {' x '.join(map(str, series.shape))} {series.dtype}"


def _check_complete(path: Path, file: tifffile.TiffFile, images: Sequence[Any]) -> None:
    """Refuse a file that says that it holds more than is found."""
    if not images:
        raise ValueError(f"{path} must hold an image; it has none.")
    kinds = {one.kind for one in images}
    if kinds == {"ome"} and n_images(file.ome_metadata) > len(images):
        raise ValueError(
            f"{path} must hold the {n_images(file.ome_metadata)} images that its OME metadata describe; only "
            f"{len(images)} can be read. Put all files of the set into one folder, under their own names."
        )
    with files.naming_what_is_damaged(path, "TIFF file"):
        is_broken = bool(kinds & {"generic", "uniform"}) and _is_broken(file)
    if is_broken:
        raise ValueError(f"{path} must hold all of its pages; it is cut short. Copy or export it again.")
    described = (file.imagej_metadata or {}).get("images", 1) if file.is_imagej else 1
    if kinds == {"generic"} and sum(len(one) for one in images) < described:
        raise ValueError(f"{path} must hold the {described} planes that ImageJ describes; it is cut short.")


def _is_broken(file: tifffile.TiffFile) -> bool:
    """Whether the last page names a next one: tifffile stops in silence where that does not lie in the file."""
    layout, stream = file.tiff, file.filehandle
    stream.seek(file.pages[len(file.pages) - 1].offset)
    (n_tags,) = struct.unpack(layout.tagnoformat, stream.read(layout.tagnosize))
    stream.seek(n_tags * layout.tagsize, os.SEEK_CUR)
    offset = stream.read(layout.offsetsize)
    return len(offset) < layout.offsetsize or any(offset)


@contextmanager
def open_tiff(path: Path, scene: int | str | None, *, labels: bool) -> Iterator[Source]:
    """Open one image of a TIFF; of labels the values are those stored, of an image those that viewers show."""
    with open_series(path, scene) as (file, series, number):
        page = series.keyframe
        samples = "S" in page.axes
        has_opacity = samples and bool(page.extrasamples) and int(page.extrasamples[-1]) in OPACITIES
        with files.naming_what_is_damaged(path, "TIFF file"):
            kind = int(page.photometric) if PHOTOMETRIC in page.tags else BLACK_IS_ZERO
            compression = int(page.compression)
        if page.dtype is None:
            raise ValueError(
                f"{path} must have samples of a type that NumPy has; got {page.bitspersample} bits of sample format "
                f"{page.sampleformat}."
            )
        transform = _transform(path, series, kind, compression in JPEG, labels)
        planes = Planes(path, file, series, number, transform)
        yield Source(
            path,
            planes.axes,
            planes.shape,
            planes.dtype,
            planes.read,
            orientation_of(page),
            has_opacity,
            is_planar=samples and int(page.planarconfig) == SEPARATE,
            is_described=series.kind == "shaped",
        )


def read_tiff(path: Path) -> NDArray[Any]:
    """The array of a TIFF of one image, its axes and values as they are stored."""
    with open_tiff(path, None, labels=True) as source:
        return source.read(source.everything())


def orientation_of(page: Any) -> int:
    """How rows and columns of a page are turned: the value of its tag, 1 if it has none or a wrong one."""
    tag = page.tags.get(ORIENTATION)
    return int(tag.value) if tag is not None and tag.value in range(1, 9) else 1


def _transform(
    path: Path, series: Any, kind: int, is_jpeg: bool, labels: bool
) -> Callable[[NDArray[Any]], NDArray[Any]] | None:
    """What makes values of a page what viewers show, None where they are."""
    page = series.keyframe
    if labels and is_jpeg:
        raise ValueError(f"{path} must not be compressed by JPEG, which changes labels. Save masks with LZW or zlib.")
    if kind not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK) and not (kind == YCBCR and is_jpeg):
        name = getattr(page.photometric, "name", kind)
        raise ValueError(f"{path} must be grey or RGB; its colors are {name}. Convert it to RGB.")
    if labels or kind not in (WHITE_IS_ZERO, PALETTE) or page.dtype == bool:  # bits are marks: 1 is what is marked
        return None
    if kind == WHITE_IS_ZERO:
        return _inversion(path, page)
    if series.kind in VALUES_WITH_PALETTE or COLOR_MAP not in page.tags:
        return None
    colors = np.asarray(page.colormap)
    table = (colors >> 8 if colors.max() > np.iinfo(np.uint8).max else colors).astype(np.uint8).T
    return None if _is_one_hue(table) else lambda values: table[values.astype(np.intp)]


def _is_one_hue(table: NDArray[np.uint8]) -> bool:
    """Whether a palette shows grey values in one color, brighter and brighter: Leica's program writes such files."""
    used = [channel.astype(int) for channel in table.T if channel.any()]
    return len(used) in (1, 2) and np.array_equal(used[0], used[-1]) and bool(np.all(np.diff(used[0]) >= 0))


def _inversion(path: Path, page: Any) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """White becomes the largest value; an opacity stays."""
    if page.dtype.kind not in "iu":
        raise ValueError(
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
        return inverted

    return invert
