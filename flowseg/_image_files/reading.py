"""Images and masks read from files."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._image_files.advice import advise_on_image, advise_on_volume
from flowseg._image_files.labels import as_label_image
from flowseg._image_files.opening import open_image
from flowseg._image_files.selection import ALL, Part, Selection, choose_part
from flowseg._image_files.source import Source
from flowseg._labels.from_rgb import masks_from_rgb
from flowseg._system import memory
from flowseg._system.invalid_file import InvalidFileError

StrPath = str | os.PathLike[str]

# tifffile's names of an axis that the file does not name; of the first also an axis of length 1 is kept.
UNNAMED, PAGES = "Q", "I"
# Axes of label images and label volumes.
NDIMS = (2, 3)


def read_image(
    path: StrPath,
    *,
    axes: str | None = None,
    channel: int | Sequence[int] | None = None,
    z: int | None = None,
    t: int | None = None,
    scene: int | str | None = None,
    keep_color: bool = False,
) -> NDArray[Any]:
    """Read an image.

    Parameters
    ----------
    path : path
        TIFF (OME-TIFF and ImageJ's among them), PNG, JPEG or BMP file; with the extra ``bioio`` also Zeiss
        ``.czi``, Nikon ``.nd2`` and Leica ``.lif``, and other formats for which a reader of bioio is installed; with
        the extra ``large`` also a folder that is OME-Zarr 0.4 or 0.5, or an array of zarr.
    axes : str, optional
        Names of the axes, in the order of the array in the file, if the file names none or wrong ones: T time, Z
        planes, C channels, Y rows, X columns, S samples of color. For example "CYX" for pages that are channels.
    channel : int or sequence of int, optional
        Channels to take, the first is 0; all by default.
    z : int, optional
        Plane to take of a stack, the first is 0.
    t : int, optional
        Time to take of a series, the first is 0.
    scene : int or str, optional
        Image to take of a file that holds several (scenes, positions, series): its number, the first is 0, or its name.
        Levels of a pyramid are one image, of which the largest is read.
    keep_color : bool
        Whether an RGB picture whose three channels are equal everywhere keeps them, as a model of color pictures
        needs. By default it becomes one channel.

    Returns
    -------
    image : ndarray, shape (rows, columns) or (rows, columns, channels)
        Numbers as in the file, channels last. An opacity channel that is opaque everywhere is left out. Rows and
        columns follow the file's orientation tag, 0 is black, and palettes are replaced by their colors.

    Raises
    ------
    ImportError
        If the file has a vendor's format and the package that reads it is not installed; the message names it.
    MemoryError
        If the image does not fit into the memory that this process may use.
    InvalidFileError
        If the file cannot be read as an image, is of another kind than its name, lacks pixels or a file of its set, or
        holds a stack of which no plane is selected.
    ValueError
        If the file holds several images and `scene` is not given, or lacks the selected part.

    Notes
    -----
    Axes are never guessed: the pages of a TIFF without metadata have to be named by `axes`. Of a stack only the
    selected part is read. A palette in files of ImageJ or OME is for display: the values are read.

    Examples
    --------
    >>> import numpy as np
    >>> import tifffile
    >>> from flowseg import io
    >>> stack = np.zeros((5, 2, 30, 40), dtype=np.uint16)
    >>> tifffile.imwrite("stack.ome.tif", stack, metadata={"axes": "ZCYX"})
    >>> io.read_image("stack.ome.tif", z=3).shape
    (30, 40, 2)
    >>> io.read_image("stack.ome.tif", z=3, channel=0).shape
    (30, 40)
    """
    _checks.check_flag(keep_color, "keep_color")
    file = Path(path)
    with open_image(file, scene) as source:
        part = choose_one_image(source, Selection(axes, channel, z, t))
        return read_pixels(part, as_stored=channel is not None, keep_color=keep_color)


def read_pixels(part: Part, *, as_stored: bool, keep_color: bool) -> NDArray[Any]:
    """Read an image or a volume, channels last.

    Unless channels are wanted as they are stored, an opacity of full strength is left out, and equal colors become one.
    """
    array = part.read()
    array = array.transpose([part.axes.index(name) for name in "ZYXCS" if name in part.axes])
    if as_stored or "S" not in part.axes or not np.issubdtype(array.dtype, np.integer):
        return array
    if part.source.has_opacity and np.all(array[..., -1] == np.iinfo(array.dtype).max):
        array = _without_last(array)
    return array if keep_color else _as_gray(array)


def read_masks(
    path: StrPath,
    *,
    axes: str | None = None,
    channel: int | None = None,
    z: int | None = None,
    t: int | None = None,
    scene: int | str | None = None,
    ndim: int | None = None,
) -> NDArray[Any]:
    """Read a label image, a label volume, or an annotation with one color per object.

    Parameters
    ----------
    path : path
        File as for `read_image`, but for JPEG, which changes labels. A color image is taken as a colored annotation
        (see `masks_from_rgb`), an image with a palette as a label image of the palette's indices.
    axes, channel, z, t, scene : optional
        Names of the axes and the part to read, as for `read_image`.
    ndim : {2, 3}, optional
        Number of axes that the masks must have: 2 of an image, 3 of a volume; by default either. A stack is read as a
        volume if its axis is Z, or has no name in the file: times are refused.

    Returns
    -------
    masks : ndarray of int, shape (rows, columns) or (planes, rows, columns)
        Numbers as in the file, 0 is background; whole numbers that are stored as floats become integers. Rows and
        columns follow the file's orientation tag. An opacity channel is left out.

    Raises
    ------
    InvalidFileError
        If the file cannot be read or holds no label image.
    TypeError, ValueError
        If the file holds several images and `scene` is not given, or lacks the selected part; or if `ndim` is another
        number.

    See Also
    --------
    read_volume : the image of a volume.

    Notes
    -----
    Writers of TIFF tag a stack of three or four planes as colors in planes. It is read as a stack, unless it has 8 bits
    and the file does not hold the shape of the written array: then `axes` must be "ZYX", a stack, or "SYX", colors. The
    values are those stored: a 0 that is tagged as white is background, too.

    Examples
    --------
    >>> from flowseg import io
    >>> io.write_masks("cells.tif", [[0, 1], [300, 300]])
    >>> io.read_masks("cells.tif")
    array([[  0,   1],
           [300, 300]], dtype=uint16)
    """
    file = Path(path)
    if file.suffix.lower() in (".jpg", ".jpeg"):
        raise InvalidFileError(
            f"{file} must not be a JPEG file: JPEG changes labels and colors. Save masks as TIFF or PNG."
        )
    if ndim is not None and ndim not in NDIMS:
        raise ValueError(f"ndim must be 2, 3 or None (either); got {ndim!r}.")
    array, names = read_labels(file, Selection(axes, channel, z, t, scene), ndim)
    with memory.naming(file):
        if not names.endswith("S"):
            return as_label_image(array, str(path))
        if array.dtype.kind not in "iu" or array.ndim != 3:
            raise InvalidFileError(
                f"{path} must be one picture with integer colors; it has {array.dtype} of shape {array.shape}."
            )
        return masks_from_rgb(array)


def read_shape(path: StrPath, selection: Selection = ALL) -> tuple[int, int]:
    """Return rows and columns of an image, or of the planes of a stack, as `read_image` does; no pixel is read."""
    with open_image(Path(path), selection.scene) as source:
        part = choose_part(source, selection)
        return part.n_rows, part.n_columns


def check_image_memory(path: StrPath, bytes_per_pixel: int, selection: Selection = ALL) -> None:
    """Refuse an image that does not fit into memory together with some bytes for each of its pixels."""
    with open_image(Path(path), selection.scene) as source:
        part = choose_part(source, selection)
        n_pixels = part.n_rows * part.n_columns
        n_channels = math.prod(n for n, name in zip(part.shape, part.axes, strict=True) if name in "CS")
        n_bytes = n_pixels * (n_channels * source.dtype.itemsize + bytes_per_pixel)
        memory.check_image(source.path, (part.n_rows, part.n_columns), n_bytes)


def choose_one_image(source: Source, selection: Selection) -> Part:
    """Return the part of a file that is selected, which must be one image with rows and columns, at most channels."""
    part = choose_part(source, selection)
    if sorted(part.axes.replace("S", "C")) not in (["X", "Y"], ["C", "X", "Y"]):
        raise InvalidFileError(
            f"{source.path} must be one image; it has axes {part.axes} of shape {part.shape}. "
            f"{advise_on_image(part.axes)}"
        )
    return part


def read_labels(path: Path, selection: Selection = ALL, ndim: int | None = None) -> tuple[NDArray[Any], str]:
    """Return labels as they are in the file, and the names of their axes; S, the last, if they are colors."""
    with open_image(path, selection.scene, labels=True) as source:
        keep, keep_first = ("", "") if ndim == 2 else ("Z" if ndim == 3 else "", UNNAMED)
        part = choose_part(source, selection, keep=keep, keep_first=keep_first)
        names = part.axes if selection.axes else _planes_or_colors(source, part.axes)
        if ndim is not None:
            _check_labels(part, names, ndim)
        if "C" in names:
            raise InvalidFileError(
                f"{path} must be labels of one channel; it has axes {names} of shape {part.shape}. Choose with "
                "channel, or name these planes with axes: ZYX."
            )
        array, names = _colors_last(part.read(), names)
    if names.endswith("S"):
        if source.has_opacity and np.issubdtype(array.dtype, np.integer):
            array = _without_opacity(array, path)
        array = _as_gray(array)
        if array.ndim == len(names) and array.shape[-1] != 3:
            raise InvalidFileError(
                f"{path} must be labels or colors; it has {array.shape[-1]} samples for each pixel. Choose with "
                "channel."
            )
    while array.ndim > 3 and array.shape[0] == 1:
        array, names = array[0], names[1:]
    return array, names[: array.ndim]


def _check_labels(part: Part, names: str, ndim: int) -> None:
    """Refuse labels that are not of an image, or not of a volume."""
    stacked = [(name, n) for name, n in zip(names, part.shape, strict=True) if name not in "YXCS"]
    while len(stacked) > 1 and stacked[0][1] == 1:
        del stacked[0]
    found = "".join(name for name, _ in stacked)
    if ndim == 2 and found:
        expected, advice = "a label image (rows, columns)", advise_on_image(found)
    elif ndim == 3 and found not in ("Z", UNNAMED, PAGES):
        expected, advice = "a label volume (planes, rows, columns)", advise_on_volume(found)
    else:
        return
    raise InvalidFileError(
        f"{part.source.path} must be {expected}; it has axes {names} of shape {part.shape}. {advice}"
    )


def _planes_or_colors(source: Source, names: str) -> str:
    """Return the names of the axes of labels; colors in planes, as writers of TIFF tag them, are planes."""
    if "S" not in names or not source.is_planar:
        return names
    if source.dtype.itemsize == 1 and not source.is_described:
        raise InvalidFileError(
            f"{source.path} must hold a stack of labels or colors; its tags leave open which. Give axes: ZYX for a "
            "stack, SYX for colors."
        )
    return names.replace("S", UNNAMED)


def _colors_last(array: NDArray[Any], names: str) -> tuple[NDArray[Any], str]:
    order = sorted(range(len(names)), key=lambda i: "YXS".find(names[i]))
    return array.transpose(order), "".join(names[i] for i in order)


def _without_last(array: NDArray[Any]) -> NDArray[Any]:
    return array[..., 0] if array.shape[-1] == 2 else array[..., :-1]


def _without_opacity(array: NDArray[Any], path: Path) -> NDArray[Any]:
    """Return labels without their opacity, which must be the same everywhere but where background is clear."""
    labels, opacity = _without_last(array), array[..., -1]
    inside = (labels if labels.ndim < array.ndim else labels.any(axis=-1)) != 0
    seen = opacity[inside | (opacity != 0)]
    if seen.size and np.any(seen != seen[0]):
        raise InvalidFileError(
            f"{path} must have one opacity for all labels; it varies, and it is not clear which pixels count. Save it "
            "without opacity."
        )
    return labels


def _as_gray(array: NDArray[Any]) -> NDArray[Any]:
    """Return one channel of a color picture whose three channels are equal; other pictures as they are."""
    is_gray = array.shape[-1] == 3 and all(np.array_equal(array[..., 0], array[..., i]) for i in (1, 2))
    return np.ascontiguousarray(array[..., 0]) if is_gray else array
