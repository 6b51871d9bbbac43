"""Images in files and in zarr as sources: windows in the view of viewers, channels as `read_image` gives them."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._image_files import source as image_source
from flowseg._image_files.ome_sets import set_files
from flowseg._image_files.ome_zarr.images import OmeZarrImage, axes_of_array, find_image
from flowseg._image_files.ome_zarr.nodes import ARRAY_METADATA, StorageOptions, is_url
from flowseg._image_files.opening import open_image
from flowseg._image_files.pixel_size import read_pixel_size
from flowseg._image_files.png_jpeg_bmp import is_picture
from flowseg._image_files.reading import choose_one_image
from flowseg._image_files.selection import Part, Selection
from flowseg._system import memory
from flowseg.blockwise._stores.array_source import CHUNK
from flowseg.blockwise._stores.source import (
    Json,
    JsonObject,
    PixelSize,
    Source,
    check_image_shape,
    digest_of_json,
    digest_of_pixels,
    stat_of,
)

Window = Callable[[slice, slice], NDArray[Any]]


def file_source(path: str, selection: Selection, keep_color: bool, samples: list[int] | None = None) -> Source:
    """Return an image file as a source; ``samples`` are the samples of color that are kept, where they are known."""
    path = os.path.abspath(path)
    file = Path(path)
    with ExitStack() as opened:
        image = opened.enter_context(open_image(file, selection.scene))
        if is_picture(file):  # which are decoded whole
            memory.check_image(file, image.shape, int(np.prod(image.shape)) * image.dtype.itemsize)
            whole = image.read(image.everything())
            image = replace(image, read=lambda index: np.asarray(image_source.pick(whole, index)))
        part = choose_one_image(image, selection)
        stack = opened.pop_all()
    try:
        size = read_pixel_size(file, scene=selection.scene)
        source = _from_part(
            part, path, "file", lambda: digest_of_json([_selected(selection), *map(stat_of, [file, *set_files(file)])])
        )
        source = replace(source, pixel_size=None if size is None else PixelSize(size), close=stack.close)
        if samples is None:
            samples = _kept_samples(source, part, selection, keep_color)
        kept = _choose_samples(source, samples)
        stored: JsonObject = {"path": path, "selection": _selected(selection), "samples": [*samples]}
        return replace(kept, stored=stored)
    except BaseException:
        stack.close()
        raise


def zarr_source(location: str, selection: Selection, options: StorageOptions | None) -> Source:
    """Return an OME-Zarr image or an array of zarr at a path or URL as a source."""
    image = find_image(location, selection.scene, options)
    stored: JsonObject = {
        "location": image.location,
        "selection": _selected(selection),
        "options": None if options is None else dict(options),
    }
    if image.location.startswith("memory:"):  # which only this process has
        return _from_zarr(image, selection, options)
    return replace(_from_zarr(image, selection, options), stored=stored)


def zarr_array_source(array: Any, selection: Selection) -> Source:
    """Return a zarr.Array as a source, by its location where it has one."""
    location, options = _location_of(array)
    if location is not None:
        return zarr_source(location, selection, options)
    image = OmeZarrImage("image", array, axes_of_array(array))
    part = choose_one_image(image.in_memory(), selection)
    source: Source = replace(
        _from_part(part, "image", "array", lambda: digest_of_pixels(source)), chunks=_chunks_of(image, part)
    )
    return source


def _location_of(array: Any) -> tuple[str | None, StorageOptions | None]:
    """Return path or URL of a zarr.Array, and options of its storage; None where it is in memory."""
    store = array.store
    root = getattr(store, "root", None)
    if isinstance(root, Path):
        return str(root / array.path), None
    system = getattr(store, "fs", None)
    protocol = getattr(system, "protocol", "memory")
    protocol = protocol if isinstance(protocol, str) else protocol[0]
    if system is None or protocol == "memory" or not isinstance(getattr(store, "path", None), str):
        return None, None
    if protocol in ("file", "local"):
        return os.path.join(store.path, array.path), None
    options = {name: value for name, value in system.storage_options.items() if name != "asynchronous"}
    return "/".join(part for part in (f"{protocol}://{store.path}".rstrip("/"), array.path) if part), options or None


def _from_zarr(image: OmeZarrImage, selection: Selection, options: StorageOptions | None) -> Source:
    part = choose_one_image(image.as_source(options), selection)
    source = _from_part(part, image.location, "zarr", lambda: _digest_of_zarr(image, selection))
    (height, row_unit, top), (width, column_unit, left) = image.scale_of("Y"), image.scale_of("X")
    size = None if image.multiscale is None else PixelSize((height, width), (row_unit, column_unit), (top, left))
    return replace(
        source,
        chunks=_chunks_of(image, part),
        pixel_size=size,
        group=image.group,
        version=image.multiscale.version if image.multiscale else None,
        n_levels=len(image.multiscale.datasets) if image.multiscale else None,
    )


def _chunks_of(image: OmeZarrImage, part: Part) -> tuple[int, int]:
    """Return rows and columns of the chunks, or of the shards where there are any."""
    chunks = getattr(image.array, "shards", None) or image.array.chunks
    names = image.axes if len(part.source.axes) != len(chunks) else part.source.axes
    if "Y" not in names or "X" not in names:  # named by the selection
        return (CHUNK, CHUNK)
    return int(chunks[names.index("Y")]), int(chunks[names.index("X")])


def _digest_of_zarr(image: OmeZarrImage, selection: Selection) -> str:
    """Return a hash of the metadata of an array and, in a folder, of names, sizes and times of its files."""
    metadata = image.array.metadata.to_dict()
    found: list[Any] = [image.axes, repr(sorted(metadata.items(), key=lambda item: item[0])), _selected(selection)]
    if not is_url(image.location):
        for folder, folders, names in os.walk(image.location):
            folders.sort()
            beside = os.path.relpath(folder, image.location)
            found += [[beside, n, *stat_of(os.path.join(folder, n))] for n in sorted(names) if n not in ARRAY_METADATA]
    return digest_of_json(found)


def _from_part(part: Part, location: str, kind: str, digest: Callable[[], str]) -> Source:
    """Return the selected part of an image as a source."""
    lengths = dict(zip(part.axes.replace("S", "C"), part.shape, strict=True))
    shape = check_image_shape((part.n_rows, part.n_columns, lengths.get("C", 1)), part.source.dtype, location)
    order = [part.axes.index(name) for name in ("Y", "X", "C", "S") if name in part.axes]

    def read(rows: slice, columns: slice) -> NDArray[Any]:
        array = part.read_window(rows, columns).transpose(order)
        return array.reshape(*array.shape[:2], shape[2])

    return Source(location, kind, shape, part.source.dtype, (CHUNK, CHUNK), read, digest)


def _kept_samples(source: Source, part: Part, selection: Selection, keep_color: bool) -> list[int]:
    """Return the channels that `read_image` keeps: none of an opacity that is opaque, one of colors that are gray.

    The image is read until both are known: of a color picture its first rows, of a gray one all.
    """
    n = source.shape[2]
    if "S" not in part.axes or selection.channel is not None or source.dtype.kind not in "iu":
        return list(range(n))
    opaque = np.iinfo(source.dtype).max
    is_opaque = part.source.has_opacity
    is_gray = not keep_color and n - is_opaque == 3
    for rows in source.bands():
        if not is_opaque and not is_gray:
            break
        band = source.read(rows, slice(0, source.shape[1]))
        is_opaque = is_opaque and bool(np.all(band[..., -1] == opaque))
        is_gray = is_gray and all(np.array_equal(band[..., 0], band[..., i]) for i in (1, 2))
    left = n - 1 if is_opaque else n
    return [0] if is_gray and left == 3 else list(range(left))


def _choose_samples(source: Source, samples: list[int]) -> Source:
    if samples == list(range(source.shape[2])):
        return source
    read = source.read_window
    return replace(
        source,
        shape=(*source.shape[:2], len(samples)),
        read_window=lambda rows, columns: np.ascontiguousarray(read(rows, columns)[..., samples]),
    )


def _selected(selection: Selection) -> JsonObject:
    channel = selection.channel
    listed: Json = channel if channel is None or isinstance(channel, int) else [int(n) for n in channel]
    return {
        "axes": selection.axes,
        "channel": listed,
        "z": selection.z,
        "t": selection.t,
        "scene": selection.scene,
    }
