"""Masks from one file per object, and from arrays of MATLAB files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._image_files.find_and_pair import find_files
from flowseg._image_files.labels import as_label_image
from flowseg._image_files.reading import read_labels
from flowseg._labels.canvas import Canvas
from flowseg._system.invalid_file import InvalidFileError, StoredFile
from flowseg.io._mat import read_matrices

StrPath = str | os.PathLike[str]


def read_object_files(files: StrPath | Sequence[StrPath]) -> NDArray[np.int32]:
    """Read masks from one image file per object, as in the 2018 Data Science Bowl.

    Parameters
    ----------
    files : path or sequence of path
        Files, or a folder or a pattern of them; pixels that are not 0 are the object.

    Returns
    -------
    masks : ndarray of int32
        Numbered 1..n in raster order. Where two objects overlap, the smaller one is on top.

    Raises
    ------
    InvalidFileError
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
        if mask.shape != canvas.shape:
            raise InvalidFileError(f"{path} must have the shape of {paths[0]}, {canvas.shape}; got {mask.shape}.")
        if not mask.any():
            raise InvalidFileError(f"{path} must hold an object; all its pixels are 0.")
        canvas.add(mask)
    return canvas.paint()


def _read_foreground(path: Path) -> NDArray[np.bool_]:
    array, axes = read_labels(path)
    mask = np.asarray(array[..., :3].any(axis=-1) if axes.endswith("S") else array != 0)
    fault = _checks.find_dimension_fault(mask, str(path), (2,))
    if fault:
        raise InvalidFileError(fault)
    return mask


def read_mat(path: StrPath, *, key: str = "inst_map") -> NDArray[Any]:
    """Read masks from a MATLAB file, as in HoVer-Net's data sets.

    Parameters
    ----------
    path : path
        ``.mat`` file, up to version 7.
    key : str
        Name of the array.

    Returns
    -------
    masks : ndarray of int32 or int64
        The array as stored; whole numbers that MATLAB stores as floats become integers.

    Raises
    ------
    InvalidFileError
        If the file is damaged or the array is no label image. Floats must be finite, and at most 2**53, or 2**24 in
        single precision: beyond, not every whole number can be stored.
    ValueError
        If the file has no such array; the message names those that it has.

    Examples
    --------
    >>> from scipy.io import savemat
    >>> import flowseg
    >>> savemat("cells.mat", {"inst_map": [[0.0, 1.0, 2.0]]})
    >>> flowseg.io.read_mat("cells.mat")
    array([[0, 1, 2]], dtype=int32)
    """
    stored = StoredFile(Path(path), "MATLAB file (version 7 or lower)")
    matrices = read_matrices(stored)
    names = [matrix.name for matrix in matrices]
    if not names:
        raise stored.invalid("no arrays")
    if key not in names:
        raise ValueError(f"key must be one of the arrays in {path}, {', '.join(names)}; got {key!r}.")
    if names.count(key) > 1:
        raise InvalidFileError(f"{path} must hold one array named {key!r}; it holds {names.count(key)}.")
    array = as_label_image(matrices[names.index(key)].read(), f"{key} in {path}")
    narrow = np.iinfo(np.int32)
    return array.astype(np.int32) if narrow.min <= array.min() and array.max() <= narrow.max else array
