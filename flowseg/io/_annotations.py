"""Annotations in other forms into masks: binary images, one file per object, MATLAB maps."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._image_files.paths import find_files
from flowseg._image_files.reading import read_array
from flowseg._labels.canvas import Canvas
from flowseg._system import files
from flowseg.io._mat import read_matrices

StrPath = str | os.PathLike[str]


def read_object_files(files: StrPath | Sequence[StrPath]) -> NDArray[np.int32]:
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
    >>> flowseg.io.read_object_files(["one.tif", "other.tif"])
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


def read_mat(path: StrPath, *, key: str = "inst_map") -> NDArray[Any]:
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
    >>> flowseg.io.read_mat("cells.mat")
    array([[0, 1, 2]], dtype=int32)
    """
    file, kind = Path(path), "MATLAB file (version 7 or lower)"
    with files.naming_what_is_damaged(file, kind):
        matrices = read_matrices(file)
    names = [matrix.name for matrix in matrices]
    if key not in names:
        raise ValueError(f"key must be one of the arrays in {path}, {', '.join(names)}; got {key!r}.")
    if names.count(key) > 1:
        raise ValueError(f"{path} must hold one array named {key!r}; it holds {names.count(key)}.")
    with files.naming_what_is_damaged(file, kind):
        array, name = matrices[names.index(key)].read(), f"{key} in {path}"
    _checks.check_finite(array, name)
    if array.dtype.kind == "f" and np.all(array == np.rint(array)):
        largest = 2 ** (np.finfo(array.dtype).nmant + 1)  # up to here floats hold every whole number
        if np.any(np.abs(array) > largest):
            raise ValueError(f"{name} must have labels of at most {largest}; got {np.abs(array).max():g}.")
        array = array.astype(np.int64)
    array = _checks.as_masks(array, name)
    narrow = np.iinfo(np.int32)
    return array.astype(np.int32) if narrow.min <= array.min() and array.max() <= narrow.max else array
