"""Images in files and in zarr as sources: windows in the view of viewers, channels as `read_image` gives them."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._image_files import source as image_source
from flowseg._image_files.ome_sets import set_files
from flowseg._image_files.ome_zarr.images import OmeZarrImage, axes_of_array, find_image
from flowseg._image_files.ome_zarr.nodes import ARRAY_METADATA, StorageOptions, is_url
from flowseg._image_files.opening import open_image
from flowseg._image_files.pixel_size import read_pixel_size, read_spacing
from flowseg._image_files.png_jpeg_bmp import is_picture
from flowseg._image_files.reading import choose_one_image
from flowseg._image_files.selection import Part, Selection
from flowseg._image_files.volumes import choose_volume
from flowseg._system import memory
from flowseg.blockwise._stores.array_source import CHUNKS
from flowseg.blockwise._stores.source import (
    Json,
    JsonObject,
    PixelSize,
    Source,
    Window,
    check_image_shape,
    digest_of_json,
    digest_of_pixels,
    stat_of,
)

# Names of the axes of images and of volumes.
SPACE = {2: "YX", 3: "ZYX"}


def file_source(
    path: str, selection: Selection, ndim: int, keep_color: bool = False, samples: list[int] | None = None
) -> Source:
    """Return an image file as a source; ``samples`` are the samples of color that are kept, where they are known."""
    path = os.path.abspath(path)
    file = Path(path)
    with ExitStack() as opened:
        image = opened.enter_context(open_image(file, selection.scene))
        if is_picture(file):  # which are decoded whole
            memory.check_image(file, image.shape, int(np.prod(image.shape)) * image.dtype.itemsize)
            whole = image.read(image.everything())
            image = replace(image, read=lambda index: np.asarray(image_source.pick(whole, index)))
        part = _choose(image, selection, ndim)
        stack = opened.pop_all()
    try:
        size: tuple[float, ...] | None = (
            read_pixel_size(file, scene=selection.scene)
            if ndim == 2
            else read_spacing(file, axes=selection.axes, scene=selection.scene)
        )
        source = _from_part(
            part, path, "file", lambda: digest_of_json([_selected(selection), *map(stat_of, [file, *set_files(file)])])
        )
        source = replace(source, pixel_size=None if size is None else PixelSize.of(size), close=stack.close)
        if samples is None:
            samples = _kept_samples(source, part, selection, keep_color)
        kept = _choose_samples(source, samples)
        stored: JsonObject = {"path": path, "selection": _selected(selection), "ndim": ndim, "samples": [*samples]}
        return replace(kept, stored=stored)
    except BaseException:
        stack.close()
        raise


def _choose(image: image_source.Source, selection: Selection, ndim: int) -> Part:
    """Return the part of a file that is selected, which must be one image, or one volume."""
    return choose_one_image(image, selection) if ndim == 2 else choose_volume(image, selection)


def zarr_source(location: str, selection: Selection, ndim: int, options: StorageOptions | None) -> Source:
    """Return an OME-Zarr image or an array of zarr at a path or URL as a source."""
    image = find_image(location, selection.scene, options)
    stored: JsonObject = {
        "location": image.location,
        "selection": _selected(selection),
        "ndim": ndim,
        "options": None if options is None else dict(options),
    }
    if image.location.startswith("memory:"):  # which only this process has
        return _from_zarr(image, selection, ndim, options)
    return replace(_from_zarr(image, selection, ndim, options), stored=stored)


def zarr_array_source(array: Any, selection: Selection, ndim: int) -> Source:
    """Return a zarr.Array as a source, by its location where it has one."""
    location, options = _location_of(array)
    if location is not None:
        return zarr_source(location, selection, ndim, options)
    image = OmeZarrImage("image", array, axes_of_array(array))
    part = _choose(image.in_memory(), selection, ndim)
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


def _from_zarr(image: OmeZarrImage, selection: Selection, ndim: int, options: StorageOptions | None) -> Source:
    part = _choose(image.as_source(options), selection, ndim)
    source = _from_part(part, image.location, "zarr", lambda: _digest_of_zarr(image, selection))
    size = None
    if image.multiscale is not None:
        lengths, units, origin = zip(*(image.scale_of(name) for name in SPACE[ndim]), strict=True)
        size = PixelSize(lengths, units, origin)
    return replace(
        source,
        chunks=_chunks_of(image, part),
        pixel_size=size,
        group=image.group,
        version=image.multiscale.version if image.multiscale else None,
        steps=_steps_of(image, ndim),
    )


def _steps_of(image: OmeZarrImage, ndim: int) -> tuple[tuple[int, ...], ...] | None:
    """Return the steps of `Source` between the levels of an image; those of a plane are halved, as viewers expect."""
    if image.multiscale is None:
        return None
    if ndim == 2:
        return ((2, 2),) * (len(image.multiscale.datasets) - 1)
    axes = [image.axes.find(name) for name in SPACE[ndim]]
    return tuple(
        tuple(max(1, round(above.scale[axis] / below.scale[axis])) if axis >= 0 else 1 for axis in axes)
        for below, above in pairwise(image.multiscale.datasets)
    )


def _chunks_of(image: OmeZarrImage, part: Part) -> tuple[int, ...]:
    """Return the pixels along each axis of the chunks, or of the shards where there are any."""
    chunks = getattr(image.array, "shards", None) or image.array.chunks
    names = image.axes if len(part.source.axes) != len(chunks) else part.source.axes
    letters = SPACE[3 if "Z" in part.axes else 2]
    if not set(letters) <= set(names):  # named by the selection
        return CHUNKS[len(letters)]
    return tuple(int(chunks[names.index(letter)]) for letter in letters)


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
    space = [lengths[name] for name in SPACE[3] if name in lengths]
    ndim = len(space)
    shape = check_image_shape((*space, lengths.get("C", 1)), part.source.dtype, location, ndim)
    order = [part.axes.index(name) for name in "ZYXCS" if name in part.axes]

    def read(window: Window) -> NDArray[Any]:
        array = part.read_window(*window[-2:], *window[:-2]).transpose(order)
        return array.reshape(*array.shape[:ndim], shape[-1])

    return Source(location, kind, shape, part.source.dtype, CHUNKS[ndim], read, digest)


def _kept_samples(source: Source, part: Part, selection: Selection, keep_color: bool) -> list[int]:
    """Return the channels that `read_image` keeps: none of an opacity that is opaque, one of colors that are gray.

    The image is read until both are known: of a color picture its first band, of a gray one all.
    """
    n = source.n_channels
    if "S" not in part.axes or selection.channel is not None or source.dtype.kind not in "iu":
        return list(range(n))
    opaque = np.iinfo(source.dtype).max
    is_opaque = part.source.has_opacity
    is_gray = not keep_color and n - is_opaque == 3
    for place in source.bands():
        if not is_opaque and not is_gray:
            break
        band = source.read_band(place)
        is_opaque = is_opaque and bool(np.all(band[..., -1] == opaque))
        is_gray = is_gray and all(np.array_equal(band[..., 0], band[..., i]) for i in (1, 2))
    left = n - 1 if is_opaque else n
    return [0] if is_gray and left == 3 else list(range(left))


def _choose_samples(source: Source, samples: list[int]) -> Source:
    if samples == list(range(source.n_channels)):
        return source
    read = source.read_window
    return replace(
        source,
        shape=(*source.shape[:-1], len(samples)),
        read_window=lambda window: np.ascontiguousarray(read(window)[..., samples]),
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
