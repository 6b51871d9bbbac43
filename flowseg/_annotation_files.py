"""Annotations in other forms into masks: binary images, one file per object, MATLAB maps, Labkit, CVAT."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks, _files
from flowseg._image_files import read_array, read_masks
from flowseg._merging import Canvas, number_pieces
from flowseg._paths import find_files
from flowseg._polygons import Ring

StrPath = str | os.PathLike[str]

# Corners of the polygon that an ellipse is drawn as.
ELLIPSE = 128


def masks_from_binary(mask: ArrayLike) -> NDArray[np.int32]:
    """Masks from a foreground mask: every connected piece is an object.

    Parameters
    ----------
    mask : array_like of bool or int, shape (rows, columns) or (planes, rows, columns)
        Foreground is what is not 0.

    Returns
    -------
    masks : ndarray of int32
        Pieces numbered 1..n in raster order; pixels that share a corner are connected.

    Raises
    ------
    TypeError, ValueError
        If it is no image of booleans or integers, or has more than two values.

    Examples
    --------
    >>> import flowseg
    >>> flowseg.masks_from_binary([[255, 0, 0, 255], [255, 0, 0, 0]])
    array([[1, 0, 0, 2],
           [1, 0, 0, 0]], dtype=int32)
    """
    array = np.asarray(mask)
    if array.dtype.kind not in "biu":
        raise TypeError(f"mask must be of booleans or integers; got dtype {array.dtype}.")
    _checks.check_dimensions(array, "mask", (2, 3))
    values = np.unique(array)
    if values.size > 2:
        raise ValueError(f"mask must have two values, one of them 0; got {values.size}: are these labels already?")
    return number_pieces((array != 0).astype(np.uint8))


def masks_from_files(files: StrPath | Sequence[StrPath]) -> NDArray[np.int32]:
    """Masks from one image file per object, as in the 2018 Data Science Bowl.

    Parameters
    ----------
    files : path or sequence of path
        Files, or a folder or a pattern of them; in each, the object is what is not 0.

    Returns
    -------
    masks : ndarray of int32
        Numbered 1..n in raster order. Where two objects overlap the smaller one is seen.

    Raises
    ------
    ValueError
        If a file cannot be read, holds no object, or has another shape than the first.

    Examples
    --------
    >>> import flowseg
    >>> flowseg.io.write_masks("one.tif", [[0, 0, 1]])
    >>> flowseg.io.write_masks("other.tif", [[1, 0, 0]])
    >>> flowseg.masks_from_files(["one.tif", "other.tif"])
    array([[1, 0, 2]], dtype=int32)
    """
    paths = find_files(files) if isinstance(files, str | os.PathLike) else [Path(file) for file in files]
    if not paths:
        raise ValueError("files must name at least one file; got none.")
    canvas = Canvas(_read_foreground(paths[0]).shape)
    for path in paths:
        mask = _read_foreground(path)
        _checks.check_same_shape(mask.shape, canvas.shape, str(path), str(paths[0]))
        if not mask.any():
            raise ValueError(f"{path} must hold an object; all its pixels are 0.")
        canvas.add(mask)
    return canvas.paint()


def _read_foreground(path: Path) -> NDArray[np.bool_]:
    array, axes = read_array(path, palette=False)
    mask = np.asarray(array[..., :3].any(axis=-1) if axes.endswith("S") else array != 0)
    _checks.check_dimensions(mask, str(path), (2,))
    return mask


def masks_from_mat(path: StrPath, *, key: str = "inst_map") -> NDArray[Any]:
    """Masks from a MATLAB file, as HoVer-Net's data sets have them.

    Parameters
    ----------
    path : path
        ``.mat`` file, up to version 7.
    key : str
        Name of the array.

    Returns
    -------
    masks : ndarray of int32 or int64
        The array as it is: labels are not changed, though whole numbers that MATLAB stores as floats become integers.

    Raises
    ------
    ValueError
        If the file cannot be read or has no such array (the sentence names those it has), or it is no label image.
        Floats must be finite, and of at most 2**53, or 2**24 in single precision: beyond, not every number has its own.

    Examples
    --------
    >>> from scipy.io import savemat
    >>> import flowseg
    >>> savemat("cells.mat", {"inst_map": [[0.0, 1.0, 2.0]]})
    >>> flowseg.masks_from_mat("cells.mat")
    array([[0, 1, 2]], dtype=int32)
    """
    from scipy.io import loadmat

    with _files.naming_what_is_damaged(Path(path), "MATLAB file (version 7 or lower)"):
        content = loadmat(os.fspath(path))
    names = [name for name in content if not name.startswith("__")]
    if key not in names:
        raise ValueError(f"key must be one of the arrays in {path}, {', '.join(names)}; got {key!r}.")
    array, name = np.asarray(content[key]), f"{key} in {path}"
    _checks.check_finite(array, name)
    if array.dtype.kind == "f" and np.all(array == np.rint(array)):
        largest = 2 ** (np.finfo(array.dtype).nmant + 1)  # up to here floats hold every whole number
        if np.any(np.abs(array) > largest):
            raise ValueError(f"{name} must have labels of at most {largest}; got {np.abs(array).max():g}.")
        array = array.astype(np.int64)
    array = _checks.as_masks(array, name)
    narrow = np.iinfo(np.int32)
    return array.astype(np.int32) if narrow.min <= array.min() and array.max() <= narrow.max else array


def masks_from_labkit(path: StrPath) -> NDArray[np.int32]:
    """Masks from what Labkit saved.

    Parameters
    ----------
    path : path
        ``.labeling`` or ``.json`` file, or a TIFF of label numbers.

    Returns
    -------
    masks : ndarray of int32, shape (rows, columns) or (planes, rows, columns)
        Every connected piece of every label is an object, numbered 1..n in raster order.

    Raises
    ------
    ValueError
        If the file cannot be read, or holds pixels outside of its interval.

    Examples
    --------
    >>> import flowseg
    >>> flowseg.io.write_masks("labkit.tif", [[1, 1, 0, 1, 2]])  # label numbers: two pieces of 1, one of 2
    >>> flowseg.masks_from_labkit("labkit.tif")
    array([[1, 1, 0, 2, 3]], dtype=int32)
    """
    if Path(path).suffix.lower() in (".tif", ".tiff"):
        return number_pieces(read_masks(path))
    with _files.naming_what_is_damaged(Path(path), "Labkit labeling"):
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        low, high = (np.array(document["interval"][name][::-1]) for name in ("min", "max"))
        labels = np.zeros(tuple((high - low + 1).tolist()), dtype=np.int32)
        for k, pixels in enumerate(document["labels"].values(), start=1):
            if pixels:
                places = np.array(pixels)[:, ::-1]
                if places.shape[1] != labels.ndim or np.any(places < low) or np.any(places > high):
                    raise ValueError(f"pixels of label {k} outside of the interval")
                labels[tuple((places - low).T)] = k
    _checks.check_dimensions(labels, str(path), (2, 3))
    return number_pieces(labels)


def masks_from_cvat(path: StrPath) -> dict[str, NDArray[np.int32]]:
    """Masks of all images of a "CVAT for images 1.1" export.

    Parameters
    ----------
    path : path
        ``annotations.xml``. Exports as coloured PNG files ("segmentation mask") are for `masks_from_rgb`.

    Returns
    -------
    masks : dict of str to ndarray of int32
        By the images' names; each of the image's shape, numbered 1..n in raster order. Polygons, masks, boxes and
        ellipses, turned or not, are objects; lines and points are left out. Where two objects overlap the smaller one
        is seen.

    Raises
    ------
    ValueError
        If the file is no such export, or has several images of one name.

    Examples
    --------
    >>> from pathlib import Path
    >>> import flowseg
    >>> box = '<box label="cell" xtl="1" ytl="0" xbr="3" ybr="2"/>'
    >>> text = f'<annotations><image name="a.png" width="4" height="2">{box}</image></annotations>'
    >>> _ = Path("annotations.xml").write_text(text)
    >>> flowseg.masks_from_cvat("annotations.xml")["a.png"]
    array([[0, 1, 1, 0],
           [0, 1, 1, 0]], dtype=int32)
    """
    with _files.naming_what_is_damaged(Path(path), "CVAT export (for images 1.1)"):
        text = Path(path).read_text(encoding="utf-8")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise ValueError("a document type of its own")
        root = ElementTree.fromstring(text)
        images = list(root.iter("image"))
        if root.tag != "annotations" or not images:
            raise ValueError("no images")
        names = [image.attrib["name"] for image in images]
        if len(set(names)) < len(names):
            raise ValueError(f"several images named {Counter(names).most_common(1)[0][0]!r}")
        canvases = dict(zip(names, map(_draw_cvat, images), strict=True))
    return {name: canvas.paint() for name, canvas in canvases.items()}


def _draw_cvat(image: ElementTree.Element) -> Canvas:
    canvas = Canvas((int(image.attrib["height"]), int(image.attrib["width"])))
    for shape in image:
        said = shape.attrib
        if shape.tag == "polygon":
            points = [point.split(",") for point in said["points"].split(";")]
            canvas.add_rings([np.array(points, dtype=np.float64)[:, ::-1]])
        elif shape.tag == "box":
            left, top, right, bottom = (float(said[name]) for name in ("xtl", "ytl", "xbr", "ybr"))
            ring = np.array([[top, left], [top, right], [bottom, right], [bottom, left]])
            canvas.add_rings([_turn(ring, float(said.get("rotation", 0)))])
        elif shape.tag == "ellipse":
            angle = np.linspace(0, 2 * np.pi, ELLIPSE, endpoint=False)
            row = float(said["cy"]) + float(said["ry"]) * np.sin(angle)
            ring = np.stack([row, float(said["cx"]) + float(said["rx"]) * np.cos(angle)], axis=1)
            canvas.add_rings([_turn(ring, float(said.get("rotation", 0)))])
        elif shape.tag == "mask":
            canvas.add(_decode_cvat(said, canvas.shape))
    return canvas


def _turn(ring: Ring, degrees: float) -> Ring:
    """Turn a box or an ellipse about its centre, clockwise as seen on the screen, as CVAT's `_rotate_point` does."""
    if not np.isfinite(degrees):
        raise ValueError(f"a rotation of {degrees} degrees")
    if not degrees:
        return ring
    centre, sine, cosine = ring.mean(axis=0), np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    return centre + (ring - centre) @ np.array([[cosine, -sine], [sine, cosine]])


def _decode_cvat(said: dict[str, str], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask that is said by its box and, row by row in it, the lengths of its runs."""
    top, left, height, width = (int(float(said[name])) for name in ("top", "left", "height", "width"))
    if min(top, left) < 0 or min(height, width) < 1 or top + height > shape[0] or left + width > shape[1]:
        raise ValueError(f"a mask in rows {top} to {top + height} and columns {left} to {left + width} of {shape}")
    runs = [int(run) for run in said["rle"].split(",")]
    if min(runs) < 0 or sum(runs) != height * width:
        raise ValueError(f"a mask of {height * width} pixels with runs that sum up to {sum(runs)}")
    whole = np.zeros(shape, dtype=bool)
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    whole[top : top + height, left : left + width] = inside.reshape(height, width)
    return whole
