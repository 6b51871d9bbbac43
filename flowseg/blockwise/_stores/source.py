"""An image of any size of which windows are read, in this process or, by its spec, in another one."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._image_files.ome_zarr.images import MICROMETERS
from flowseg._system import files

# A value of JSON, and an object of it.
Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]
JsonObject = dict[str, Json]
# Bytes that are read at a time where a whole image is passed over.
BAND_BYTES = 1 << 26


@dataclass(frozen=True)
class PixelSize:
    """Length of a pixel, its unit and the place of the first pixel, each along rows and columns.

    Units have the names of OME-Zarr, such as "micrometer"; None where the image gives none.
    """

    scale: tuple[float, float]
    units: tuple[str | None, str | None] = ("micrometer", "micrometer")
    origin: tuple[float, float] = (0.0, 0.0)

    def in_micrometers(self) -> tuple[float, float] | None:
        """Return height and width in micrometers; None if a unit is no length."""
        if self.units[0] not in MICROMETERS or self.units[1] not in MICROMETERS:
            return None
        return self.scale[0] * MICROMETERS[self.units[0]], self.scale[1] * MICROMETERS[self.units[1]]


@dataclass(frozen=True, eq=False)
class Source:
    """An image of which windows are read.

    Parameters
    ----------
    location : str
        Path or URL, or a phrase for an array, to begin sentences with.
    kind : str
        "file", "zarr", "memmap" or "array".
    shape : (int, int, int)
        Rows, columns and channels.
    dtype : dtype
        Type of its numbers.
    chunks : (int, int)
        Rows and columns that are stored together: windows of multiples of these are read without waste.
    read_window : callable
        Returns the window of two slices with start and stop, shape (rows, columns, channels).
    find_digest : callable
        Returns a hash that changes with the image: of metadata, sizes and times of files, or of the numbers.
    pixel_size : PixelSize, optional
        Size of a pixel.
    group, version : str, optional
        For OME-Zarr the path or URL of the image's group, and its version, "0.4" or "0.5".
    n_levels : int, optional
        For OME-Zarr the number of its resolutions.
    stored : dict, optional
        What `spec` returns.
    """

    location: str
    kind: str
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    chunks: tuple[int, int]
    read_window: Callable[[slice, slice], NDArray[Any]]
    find_digest: Callable[[], str]
    pixel_size: PixelSize | None = None
    group: str | None = None
    version: str | None = None
    n_levels: int | None = None
    stored: JsonObject | None = None
    close: Callable[[], None] = lambda: None
    _digests: list[str] = field(default_factory=list, repr=False)

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Return a window, shape (rows, columns, channels); it must lie inside the image.

        Raises
        ------
        ValueError
            If a number is NaN or infinite, or the window is not inside.
        InvalidFileError, OSError
            If a chunk is damaged, or the image is no longer where it was.
        """
        window = (_bounds(rows, self.shape[0]), _bounds(columns, self.shape[1]))
        array = self.read_window(*window)
        _checks.check_finite(array, self.location)
        return array

    def __getitem__(self, key: tuple[slice, ...]) -> NDArray[Any]:
        """Return a window of rows and columns."""
        rows, columns = key
        return self.read(rows, columns)

    def identity(self) -> JsonObject:
        """Return what a resumed run compares: kind, location, shape, dtype and a digest."""
        if not self._digests:
            self._digests.append(self.find_digest())
        shape: list[Json] = list(self.shape)
        return {
            "kind": self.kind,
            "location": self.location,
            "shape": shape,
            "dtype": self.dtype.str,
            "digest": self._digests[0],
        }

    def spec(self) -> JsonObject | None:
        """Return a JSON object with which `open_spec` opens the image in another process; None for one in memory."""
        return None if self.stored is None else {"kind": self.kind, **self.stored}

    def bands(self) -> list[slice]:
        """Return slices of rows, whole chunks each, of about `BAND_BYTES`."""
        row = self.shape[1] * self.shape[2] * self.dtype.itemsize
        height = max(BAND_BYTES // max(row * self.chunks[0], 1), 1) * self.chunks[0]
        return [slice(start, min(start + height, self.shape[0])) for start in range(0, self.shape[0], height)]


def _bounds(window: slice, n: int) -> slice:
    start, stop, step = window.indices(n)
    is_inside = (window.start or 0) == start and (window.stop is None or window.stop == stop)
    if step != 1 or not is_inside or stop < start:
        raise ValueError(f"a window must lie inside the image's {n} pixels; got {window}.")
    return slice(start, stop)


def check_image_shape(shape: Sequence[int], dtype: np.dtype[Any], name: str) -> tuple[int, int, int]:
    """Return rows, columns and channels of (rows, columns) or (rows, columns, channels)."""
    if dtype.kind not in "iuf":
        raise TypeError(f"{name} must be an array of numbers; got dtype {dtype}.")
    if len(shape) not in (2, 3):
        raise ValueError(f"{name} must have shape (rows, columns) or (rows, columns, channels); got {tuple(shape)}.")
    rows, columns, channels = (*shape, 1)[:3]
    if not rows * columns * channels:
        raise ValueError(f"{name} must have at least one pixel; got shape {tuple(shape)}.")
    return int(rows), int(columns), int(channels)


def digest_of_pixels(source: Source) -> str:
    """Return a hash of all numbers of an image, which is read in bands."""
    digest = hashlib.sha256()
    for rows in source.bands():
        digest.update(np.ascontiguousarray(source.read(rows, slice(0, source.shape[1]))).data)
    return digest.hexdigest()


def digest_of_json(document: Any) -> str:
    """Return a hash of a JSON document."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode("ascii")).hexdigest()


def stat_of(path: str | os.PathLike[str]) -> list[int]:
    """Return size and time of change of a file."""
    stat = os.stat(path)
    return [stat.st_size, stat.st_mtime_ns]


def store_copy(source: Source, path: Path) -> Source:
    """Write an image to a ``.npy`` file, band by band and atomically, and return it as it is read from there."""
    from flowseg.blockwise._stores.open_source import open_source

    shape = source.shape

    def write(beside: Path) -> None:
        copy = np.lib.format.open_memmap(str(beside), "w+", source.dtype, shape)
        for rows in source.bands():
            copy[rows] = source.read(rows, slice(0, shape[1]))
        copy.flush()

    files.write_atomically(path, write, through_links=False)
    return open_source(np.load(path, mmap_mode="r"), pixel_size=source.pixel_size)
