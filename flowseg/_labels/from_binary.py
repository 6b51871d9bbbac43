"""Masks from a binary image."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks
from flowseg._labels.components import number_components


def masks_from_binary(mask: ArrayLike) -> NDArray[np.int32]:
    """Return masks from a foreground mask: every connected component is an object.

    Parameters
    ----------
    mask : array_like of bool or int, shape (rows, columns) or (planes, rows, columns)
        Foreground is not 0.

    Returns
    -------
    masks : ndarray of int32
        Objects numbered 1..n in raster order. Pixels that share a corner are connected.

    Raises
    ------
    TypeError, ValueError
        If `mask` is not an image of booleans or integers, or has more than two values.

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
    return number_components((array != 0).astype(np.uint8))
