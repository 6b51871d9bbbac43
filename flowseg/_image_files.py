"""Images and masks read from files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flowseg import _checks, _files
from flowseg._masks import masks_from_rgb
from flowseg._scenes import choose_scene, tiff_scene
from flowseg._vendor_files import is_vendor_file, read_scene

StrPath = str | os.PathLike[str]

# What axes may be called: time, planes, channels, rows, columns, samples of colour.
AXES = "TZCYXS"


def read_image(
    path: StrPath,
    *,
    axes: str | None = None,
    channel: int | Sequence[int] | None = None,
    z: int | None = None,
    t: int | None = None,
    scene: int | str | None = None,
) -> NDArray[Any]:
    """Read an image.

    Parameters
    ----------
    path : path
        TIFF (OME-TIFF and ImageJ's among them), PNG, JPEG or BMP file; with the extra ``bioio`` also Zeiss
        ``.czi``, Nikon ``.nd2`` and Leica ``.lif``, and what else a reader of bioio's is installed for.
    axes : str, optional
        Names of the axes, in the order of the array in the file, if the file does not say or says it wrong: T time, Z
        planes, C channels, Y rows, X columns, S samples of colour. For example "CYX" for pages that are channels.
    channel : int or sequence of int, optional
        Channels to take, the first is 0; all by default.
    z : int, optional
        Plane to take of a stack, the first is 0.
    t : int, optional
        Time to take of a series, the first is 0.
    scene : int or str, optional
        Which image to take of a file that holds several (scenes, positions, series): its number, the first is 0, or
        its name.

    Returns
    -------
    image : ndarray, shape (rows, columns) or (rows, columns, channels)
        Numbers as in the file, channels last; an opacity channel that is opaque everywhere is left out.

    Raises
    ------
    ImportError
        If the file is of a maker's format and the package that reads it is not installed; the sentence names it.
    ValueError
        If the file cannot be read as an image, or holds more than one and nothing says which; its name is in the
        sentence.

    Notes
    -----
    What an axis is is never guessed: the pages of a TIFF without any metadata have to be named by `axes`. Of a file
    of a maker's format only what is chosen is read.

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
    file = Path(path)
    array, found = read_scene(file, scene) if is_vendor_file(file) else read_array(file, scene=scene)
    names = found if axes is None else _as_axes(axes, array.shape, path)
    array, names = _drop_single(array, names)
    for axis, index, name in (("Z", z, "z"), ("T", t, "t")):
        if index is not None:
            array, names = _take(array, names, axis, _checks.as_integer(index, name, minimum=0), path)
    if channel is not None:
        array, names = _take_channels(array, names, channel, path)
    if sorted(names.replace("S", "C")) not in (["X", "Y"], ["C", "X", "Y"]):
        raise ValueError(
            f"{path} must be one image; it has axes {names} of shape {array.shape}. Choose a plane with z, a time with "
            "t, a channel with channel, or name the axes with axes: T time, Z planes, C channels, Y rows, X columns, "
            "S colour."
        )
    order = [names.index(name) for name in ("Y", "X", "C", "S") if name in names]
    with _files.naming_what_is_damaged(file, "image file"):
        array = np.asarray(array.transpose(order))
    n_colours = array.shape[-1] - 1
    if names.endswith("S") and n_colours in (1, 3) and np.issubdtype(array.dtype, np.integer) and channel is None:
        opaque = np.all(array[..., -1] == np.iinfo(array.dtype).max)
        if opaque:
            return array[..., 0] if n_colours == 1 else array[..., :3]
    return array


def _as_axes(axes: str, shape: tuple[int, ...], path: StrPath) -> str:
    if not isinstance(axes, str):
        raise TypeError(f"axes must be letters of {AXES}, one per axis; got {axes!r}.")
    names = axes.upper()
    if len(set(names)) != len(names) or set(names) - set(AXES) or not {"Y", "X"} <= set(names):
        raise ValueError(f"axes must be letters of {AXES}, one per axis, with Y and X among them; got {axes!r}.")
    if len(names) != len(shape):
        raise ValueError(f"axes must name the {len(shape)} axes of {path}, shape {shape}; got {axes!r}.")
    return names


def _drop_single(array: NDArray[Any], names: str) -> tuple[NDArray[Any], str]:
    """Without axes of length 1, rows and columns excepted."""
    single = [i for i, name in enumerate(names) if array.shape[i] == 1 and name not in "YX"]
    return array.squeeze(tuple(single)), "".join(name for i, name in enumerate(names) if i not in single)


def _take(array: NDArray[Any], names: str, axis: str, index: int, path: StrPath) -> tuple[NDArray[Any], str]:
    n = array.shape[names.index(axis)] if axis in names else 1
    if index >= n:
        raise ValueError(
            f"{axis.lower()} must be below {n} for {path}, axes {names}, shape {array.shape}; got {index}."
        )
    if axis not in names:
        return array, names
    return np.take(array, index, axis=names.index(axis)), names.replace(axis, "")


def _take_channels(array: NDArray[Any], names: str, channel: Any, path: StrPath) -> tuple[NDArray[Any], str]:
    several = (
        not isinstance(channel, int | np.integer) and isinstance(channel, Sequence) and not isinstance(channel, str)
    )
    chosen = [_checks.as_integer(c, "channel", minimum=0) for c in (channel if several else [channel])]
    axis = next((name for name in "CS" if name in names), "")
    n = array.shape[names.index(axis)] if axis else 1
    if not chosen or max(chosen) >= n:
        raise ValueError(f"channel must be below {n} for {path}, axes {names}, shape {array.shape}; got {channel}.")
    if not axis:
        return array, names
    if not several:
        return np.take(array, chosen[0], axis=names.index(axis)), names.replace(axis, "")
    return np.take(array, chosen, axis=names.index(axis)), names


def read_masks(path: StrPath) -> NDArray[Any]:
    """Read a label image, or an annotation with one colour per object.

    Parameters
    ----------
    path : path
        TIFF, PNG or BMP file of integers. A colour image is taken as a coloured annotation (see `masks_from_rgb`), one
        with a palette as a label image of the palette's indices.

    Returns
    -------
    masks : ndarray of int
        0 is background.

    Raises
    ------
    TypeError, ValueError
        If the file cannot be read or holds no label image; its name is in the sentence.

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
        raise ValueError(f"{file} must not be a JPEG file: JPEG changes labels and colours. Save masks as TIFF or PNG.")
    array, axes = read_array(file, palette=False)
    if axes.endswith("S") and array.shape[-1] in (3, 4) and np.issubdtype(array.dtype, np.integer):
        return masks_from_rgb(array)
    return _checks.as_masks(array, str(path))


def read_array(path: Path, *, palette: bool = True, scene: int | str | None = 0) -> tuple[NDArray[Any], str]:
    """Read a file as it is; also the names of its axes. Without ``palette`` a palette image gives its indices."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} must be an image file; there is none.")
    if path.suffix.lower() in (".tif", ".tiff"):
        array, axes = _files.read_tiff(path, tiff_scene(path, scene))
        if axes[:1] == "S" and array.ndim == 3:  # planes of colour, one after the other
            return np.moveaxis(array, 0, -1), "YXS"
        return array, axes
    choose_scene([path.stem], scene, path)
    with _files.naming_what_is_damaged(path, "image file"), Image.open(path) as file:
        _check_depth(path, file)
        array = np.asarray(file.convert("RGBA") if file.mode == "P" and palette else file)
    if array.dtype == bool:
        array = array.astype(np.uint8)
    return array, "YXS"[: array.ndim]


def _check_depth(path: Path, file: Image.Image) -> None:
    """Refuse PNG files with 16 bits per colour: the library would cut them to 8 bits."""
    with path.open("rb") as raw:
        header = raw.read(26)
    if file.format == "PNG" and header[24] == 16 and header[25] != 0:
        raise ValueError("a PNG with 16 bits per colour, of which 8 would be lost; save it as TIFF.")
