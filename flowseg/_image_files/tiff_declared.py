"""What a TIFF declares beyond its pages, looked at before tifffile acts on it: planes, other files, sizes of tiles."""

from __future__ import annotations

import glob
import math
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from xml.etree.ElementTree import Element

import tifffile

from flowseg._image_files.codec_sizes import coded_shape
from flowseg._image_files.xml import parse_xml
from flowseg._system import memory

# Planes that one image has at most: tifffile makes a place for each that is declared. A day at 100 planes a second.
MAX_PLANES = 10_000_000
# Bytes that tifffile takes for each page of a file.
PAGE_BYTES = 4000
# Bytes at the start of a strip or tile in which its own size stands.
HEAD = 4096
# Parts of a page that are decoded at the same time, at most (threads of tifffile's).
MOST_AT_A_TIME = 16
# Its decoder, too, takes the size from what it decodes.
LERC = 34887
# How Micro-Manager names the parts of a set, and the counts of its summary.
SET_PATTERN, INDEX = "_MMStack*.tif", "NDTiff.index"
COUNTS = ("Frames", "Slices", "Channels", "Positions")


def check_declared(path: Path, file: tifffile.TiffFile) -> None:
    """Refuse a file whose metadata declare what no file holds, or name files that are not beside it."""
    memory.check(PAGE_BYTES * len(file.pages), f"{path} must fit into memory; with {len(file.pages)} pages it")
    if not len(file.pages):
        return
    if "<!DOCTYPE" in file.pages.first.description or "<!ENTITY" in file.pages.first.description:
        raise ValueError("metadata with a document type, which are not read")
    if file.is_ome and file.ome_metadata:
        _check_ome(path, file.ome_metadata)
    if file.is_ndtiff and path.with_name(INDEX).exists():
        _check_index(path.with_name(INDEX))
    elif file.is_mmstack:
        _check_stack(path, (file.micromanager_metadata or {}).get("Summary") or {})


def check_parts(page: Any, path: Path) -> None:
    """Refuse strips and tiles that become larger than they are declared, or than what is allowed."""
    keyframe = page.keyframe
    shape = (
        (keyframe.tilelength, keyframe.tilewidth)
        if keyframe.is_tiled
        else (
            min(keyframe.rowsperstrip, keyframe.imagelength),
            keyframe.imagewidth,
        )
    )
    depth = keyframe.tiledepth if keyframe.is_tiled else 1
    n_values = math.prod(shape) * max(depth, 1) * keyframe.samplesperpixel
    n_bytes = n_values * keyframe.dtype.itemsize * min(len(page.dataoffsets), MOST_AT_A_TIME)
    page_bytes = math.prod(keyframe.shape) * keyframe.dtype.itemsize
    memory.check_image(path, tuple(keyframe.shape), page_bytes + n_bytes * (not page.is_contiguous))
    if int(keyframe.compression) not in (*tifffile.TIFF.IMAGE_COMPRESSIONS, LERC):
        return  # tifffile gives these decoders as much room as the page declares
    handle = page.parent.filehandle
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        if count:
            with handle.lock:
                head = _head(handle, offset, min(count, HEAD))
            found = coded_shape(head)
            if found is not None and math.prod(found) > math.prod(shape) * max(depth, 1):
                raise ValueError(f"{path} must have strips or tiles of at most {shape}, as it says; one is of {found}.")


def _head(handle: Any, offset: int, count: int) -> bytes:
    closed = handle.closed
    if closed:
        handle.open()
    handle.seek(offset)
    head = handle.read(count)
    if closed:
        handle.close()
    return bytes(head)


def _check_ome(path: Path, text: str) -> None:
    root = parse_xml(text)
    own = root.attrib.get("UUID")
    for element in root.iter():
        tag, said = element.tag.rpartition("}")[2], element.attrib
        if tag == "Pixels":
            _check_count(math.prod(_numbers(said, ("SizeZ", "SizeC", "SizeT"))))
            n_planes = [_numbers(e.attrib, ("PlaneCount", "NumPlanes")) for e in element if e.tag.endswith("TiffData")]
            _check_count(max((n for several in n_planes for n in several), default=0))
            _check_names(path, _named(element, own))
        elif tag[:-1].endswith("Along") and "Start" in said:  # tifffile counts the steps one by one
            start, stop, step = (float(said.get(name, 1)) for name in ("Start", "End", "Step"))
            _check_count((stop - start) / step if step else math.inf)


def _named(pixels: Element, own: str | None) -> Iterator[str]:
    """Names of the other files that hold planes."""
    for data in pixels:
        for uuid in data:
            if uuid.tag.endswith("UUID") and uuid.text != own and uuid.attrib.get("FileName"):
                yield uuid.attrib["FileName"]


def _numbers(said: dict[str, str], names: Iterable[str]) -> list[int]:
    return [int(said[name]) for name in names if name in said]


def _check_count(n: float) -> None:
    if not n <= MAX_PLANES:
        raise ValueError(f"metadata of more than {MAX_PLANES} planes")


def _check_names(path: Path, names: Iterable[str]) -> None:
    """Files of a set lie beside one another: a name that leads elsewhere, or to what is no file, is not followed."""
    for name in set(names):
        is_elsewhere = name in ("", "..") or {PurePosixPath(name).name, PureWindowsPath(name).name} != {name}
        if is_elsewhere and name != path.name:
            raise ValueError(f"metadata that name {name!r}, which is not a file beside it")
        memory.check_regular(path.with_name(name))


def _check_index(index: Path) -> None:
    """The index of an NDTiff set: files by name, and planes by numbers or words."""
    memory.check_regular(index)
    memory.check(index.stat().st_size, f"{index} must fit into memory; it")
    names: set[str] = set()
    values: dict[str, set[Any]] = {}
    for place, name, *_ in tifffile.tifffile.read_ndtiff_index(str(index)):
        names.add(name)
        for axis, value in place.items():
            values.setdefault(axis, set()).add(value)
    _check_names(index, names)
    lengths = []
    for found in values.values():
        numbers = [value for value in found if isinstance(value, int)]
        lengths.append(max(max(numbers) - min(numbers) + 1 if numbers else 1, len(found)))
    _check_count(math.prod(lengths))


def _check_stack(path: Path, summary: dict[str, Any]) -> None:
    """A Micro-Manager stack, whose parts tifffile finds by their names."""
    _check_count(math.prod(int(summary.get(name, 1) or 1) for name in COUNTS))
    beginning = path.name.split("_MMStack")[0]
    for part in glob.glob(str(path.parent / (beginning + SET_PATTERN))):
        memory.check_regular(Path(part))
