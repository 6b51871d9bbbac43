"""Masks without holes."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, NDArray

from flowseg._labels.from_rgb import PIXELS_PER_SECOND, _fill_holes
from flowseg._system.threads import interruptibly, size_of


def fill_holes(masks: ArrayLike) -> NDArray[Any]:
    """Masks whose objects have no holes; what lies in a hole and has a label of its own keeps it.

    Parameters
    ----------
    masks : array_like of int, shape (rows, columns) or (planes, rows, columns)
        Label image; 0 is background.

    Returns
    -------
    filled : ndarray, shape and dtype of `masks`
        Background that an object encloses belongs to this object; to the innermost where several do.

    Raises
    ------
    TypeError, ValueError
        If `masks` is no label image (see `masks_to_flows`).

    Notes
    -----
    A hole is background that is not connected, face to face, with the background around the object
    (`scipy.ndimage.binary_fill_holes`). Background that the image's border cuts off is no hole.

    Examples
    --------
    >>> import numpy as np
    >>> import flowseg
    >>> masks = np.full((5, 5), 1)
    >>> masks[1:4, 1:4] = 0
    >>> masks[2, 2] = 2
    >>> flowseg.fill_holes(masks)[2]
    array([1, 1, 2, 1, 1])
    """
    return interruptibly(_fill_holes, masks, seconds=size_of(masks) / PIXELS_PER_SECOND)
