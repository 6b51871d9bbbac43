"""An image of any size of which windows are read, in this process or, by its spec, in another one."""

from __future__ import annotations

import hashlib
import json
import math
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


# Places of a part of an image: a slice along each axis, channels aside.
Window = tuple[slice, ...]
# Axes of images and of volumes, channels aside.
AXES = {2: "(rows, columns{})", 3: "(planes, rows, columns{})"}


@dataclass(frozen=True)
class PixelSize:
    """Length of a pixel, its unit and the place of the first pixel, each along every axis: (planes,) rows, columns.

    Units have the names of OME-Zarr, such as "micrometer"; None where the image gives none.
    """

    scale: tuple[float, ...]
    units: tuple[str | None, ...]
    origin: tuple[float, ...]

    @classmethod
    def of(cls, scale: Sequence[float], unit: str | None = "micrometer") -> PixelSize:
        """Return a size with one unit along all axes."""
        return cls(tuple(scale), (unit,) * len(scale), (0.0,) * len(scale))

    def in_micrometers(self) -> tuple[float, ...] | None:
        """Return the length along each axis in micrometers; None if a unit is no length."""
        known = [
            length * MICROMETERS[unit]
            for length, unit in zip(self.scale, self.units, strict=True)
            if unit is not None and unit in MICROMETERS
        ]
        return tuple(known) if len(known) == len(self.scale) else None


@dataclass(frozen=True, eq=False)
class Source:
    """An image of which windows are read.

    Parameters
    ----------
    location : str
        Path or URL, or a phrase for an array, to begin sentences with.
    kind : str
        "file", "zarr", "memmap" or "array".
    shape : tuple of int
        Rows, columns and channels; of a volume planes before them.
    dtype : dtype
        Type of its numbers.
    chunks : tuple of int
        Pixels along each axis that are stored together: windows of multiples of these are read without waste.
    read_window : callable
        Returns the part at a `Window`, whose slices have start and stop, with its channels.
    find_digest : callable
        Returns a hash that changes with the image: of metadata, sizes and times of files, or of the numbers.
    pixel_size : PixelSize, optional
        Size of a pixel.
    group, version : str, optional
        For OME-Zarr the path or URL of the image's group, and its version, "0.4" or "0.5".
    steps : tuple of tuple of int, optional
        For OME-Zarr the resolutions after the first: along each axis the pixels of the one before that it has one of.
    stored : dict, optional
        What `spec` returns.
    """

    location: str
    kind: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...]
    read_window: Callable[[Window], NDArray[Any]]
    find_digest: Callable[[], str]
    pixel_size: PixelSize | None = None
    group: str | None = None
    version: str | None = None
    steps: tuple[tuple[int, ...], ...] | None = None
    stored: JsonObject | None = None
    close: Callable[[], None] = lambda: None
    _digests: list[str] = field(default_factory=list, repr=False)

    @property
    def ndim(self) -> int:
        """Axes without channels: 2 of an image, 3 of a volume."""
        return len(self.shape) - 1

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return self.shape[-1]

    def read(self, *window: slice) -> NDArray[Any]:
        """Return the part at a window, channels last; it must lie inside the image.

        Raises
        ------
        ValueError
            If a number is NaN or infinite, or the window is not inside.
        InvalidFileError, OSError
            If a chunk is damaged, or the image is no longer where it was.
        """
        array = self.read_window(tuple(_bounds(one, n) for one, n in zip(window, self.shape[:-1], strict=True)))
        _checks.check_finite(array, self.location)
        return array

    def __getitem__(self, key: Window) -> NDArray[Any]:
        """Return the part at a window."""
        return self.read(*key)

    def read_band(self, band: slice) -> NDArray[Any]:
        """Return whole rows, or whole planes of a volume."""
        return self.read(band, *(slice(0, n) for n in self.shape[1:-1]))

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
        """Return slices of rows, or of planes of a volume, whole chunks each, of about `BAND_BYTES`."""
        row = math.prod(self.shape[1:]) * self.dtype.itemsize
        height = max(BAND_BYTES // max(row * self.chunks[0], 1), 1) * self.chunks[0]
        return [slice(start, min(start + height, self.shape[0])) for start in range(0, self.shape[0], height)]


def _bounds(window: slice, n: int) -> slice:
    start, stop, step = window.indices(n)
    is_inside = (window.start or 0) == start and (window.stop is None or window.stop == stop)
    if step != 1 or not is_inside or stop < start:
        raise ValueError(f"a window must lie inside the image's {n} pixels; got {window}.")
    return slice(start, stop)


def check_image_shape(shape: Sequence[int], dtype: np.dtype[Any], name: str, ndim: int) -> tuple[int, ...]:
    """Return the shape of an image of ``ndim`` axes, or of them and one of channels, with its number of channels."""
    if dtype.kind not in "iuf":
        raise TypeError(f"{name} must be an array of numbers; got dtype {dtype}.")
    if len(shape) not in (ndim, ndim + 1):
        expected = AXES[ndim]
        raise ValueError(
            f"{name} must have shape {expected.format('')} or {expected.format(', channels')}; got {tuple(shape)}"
            f"{_advise(shape, ndim)}."
        )
    if not math.prod(shape):
        raise ValueError(f"{name} must have at least one pixel; got shape {tuple(shape)}.")
    return tuple(map(int, (*shape, 1)[: ndim + 1]))


def _advise(shape: Sequence[int], ndim: int) -> str:
    if ndim == 2 and len(shape) == 4:
        return "; volumes are for segmenters with ndim=3"
    return ", a plane; planes are for segmenters with ndim=2" if ndim == 3 and len(shape) == 2 else ""


def digest_of_pixels(source: Source) -> str:
    """Return a hash of all numbers of an image, which is read in bands."""
    digest = hashlib.sha256()
    for band in source.bands():
        digest.update(np.ascontiguousarray(source.read_band(band)).data)
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

    def write(beside: Path) -> None:
        copy = np.lib.format.open_memmap(str(beside), "w+", source.dtype, source.shape)
        for band in source.bands():
            copy[band] = source.read_band(band)
        copy.flush()

    files.write_atomically(path, write, through_links=False)
    return open_source(np.load(path, mmap_mode="r"), ndim=source.ndim, pixel_size=source.pixel_size)
