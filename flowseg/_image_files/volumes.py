"""Volumes: stacks whose planes are named Z, by the file or by the caller."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from flowseg import _checks
from flowseg._image_files.advice import advise_on_volume
from flowseg._image_files.opening import open_image
from flowseg._image_files.reading import read_pixels
from flowseg._image_files.selection import ALL, Part, Selection, choose_part
from flowseg._image_files.source import Source
from flowseg._system import memory
from flowseg._system.invalid_file import InvalidFileError

StrPath = str | os.PathLike[str]

# Axes of a volume, sorted; samples of color count as channels.
VOLUME, CHANNELS = ("X", "Y", "Z"), ("C", "X", "Y", "Z")


def read_volume(
    path: StrPath,
    *,
    axes: str | None = None,
    channel: int | Sequence[int] | None = None,
    t: int | None = None,
    scene: int | str | None = None,
    keep_color: bool = False,
) -> NDArray[Any]:
    """Read a volume.

    Parameters
    ----------
    path : path
        File or folder, as for `read_image`.
    axes : str, optional
        Names of the axes, in the order of the array in the file, if the file names none or wrong ones: Z planes, T
        time, C channels, Y rows, X columns, S samples of color. For example "ZYX" for a stack of pages without names.
    channel : int or sequence of int, optional
        Channels to take, the first is 0; all by default.
    t : int, optional
        Time to take of a series of volumes, the first is 0.
    scene : int or str, optional
        Image to take of a file that holds several, as for `read_image`. Levels of a pyramid are one image, of which the
        largest is read.
    keep_color : bool
        Whether colors that are equal everywhere keep their three channels, as for `read_image`.

    Returns
    -------
    volume : ndarray, shape (planes, rows, columns) or (planes, rows, columns, channels)
        Numbers as in the file, channels last; rows and columns as `read_image` has them.

    Raises
    ------
    ImportError
        If the file has a vendor's format and the package that reads it is not installed; the message names it.
    MemoryError
        If the volume does not fit into the memory that this process may use.
    InvalidFileError
        If the file cannot be read as an image, lacks pixels or a file of its set, or is no volume: one plane, a series
        of times, or a stack whose axis has no name.
    ValueError
        If the file holds several images and `scene` is not given, or lacks the selected part.

    See Also
    --------
    read_spacing : the distance between its pixels.
    read_masks : a label volume, with ``ndim=3``.

    Notes
    -----
    A stack of planes and a series of times look alike. That is why the axis of planes must be called Z, by the file
    (OME-TIFF, slices of ImageJ, OME-Zarr, formats of vendors) or by `axes`.

    Examples
    --------
    >>> import numpy as np
    >>> import tifffile
    >>> from flowseg import io
    >>> stack = np.zeros((5, 2, 30, 40), dtype=np.uint16)
    >>> tifffile.imwrite("stack.ome.tif", stack, metadata={"axes": "ZCYX"})
    >>> io.read_volume("stack.ome.tif").shape
    (5, 30, 40, 2)
    >>> io.read_volume("stack.ome.tif", channel=0).shape
    (5, 30, 40)
    """
    _checks.check_flag(keep_color, "keep_color")
    with open_image(Path(path), scene) as source:
        part = choose_volume(source, Selection(axes, channel, None, t))
        return read_pixels(part, as_stored=channel is not None, keep_color=keep_color)


def choose_volume(source: Source, selection: Selection) -> Part:
    """Return the part of a file that is selected, which must be one volume, at most with channels."""
    part = choose_part(source, selection, keep="Z")
    if tuple(sorted(part.axes.replace("S", "C"))) not in (VOLUME, CHANNELS):
        raise InvalidFileError(
            f"{source.path} must be a volume (planes, rows, columns); it has axes {part.axes} of shape {part.shape}. "
            f"{advise_on_volume(part.axes)}"
        )
    return part


def read_volume_shape(path: StrPath, selection: Selection = ALL) -> tuple[int, int, int]:
    """Return planes, rows and columns of a volume; no pixel is read."""
    with open_image(Path(path), selection.scene) as source:
        return _shape_of(choose_volume(source, selection))


def check_volume_memory(path: StrPath, bytes_per_voxel: int, selection: Selection = ALL) -> None:
    """Refuse a volume that does not fit into memory together with some bytes for each of its voxels."""
    with open_image(Path(path), selection.scene) as source:
        part = choose_volume(source, selection)
        shape = _shape_of(part)
        n_bytes = math.prod(part.shape) * source.dtype.itemsize + math.prod(shape) * bytes_per_voxel
        memory.check_image(source.path, shape, n_bytes)


def name_stack(path: StrPath, selection: Selection = ALL) -> str:
    """Return the names of the axes that an image has beside rows and columns, channels aside.

    For example "" of an image, "Z" of a volume, "T" of a series of times, "TZ" of a series of volumes; other letters of
    axes that the file does not name.
    """
    with open_image(Path(path), selection.scene) as source:
        return "".join(name for name in choose_part(source, selection).axes if name not in "YXCS")


def _shape_of(part: Part) -> tuple[int, int, int]:
    planes, rows, columns = (part.shape[part.axes.index(name)] for name in "ZYX")
    return planes, rows, columns
