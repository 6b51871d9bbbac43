"""Limits of the planes, other files and sizes that a TIFF may declare, checked before tifffile acts on it."""

from __future__ import annotations

import glob
import math
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from xml.etree.ElementTree import Element

import tifffile

from flowseg._image_files.codec_sizes import coded_shape
from flowseg._image_files.xml import parse_xml, whole_number
from flowseg._system import memory
from flowseg._system.invalid_file import InvalidFileError, StoredFile, check_regular, find_irregular_kind

# Planes of one image at most, a day at 100 planes a second: tifffile allocates a place for each that is declared.
MAX_PLANES = 10_000_000
# Bytes that tifffile takes for each page of a file.
PAGE_BYTES = 4000
# Bytes at the start of a strip or tile that hold its own size.
HEAD = 4096
# Parts of a page that are decoded at the same time, at most (threads of tifffile's).
MOST_AT_A_TIME = 16
# A compression whose decoder takes the size from the data, too.
LERC = 34887
# How Micro-Manager names the parts of a set, and the counts of its summary.
SET_PATTERN, INDEX = "_MMStack*.tif", "NDTiff.index"
COUNTS = ("Frames", "Slices", "Channels", "Positions")


def check_declared(stored: StoredFile, file: tifffile.TiffFile) -> None:
    """Refuse a file whose metadata declare more than any file holds, or name files that are not beside it."""
    path = stored.path
    with stored.parsing():
        n_pages = len(file.pages)
    memory.check(PAGE_BYTES * n_pages, f"with {n_pages} pages it", path)
    if not n_pages:
        return
    with stored.parsing():
        description = str(file.pages.first.description)
        is_ome, is_ndtiff, is_mmstack = file.is_ome, file.is_ndtiff, file.is_mmstack
    if "<!DOCTYPE" in description or "<!ENTITY" in description:
        raise stored.invalid("metadata with a document type, which are not read")
    if is_ome:
        with stored.parsing():
            text = file.ome_metadata
        if text:
            _check_ome(text, stored)
    if is_ndtiff and path.with_name(INDEX).exists():
        _check_index(StoredFile(path.with_name(INDEX), stored.kind), stored)
    elif is_mmstack:
        with stored.parsing():
            metadata = file.micromanager_metadata
        summary = metadata.get("Summary") if isinstance(metadata, dict) else None
        _check_stack(summary if isinstance(summary, dict) else {}, stored)


def check_parts(page: Any, stored: StoredFile) -> None:
    """Refuse strips and tiles that are larger than declared, or larger than memory allows."""
    with stored.parsing():
        keyframe, places = page.keyframe, list(zip(page.dataoffsets, page.databytecounts, strict=False))
        is_contiguous, compression = page.is_contiguous, int(keyframe.compression)
        shape, depth = _part_shape(keyframe)
        page_shape, n_samples, itemsize = tuple(keyframe.shape), keyframe.samplesperpixel, keyframe.dtype.itemsize
    n_bytes = math.prod(shape) * depth * n_samples * itemsize * min(len(places), MOST_AT_A_TIME)
    memory.check_image(stored.path, page_shape, math.prod(page_shape) * itemsize + n_bytes * (not is_contiguous))
    if compression in (*tifffile.TIFF.IMAGE_COMPRESSIONS, LERC):
        for offset, count in places:
            if count:
                check_part(page, stored, offset, count)


def check_part(page: Any, stored: StoredFile, offset: int, count: int) -> None:
    """Refuse a strip or tile that is larger than declared, where its decoder takes the size from its data."""
    with stored.parsing():
        keyframe, handle = page.keyframe, page.parent.filehandle
        if int(keyframe.compression) not in (*tifffile.TIFF.IMAGE_COMPRESSIONS, LERC):
            return  # tifffile gives these decoders as much room as the page declares
        shape, depth = _part_shape(keyframe)
        head = read_part(handle, offset, min(count, HEAD))
    found = coded_shape(head)
    if found is not None and math.prod(found) > math.prod(shape) * depth:
        raise InvalidFileError(
            f"{stored.path} must have strips or tiles of at most {shape}, as it declares; one is of {found}."
        )


def _part_shape(keyframe: Any) -> tuple[tuple[int, int], int]:
    """Return rows and columns of strips or tiles, and their depth."""
    if keyframe.is_tiled:
        return (keyframe.tilelength, keyframe.tilewidth), max(keyframe.tiledepth, 1)
    return (min(keyframe.rowsperstrip, keyframe.imagelength), keyframe.imagewidth), 1


def read_part(handle: Any, offset: int, count: int) -> bytes:
    """Return bytes of a file that tifffile may have closed."""
    with handle.lock:
        closed = handle.closed
        if closed:
            handle.open()
        handle.seek(offset)
        part = handle.read(count)
        if closed:
            handle.close()
    return bytes(part)


def _check_ome(text: str, stored: StoredFile) -> None:
    root = parse_xml(text, stored)
    own = root.attrib.get("UUID")
    for element in root.iter():
        tag = element.tag.rpartition("}")[2]
        if tag == "Pixels":
            _check_count(math.prod(_numbers(element, ("SizeZ", "SizeC", "SizeT"), stored)), stored)
            data = [part for part in element if part.tag.endswith("TiffData")]
            n_planes = [n for part in data for n in _numbers(part, ("PlaneCount", "NumPlanes"), stored)]
            _check_count(max(n_planes, default=0), stored)
            _check_names(_named(element, own), stored)
        elif tag[:-1].endswith("Along") and "Start" in element.attrib:  # tifffile counts the steps one by one
            with stored.parsing(ValueError):
                start, stop, step = (float(element.attrib.get(name, 1)) for name in ("Start", "End", "Step"))
            _check_count((stop - start) / step if step else math.inf, stored)


def _named(pixels: Element, own: str | None) -> Iterator[str]:
    """Yield the names of the other files that hold planes."""
    for data in pixels:
        for uuid in data:
            if uuid.tag.endswith("UUID") and uuid.text != own and uuid.attrib.get("FileName"):
                yield uuid.attrib["FileName"]


def _numbers(element: Element, names: Iterable[str], stored: StoredFile) -> list[int]:
    """Return the values of the attributes that exist."""
    found = []
    for name in names:
        number = whole_number(element, name, 0)
        if number is None:
            raise stored.invalid(f"metadata whose {name} is no whole number")
        found += [number] * (name in element.attrib)
    return found


def _check_count(n: float, stored: StoredFile) -> None:
    if not n <= MAX_PLANES:
        raise stored.invalid(f"metadata of more than {MAX_PLANES} planes")


def _check_names(names: Iterable[str], stored: StoredFile) -> None:
    """Refuse names of files of a set that lead elsewhere, or not to a file: a set lies in one folder."""
    for name in set(names):
        is_elsewhere = name in ("", "..") or {PurePosixPath(name).name, PureWindowsPath(name).name} != {name}
        if is_elsewhere and name != stored.path.name:
            raise stored.invalid(f"metadata that name {name!r}, which is not a file beside it")
        _check_member(stored.path.with_name(name), stored)


def _check_member(path: Path, stored: StoredFile) -> None:
    """Refuse a set of which a member is no file."""
    kind = find_irregular_kind(path)
    if kind:
        raise stored.invalid(f"a set of files with {path.name!r}, which is {kind}")


def _check_index(index: StoredFile, stored: StoredFile) -> None:
    """Check the index of an NDTiff set: files by name, and planes by numbers or words."""
    check_regular(index.path)
    memory.check(index.path.stat().st_size, path=index.path)
    names: set[str] = set()
    values: dict[str, set[int | str]] = {}
    for place, name, *_ in index.parsing_each(tifffile.tifffile.read_ndtiff_index(str(index.path))):
        if not isinstance(place, dict) or not all(isinstance(value, int | str) for value in place.values()):
            raise index.invalid("planes whose places are no numbers or words")
        names.add(name)
        for axis, value in place.items():
            values.setdefault(axis, set()).add(value)
    _check_names(names, index)
    lengths = []
    for found in values.values():
        numbers = [value for value in found if isinstance(value, int)]
        lengths.append(max(max(numbers) - min(numbers) + 1 if numbers else 1, len(found)))
    _check_count(math.prod(lengths), stored)


def _check_stack(summary: dict[str, Any], stored: StoredFile) -> None:
    """Check a Micro-Manager stack, whose parts tifffile finds by their names."""
    with stored.parsing(TypeError, ValueError, OverflowError):
        counts = [int(summary.get(name, 1) or 1) for name in COUNTS]
    _check_count(math.prod(counts), stored)
    beginning = stored.path.name.split("_MMStack")[0]
    for part in glob.glob(str(stored.path.parent / (beginning + SET_PATTERN))):
        _check_member(Path(part), stored)
