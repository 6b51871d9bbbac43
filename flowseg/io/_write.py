"""Writers of masks and pictures."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from flowseg import _checks
from flowseg._system import files

StrPath = str | os.PathLike[str]


def write_masks(path: StrPath, masks: ArrayLike, *, pixel_size: tuple[float, float] | None = None) -> None:
    """Write a label image as TIFF, in the smallest of uint8, uint16 and uint32 that holds its labels.

    Parameters
    ----------
    path : path
        File to write; an existing one is replaced atomically.
    masks : array_like of int
        Label image without negative pixels.
    pixel_size : (float, float), optional
        Height and width of a pixel in micrometers, to write into the file; see `read_pixel_size`.

    Raises
    ------
    ValueError
        If a label is negative or above 2**32 - 1.

    Examples
    --------
    >>> from flowseg import io, synthetic
    >>> _, masks = synthetic.cells((64, 64), 5, rng=0)
    >>> io.write_masks("cells.tif", masks, pixel_size=(0.325, 0.325))
    >>> io.read_masks("cells.tif").dtype
    dtype('uint8')
    """
    if Path(path).suffix.lower() not in (".tif", ".tiff"):
        raise ValueError(f"path must end in .tif or .tiff; got {path}.")
    array = _checks.as_masks(masks)
    lowest, highest = int(array.min()), int(array.max())
    if lowest < 0 or highest > np.iinfo(np.uint32).max:
        raise ValueError(f"masks must have labels from 0 to 2**32 - 1 to be written; got {lowest} to {highest}.")
    dtype = np.min_scalar_type(highest)
    files.write_tiff(Path(path), array.astype(dtype), _checks.as_pixel_size(pixel_size))


def write_picture(path: StrPath, picture: NDArray[np.uint8]) -> None:
    """Write an RGB picture as PNG.

    Parameters
    ----------
    path : path
        File to write; an existing one is replaced atomically.
    picture : ndarray of uint8, shape (rows, columns, 3)
        See `flowseg.plot`.

    Raises
    ------
    TypeError, ValueError
        If ``picture`` is no such array, or the path does not end in .png.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> from flowseg import io, plot, synthetic
    >>> image, masks = synthetic.cells((64, 64), 5, rng=0)
    >>> io.write_picture("outlines.png", plot.outlines(image, masks))
    """
    array = _checks.as_picture(picture)
    if Path(path).suffix.lower() != ".png":
        raise ValueError(f"path must end in .png; got {path}.")
    files.write_atomically(Path(path), lambda beside: Image.fromarray(array).save(beside))
