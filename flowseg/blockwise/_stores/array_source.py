"""Arrays as sources of images: NumPy arrays, memory maps, dask arrays."""

from __future__ import annotations

import math
import mmap
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._system.invalid_file import InvalidFileError
from flowseg.blockwise._stores.source import (
    JsonObject,
    PixelSize,
    Source,
    Window,
    check_image_shape,
    digest_of_json,
    digest_of_pixels,
    stat_of,
)

# Pixels along each axis to read at a time of images and volumes that are not cut into chunks.
CHUNKS = {2: (1024, 1024), 3: (1, 1024, 1024)}


def array_source(image: Any, pixel_size: PixelSize | None, ndim: int) -> Source:
    """Return an array with ``ndim`` axes, or with one more for channels, as a source."""
    dtype = np.dtype(image.dtype)
    shape = check_image_shape(image.shape, dtype, "image", ndim)

    def read(window: Window) -> NDArray[Any]:
        part = np.asarray(image[window])
        return part.reshape(*part.shape[:ndim], shape[-1]).astype(dtype.newbyteorder("="), copy=False)

    if isinstance(image, np.memmap):
        place = _place_of(image)
        if place is not None:
            path = str(place["path"])
            return Source(
                path,
                "memmap",
                shape,
                dtype.newbyteorder("="),
                CHUNKS[ndim],
                _watching(read, path, _end_of(place)),
                lambda: digest_of_json([place, stat_of(path)]),
                pixel_size,
                stored={**place, "ndim": ndim, **spec_of_pixel_size(pixel_size)},
            )
    chunks = _chunks_of(image, ndim)
    source: Source = Source(
        "image", "array", shape, dtype.newbyteorder("="), chunks, read, lambda: digest_of_pixels(source), pixel_size
    )
    return source


def open_memmap(spec: JsonObject) -> Source:
    """Return the memory map that a spec describes."""
    path, shape = str(spec["path"]), spec["shape"]
    if not isinstance(shape, list) or not isinstance(spec["offset"], int) or not isinstance(spec["ndim"], int):
        raise ValueError(f"a memory map must have a shape, an offset and axes; got {spec}.")
    sizes = tuple(int(str(n)) for n in shape)
    dtype = np.dtype(str(spec["dtype"]))
    if not os.path.isfile(path) or os.path.getsize(path) < spec["offset"] + math.prod(sizes) * dtype.itemsize:
        raise InvalidFileError(f"{path} must hold an array of shape {sizes} and {dtype}; it does not.")
    image = np.memmap(path, dtype, "r", spec["offset"], sizes, "F" if spec["order"] == "F" else "C")
    return array_source(image, pixel_size_of_spec(spec), spec["ndim"])


def _place_of(image: np.memmap[Any, Any]) -> JsonObject | None:
    """Return where a memory map lies in its file; None for a part of one and for one that is not the file's."""
    path = image.filename
    is_whole = isinstance(image.base, mmap.mmap) and image.mode != "c"
    if path is None or not is_whole or not (image.flags.c_contiguous or image.flags.f_contiguous):
        return None
    if image.mode != "r":
        image.flush()
    return {
        "path": os.path.abspath(path),
        "offset": int(image.offset),
        "shape": [int(n) for n in image.shape],
        "dtype": image.dtype.str,
        "order": "C" if image.flags.c_contiguous else "F",
    }


def _end_of(place: JsonObject) -> int:
    shape, offset = place["shape"], place["offset"]
    n = math.prod(int(str(n)) for n in shape) if isinstance(shape, list) else 0
    return int(str(offset)) + n * np.dtype(str(place["dtype"])).itemsize


def _watching(read: Any, path: str, n_bytes: int) -> Any:
    """Return a reader of windows that refuses a file that was cut short: reading beyond its end ends the process."""

    def read_watched(window: Window) -> NDArray[Any]:
        if not os.path.exists(path):
            raise FileNotFoundError(f"{path} must stay in place while it is in use; it has vanished.")
        if os.path.getsize(path) < n_bytes:
            raise InvalidFileError(f"{path} must hold {n_bytes} bytes; it has been cut to {os.path.getsize(path)}.")
        part: NDArray[Any] = read(window)
        return part

    return read_watched


def _chunks_of(image: Any, ndim: int) -> tuple[int, ...]:
    """Return the pixels along each axis of the largest chunks of an array, which may be of dask."""
    chunks = getattr(image, "chunks", None)
    if not isinstance(chunks, tuple) or len(chunks) < ndim:
        return CHUNKS[ndim]
    largest = (max(n) if isinstance(n, tuple) else int(n) for n in chunks[:ndim])
    return tuple(max(int(n), 1) for n in largest)


def spec_of_pixel_size(size: PixelSize | None) -> JsonObject:
    """Return a pixel size as a part of a spec."""
    if size is None:
        return {}
    return {"scale": list(size.scale), "units": list(size.units), "origin": list(size.origin)}


def pixel_size_of_spec(spec: JsonObject) -> PixelSize | None:
    """Return the pixel size of a spec."""
    scale, units, origin = spec.get("scale"), spec.get("units"), spec.get("origin")
    if not isinstance(scale, list) or not isinstance(units, list) or not isinstance(origin, list):
        return None
    lengths, place = (tuple(float(str(n)) for n in numbers) for numbers in (scale, origin))
    return PixelSize(lengths, tuple(None if unit is None else str(unit) for unit in units), place)
