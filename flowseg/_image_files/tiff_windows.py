"""Windows of a page of a TIFF: only the strips or tiles that a window touches are read."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from flowseg._image_files.tiff_limits import check_part, read_part
from flowseg._system import memory
from flowseg._system.invalid_file import InvalidFileError, StoredFile

# Axes of pages of which windows can be read: gray, and colors within pixels or in planes.
WINDOW_AXES = ("YX", "YXS", "SYX")
# Compressions by JPEG, whose tables lie beside the tiles.
JPEG = (6, 7, 33007, 34892)


class WindowReader:
    """Reads windows of one page.

    Parameters
    ----------
    page : tifffile.TiffPage or tifffile.TiffFrame
        The page.
    stored : StoredFile
        The file that holds it.
    """

    def __init__(self, page: Any, stored: StoredFile) -> None:
        self.page, self.stored = page, stored
        with stored.parsing():
            keyframe = page.keyframe
            self.is_tiled = bool(keyframe.is_tiled)
            self.rows, self.columns = int(keyframe.imagelength), int(keyframe.imagewidth)
            if self.is_tiled:
                self.height, self.width = int(keyframe.tilelength), int(keyframe.tilewidth)
            else:
                self.height, self.width = min(int(keyframe.rowsperstrip), self.rows), self.columns
            self.samples = int(keyframe.samplesperpixel)
            self.is_planar = self.samples > 1 and int(keyframe.planarconfig) == int(tifffile.PLANARCONFIG.SEPARATE)
            self.dtype, self.axes = np.dtype(keyframe.dtype), str(keyframe.axes)
            self.decode_arguments: dict[str, Any] = {"_fullsize": self.is_tiled}
            if int(keyframe.compression) in JPEG:
                self.decode_arguments |= {"jpegtables": page.jpegtables, "jpegheader": keyframe.jpegheader}

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Return a window, its axes in the order of the page."""
        n_planes, n_contiguous = (self.samples, 1) if self.is_planar else (1, self.samples)
        shape = (n_planes, rows.stop - rows.start, columns.stop - columns.start, n_contiguous)
        part_bytes = self.height * self.width * n_contiguous * self.dtype.itemsize
        memory.check_image(self.stored.path, shape, math.prod(shape) * self.dtype.itemsize + part_bytes)
        window = np.zeros(shape, self.dtype)
        for plane in range(n_planes):
            for i in range(rows.start // self.height, -(-rows.stop // self.height)):
                for j in range(columns.start // self.width, -(-columns.stop // self.width)):
                    part = self._decode(plane, i, j)
                    if part is not None:
                        paste(window[plane], (rows.start, columns.start), part, (i * self.height, j * self.width))
        return window[0, ..., 0] if self.axes == "YX" else window[0] if self.axes == "YXS" else window[..., 0]

    def _decode(self, plane: int, i: int, j: int) -> NDArray[Any] | None:
        """Return a strip or tile, shape (rows, columns, samples); None where the file holds no pixels for it."""
        number = (plane * -(-self.rows // self.height) + i) * -(-self.columns // self.width) + j
        path = self.stored.path
        with self.stored.parsing():
            place = self.page.dataoffsets[number], self.page.databytecounts[number]
        offset, count = place
        if not isinstance(offset, int) or not isinstance(count, int):
            raise InvalidFileError(f"{path} must give the places of its pixels in whole numbers; got {place!r}.")
        if self.is_tiled and (count == 0 or offset == 0):
            return None
        if count <= 0 or offset + count > os.path.getsize(path):
            raise InvalidFileError(f"{path} must hold all of its pixels; it is cut short. Copy or export it again.")
        memory.check(count, path=path)
        check_part(self.page, self.stored, offset, count)
        with self.stored.parsing():
            data = read_part(self.page.parent.filehandle, offset, count)
            segment = self.page.keyframe.decode(data, number, **self.decode_arguments)[0]
        if segment is None or segment.ndim != 4 or segment.shape[0] != 1:
            raise self.stored.invalid("a strip or tile that cannot be decoded")
        return np.asarray(segment[0])


def paste(window: NDArray[Any], start: tuple[int, int], part: NDArray[Any], place: tuple[int, int]) -> None:
    """Copy the part of an image that begins at ``place`` into the window of it that begins at ``start``."""
    inside: list[slice] = []
    outside: list[slice] = []
    for axis in (0, 1):
        low = max(start[axis], place[axis])
        high = min(start[axis] + window.shape[axis], place[axis] + part.shape[axis])
        inside.append(slice(low - start[axis], high - start[axis]))
        outside.append(slice(low - place[axis], high - place[axis]))
    window[tuple(inside)] = part[tuple(outside)]
