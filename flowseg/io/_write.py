"""Writers of masks and pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from flowseg import _checks
from flowseg._system import files
from flowseg.io._label_stacks import FILM, STACKS, VOLUME, Sizes, write_stack

StrPath = str | os.PathLike[str]


def write_masks(
    path: StrPath,
    masks: ArrayLike,
    *,
    spacing: ArrayLike | None = None,
    pixel_size: tuple[float, float] | None = None,
    axes: str | None = None,
) -> None:
    """Write a label image or a label volume as TIFF, in the smallest of uint8, uint16 and uint32 that holds its labels.

    Parameters
    ----------
    path : path
        File to write; an existing one is replaced atomically.
    masks : array_like of int, shape (rows, columns) or (planes, rows, columns)
        Label image without negative pixels.
    spacing : sequence of float, optional
        Distance between pixels along each axis in micrometers, to write into the file; see `read_spacing`.
    pixel_size : (float, float), optional
        Height and width of a pixel in micrometers, to write into the file; see `read_pixel_size`. Of a volume whose
        distance between planes is not known; of an image it is the same as `spacing`.
    axes : {"ZYX", "TYX"}, optional
        Whether a stack is one of planes, a volume, or of times, a film; by default planes.

    Raises
    ------
    TypeError, ValueError
        If a label is negative or above 2**32 - 1, or an argument does not fit the masks.

    Notes
    -----
    A stack is written with ImageJ's description of it, or as OME-TIFF if the name ends in ``.ome.tif``. Fiji shows the
    sizes of both right: of the first wherever it is opened, of OME-TIFF by the importer of Bio-Formats. A volume of one
    plane in an OME-TIFF is read back as an image; in others, without the distance between planes.

    Examples
    --------
    >>> import numpy as np
    >>> from flowseg import io, synthetic
    >>> _, masks = synthetic.cells((64, 64), 5, rng=0)
    >>> io.write_masks("cells.tif", masks, pixel_size=(0.325, 0.325))
    >>> io.read_masks("cells.tif").dtype
    dtype('uint8')
    >>> io.write_masks("volume.tif", np.stack([masks, masks]), spacing=(1.0, 0.325, 0.325))
    >>> io.read_masks("volume.tif").shape
    (2, 64, 64)
    """
    if Path(path).suffix.lower() not in (".tif", ".tiff"):
        raise ValueError(f"path must end in .tif or .tiff; got {path}.")
    array = as_smallest(masks)
    if axes is not None:
        _checks.check_choice(axes, "axes", STACKS)
        if array.ndim == 2:
            raise ValueError(f"axes must not be given for a label image without a stack; got {axes!r}.")
        if axes == FILM and spacing is not None:
            raise ValueError("spacing must not be given for times; give height and width of a pixel as pixel_size.")
    sizes = _as_sizes(spacing, pixel_size, array.ndim)
    if array.ndim == 2:
        files.write_tiff(Path(path), array, sizes.in_plane)
    else:
        write_stack(Path(path), array, axes or VOLUME, sizes)


def as_smallest(masks: ArrayLike) -> NDArray[Any]:
    """Return a label image in the smallest of uint8, uint16 and uint32 that holds its labels."""
    array = _checks.as_masks(masks)
    lowest, highest = int(array.min()), int(array.max())
    if lowest < 0 or highest > np.iinfo(np.uint32).max:
        raise ValueError(f"masks must have labels from 0 to 2**32 - 1 to be written; got {lowest} to {highest}.")
    return array.astype(np.min_scalar_type(highest))


def _as_sizes(spacing: ArrayLike | None, pixel_size: Any, ndim: int) -> Sizes:
    """Return sizes of pixels that a TIFF file can hold."""
    size = _checks.as_pixel_size(pixel_size)
    if spacing is None:
        return Sizes.of(size)
    if size is not None:
        raise ValueError("pixel_size must not be given together with spacing.")
    numbers = [float(number) for number in _checks.as_spacing(spacing, ndim)]
    low, high = _checks.PIXEL_SIZES
    if not all(low <= number <= high for number in numbers):
        raise ValueError(f"spacing must be from {low:g} to {high:g} micrometers to be written; got {spacing!r}.")
    return Sizes.of(numbers)


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
