"""Planes of one series of a TIFF, each read without the rest."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from flowseg._image_files.ome_sets import check_partner, missing_plane
from flowseg._image_files.source import EVERYTHING, Index, pick, picked_shape
from flowseg._image_files.tiff_limits import check_parts
from flowseg._image_files.tiff_windows import WINDOW_AXES, WindowReader
from flowseg._system import memory
from flowseg._system.invalid_file import InvalidFileError, StoredFile

Transform = Callable[[NDArray[Any]], NDArray[Any]]


class Planes:
    """The pages of a series: its leading axes number them, its other axes lie within each.

    Parameters
    ----------
    stored : StoredFile
        The TIFF.
    file, series : tifffile's objects
        The opened file and the series of it.
    number : int
        Number of the series among the images of the file.
    transform : callable, optional
        Turns values as stored into values as viewers show them.
    """

    def __init__(
        self, stored: StoredFile, file: tifffile.TiffFile, series: Any, number: int, transform: Transform | None
    ) -> None:
        self.stored, self.file, self.series, self.number, self.transform = stored, file, series, number, transform
        with stored.parsing():
            shape, page_shape, axes = tuple(series.shape), tuple(series.keyframe.shape), str(series.axes)
            self.stored_dtype, n_stored = np.dtype(series.dtype), len(series)
            self.is_contiguous = series.dataoffset is not None and series.transform is None
        size = math.prod(page_shape)
        if not size:
            raise InvalidFileError(f"{stored.path} must have rows and columns; it has shape {shape}.")
        starts = [i for i in range(len(shape) + 1) if math.prod(shape[i:]) == size]
        n_pages = math.prod(shape) // size
        if not starts or not (self.is_contiguous or n_pages == n_stored):
            raise InvalidFileError(
                f"{stored.path} must hold the {n_pages} planes that its metadata describe, shape {shape}; it has "
                f"{n_stored}."
            )
        self.leading, self.page_shape, self.page_axes = shape[: starts[0]], shape[starts[0] :], axes[starts[0] :]
        example = np.zeros(page_shape if transform else 0, self.stored_dtype)
        seen = example if transform is None else transform(example)
        self.dtype: np.dtype[Any] = np.dtype(np.uint8) if seen.dtype == bool else seen.dtype.newbyteorder("=")
        has_colors = transform is not None and seen.ndim > example.ndim
        self.axes = axes + ("S" if has_colors else "")
        self.shape = (*shape, seen.shape[-1]) if has_colors else shape

    def read(self, index: Index) -> NDArray[Any]:
        """Return a part of the series."""
        n = len(self.leading)
        shape = picked_shape(self.shape, index)
        memory.check_image(self.stored.path, shape, math.prod(shape) * self.dtype.itemsize)
        numbers = [
            range(length)[i] if isinstance(i, slice) else [i] if isinstance(i, int) else i
            for length, i in zip(self.leading, index[:n], strict=True)
        ]
        places = list(product(*numbers))
        array = np.empty((len(places), *picked_shape(self.shape[n:], index[n:])), self.dtype)
        for page, place in zip(array, places, strict=True):  # one page at a time beside the result
            page[...] = self._read_page(place, index[n:])
        return array.reshape(shape)

    def _read_page(self, place: tuple[int, ...], index: Index) -> NDArray[Any]:
        plane = int(np.ravel_multi_index(place, self.leading)) if place else 0
        if self.is_contiguous:
            page = self._map_page(plane)
        else:
            window = self._window(index)
            page = self._decode_page(plane) if window is None else self._decode_window(plane, *window)
            if window is not None:
                index = tuple(EVERYTHING if name in "YX" else i for name, i in zip(self._seen_axes, index, strict=True))
        if self.transform is not None:
            page = self.transform(page)
        return np.asarray(pick(page, index))

    @property
    def _seen_axes(self) -> str:
        return self.axes[len(self.leading) :]

    def _window(self, index: Index) -> tuple[slice, slice] | None:
        """Return the rows and columns of a part that needs less than a page; None where pages are read whole."""
        if self.page_axes not in WINDOW_AXES:
            return None
        slices = []
        for name in "YX":
            place, n = index[self._seen_axes.index(name)], self.page_shape[self.page_axes.index(name)]
            if not isinstance(place, slice) or place.step not in (None, 1):
                return None
            start, stop, _ = place.indices(n)
            slices.append(slice(start, max(start, stop)))
        is_whole = all(
            n.stop - n.start == self.page_shape[self.page_axes.index(a)] for n, a in zip(slices, "YX", strict=True)
        )
        return None if is_whole else (slices[0], slices[1])

    def _map_page(self, plane: int) -> NDArray[Any]:
        dtype = self.stored_dtype.newbyteorder(self.file.byteorder)
        n_bytes = math.prod(self.page_shape) * dtype.itemsize
        _check_whole([self.series.dataoffset], self.stored.path)
        offset = self.series.dataoffset + plane * n_bytes
        if offset < 0 or offset + n_bytes > os.path.getsize(self.stored.path):
            raise InvalidFileError(
                f"{self.stored.path} must hold all of its pixels; it is cut short. Copy or export it again."
            )
        return np.memmap(self.stored.path, dtype, "r", offset, self.page_shape)

    def _decode_page(self, plane: int) -> NDArray[Any]:
        page, partner = self._find_page(plane)
        _check_segments(page, partner)
        _check_compression(page, partner)
        check_parts(page, partner)
        with partner.parsing(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*reading array from closed file")
            array = np.asarray(self.series.asarray(key=plane))
        if array.size != math.prod(self.page_shape):
            raise partner.invalid(f"a page of shape {array.shape} instead of {self.page_shape}")
        return array.reshape(self.page_shape)

    def _decode_window(self, plane: int, rows: slice, columns: slice) -> NDArray[Any]:
        page, partner = self._find_page(plane)
        _check_compression(page, partner)
        return WindowReader(page, partner).read(rows, columns)

    def _find_page(self, plane: int) -> tuple[Any, StoredFile]:
        """Return a page and the file that holds it."""
        with self.stored.parsing():
            page = self.series[plane]
            metadata = self.file.ome_metadata or ""
        if page is None:
            raise missing_plane(self.stored, metadata, self.number, plane)
        partner = StoredFile(Path(page.parent.filehandle.path), self.stored.kind)
        if page.parent is not self.file:
            check_partner(self.stored, metadata, self.number, plane, partner.path)
        return page, partner


def _check_whole(places: list[Any], path: Path) -> None:
    """Refuse offsets and lengths that a damaged tag makes floats or text."""
    odd = [place for place in places if not isinstance(place, int)]
    if odd:
        raise InvalidFileError(f"{path} must give the places of its pixels in whole numbers; got {odd[0]!r}.")


def _check_segments(page: Any, stored: StoredFile) -> None:
    """Refuse strips and tiles that lie beyond the end of the file, or nowhere."""
    path = stored.path
    size = os.path.getsize(path)
    with stored.parsing():
        places = list(zip(page.dataoffsets, page.databytecounts, strict=False))
        n_expected = 1 if page.is_contiguous else math.prod(page.keyframe.chunked)
        is_tiled = page.keyframe.is_tiled
    _check_whole([number for place in places for number in place], path)
    if any(offset + count > size for offset, count in places):
        raise InvalidFileError(f"{path} must hold all of its pixels; it is cut short. Copy or export it again.")
    absent = sum(count == 0 or offset == 0 for offset, count in places)
    absent += max(n_expected - len(places), 0)
    if absent and is_tiled and len(places) == n_expected and absent < n_expected:
        warnings.warn(
            f"{path} holds no pixels for {absent} of its {n_expected} tiles; they are read as 0.", stacklevel=2
        )
    elif absent:
        raise InvalidFileError(
            f"{path} must hold all of its pixels; of its {n_expected} strips or tiles {absent} are absent."
        )


def _check_compression(page: Any, stored: StoredFile) -> None:
    """Refuse compressions that the installed tifffile and imagecodecs cannot decode."""
    with stored.parsing():
        compression, is_contiguous = page.keyframe.compression, page.is_contiguous
        name, code = getattr(compression, "name", compression), int(compression)
    if not is_contiguous and code not in tifffile.TIFF.DECOMPRESSORS:
        raise InvalidFileError(
            f"{stored.path} must have a compression that imagecodecs reads; it has {name}. Update with: pip install "
            "--upgrade imagecodecs tifffile; or save it with LZW."
        )
