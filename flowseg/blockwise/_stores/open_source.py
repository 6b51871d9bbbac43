"""Open an image of any size, whatever holds it."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np

from flowseg._image_files.ome_zarr.nodes import StorageOptions, is_zarr
from flowseg._image_files.selection import ALL, Selection
from flowseg._segmenters.inputs import MANY_CHANNELS
from flowseg.blockwise._stores.array_source import array_source, open_memmap
from flowseg.blockwise._stores.file_source import file_source, zarr_array_source, zarr_source
from flowseg.blockwise._stores.source import JsonObject, PixelSize, Source


def open_source(
    image: Any,
    selection: Selection = ALL,
    *,
    ndim: int = 2,
    n_channels: int | None = None,
    keep_color: bool = False,
    pixel_size: PixelSize | None = None,
    storage_options: StorageOptions | None = None,
) -> Source:
    """Open an image or a volume.

    Parameters
    ----------
    image : path, URL, zarr.Array, dask array, ndarray or Source
        Path of an image file or of an OME-Zarr image or array; URL of fsspec of one of the latter two; or an array: of
        shape (rows, columns) or (rows, columns, channels), for a volume with planes first, or a zarr.Array whose axes
        are named.
    selection : Selection
        Axes, channel, plane, time and scene to read, for a path, a URL or a zarr.Array.
    ndim : int
        Axes without channels: 2 for an image, 3 for a volume, whose planes must be named Z in a file or a zarr.Array.
    n_channels : int, optional
        Channels that the image must have; by default any number. Of a color picture whose channels are equal
        everywhere one is kept, as in `flowseg.io.read_image`, unless this is above 1.
    keep_color : bool
        Whether all channels of such a picture are kept.
    pixel_size : PixelSize, optional
        Size of a pixel of an array, or one that replaces the size in the file.
    storage_options : dict, optional
        Options of fsspec for a URL.

    Raises
    ------
    ImportError
        If the image is zarr and the extra ``large`` is not installed.
    InvalidFileError, FileNotFoundError, TypeError, ValueError
        If it is no image, has axes that are unknown or more than an image has, or other channels than expected.
    """
    if ndim == 3 and selection.z is not None:
        raise ValueError(f"z must be None for a volume, of which all planes are taken; got {selection.z}.")
    if isinstance(image, Source):
        source = image
    else:
        source = _open(image, selection, ndim, keep_color or (n_channels or 1) > 1, pixel_size, storage_options)
    try:
        _check_axes(source, ndim, n_channels)
    except ValueError:
        source.close()
        raise
    return source


def _check_axes(source: Source, ndim: int, n_channels: int | None) -> None:
    """Raise ValueError for another number of axes or channels."""
    if source.ndim != ndim:
        kinds = {2: "an image (rows, columns)", 3: "a volume (planes, rows, columns)"}
        raise ValueError(
            f"{source.location} must be {kinds[ndim]}; it is {kinds[source.ndim]}, shape {source.shape[:-1]}."
        )
    found = source.n_channels
    if n_channels is None or found == n_channels:
        return
    is_array = source.kind in ("array", "memmap")
    advice = " Choose with channel."
    if is_array and ndim == 2 and found > MANY_CHANNELS:
        advice = " If it is a volume (planes, rows, columns), use a segmenter with ndim=3."
    raise ValueError(
        f"{source.location} must have {n_channels} channel{'s' * (n_channels != 1)}; it has {found}, shape "
        f"{source.shape}.{advice}"
    )


def _open(
    image: Any,
    selection: Selection,
    ndim: int,
    keep_color: bool,
    size: PixelSize | None,
    options: StorageOptions | None,
) -> Source:
    if isinstance(image, str | os.PathLike):
        location = os.fspath(image)
        if is_zarr(location):
            return _with_size(zarr_source(location, selection, ndim, options), size)
        return _with_size(file_source(location, selection, ndim, keep_color), size)
    if _is_of(image, "zarr") and hasattr(image, "store"):
        if not hasattr(image, "chunks"):
            raise TypeError("image must be a zarr.Array; got a zarr.Group. Give one of its arrays, or its path.")
        return _with_size(zarr_array_source(image, selection, ndim), size)
    if selection != ALL:
        raise ValueError(f"axes, channel, z, t and scene are for files; image is {type(image).__name__}.")
    if isinstance(image, np.ndarray) or _is_of(image, "dask"):
        return array_source(image, size, ndim)
    raise TypeError(f"image must be a path, a zarr.Array, a dask array or a NumPy array; got {type(image).__name__}.")


def open_spec(spec: JsonObject) -> Source:
    """Open the image of a spec, as `Source.spec` returns it, in another process or on another machine."""
    kind = spec.get("kind")
    if kind == "memmap":
        return open_memmap(spec)
    chosen = spec["selection"]
    if not isinstance(chosen, dict):
        raise ValueError(f"the spec of an image must have a selection; got {chosen!r}.")
    selection, ndim = Selection(**chosen), int(str(spec["ndim"]))  # type: ignore[arg-type]
    if kind == "zarr":
        options = spec.get("options")
        return zarr_source(str(spec["location"]), selection, ndim, options if isinstance(options, dict) else None)
    samples = spec["samples"]
    if kind != "file" or not isinstance(samples, list):
        raise ValueError(f"the spec of an image must have a kind; got {spec!r}.")
    return file_source(str(spec["path"]), selection, ndim, samples=[int(str(n)) for n in samples])


def _is_of(image: Any, package: str) -> bool:
    return type(image).__module__.partition(".")[0] == package


def _with_size(source: Source, size: PixelSize | None) -> Source:
    return source if size is None else replace(source, pixel_size=size)
