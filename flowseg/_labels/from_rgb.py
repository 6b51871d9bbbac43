"""Masks from an annotation in colors."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from skimage.measure import label as connected_components

from flowseg import _checks


def masks_from_rgb(image: ArrayLike, *, one_per_color: bool = False) -> NDArray[np.int32]:
    """Return masks from an annotation in which every object has its own color.

    Parameters
    ----------
    image : array_like of integers, shape (rows, columns, 3) or (rows, columns, 4)
        Black is background. The fourth channel, opacity, is ignored.
    one_per_color : bool
        Whether all connected components of a color are one object, such as a cell that the image's border cuts in two.
        By default every component is an object, as for palettes that repeat their colors.

    Returns
    -------
    masks : ndarray of int32, shape (rows, columns)
        0 is background. Objects are numbered 1..n in raster order of their first pixels.

    Raises
    ------
    TypeError, ValueError
        If the image is not of integers or does not have three or four channels.

    Notes
    -----
    Colors are compared in all three channels. A gray value is not enough, because different colors may share it.

    Examples
    --------
    >>> import numpy as np
    >>> import flowseg
    >>> red, green = (192, 0, 0), (0, 98, 0)  # of about the same lightness
    >>> flowseg.masks_from_rgb(np.array([[red, green, (0, 0, 0), red]], dtype=np.uint8))
    array([[1, 2, 0, 3]], dtype=int32)
    >>> flowseg.masks_from_rgb(np.array([[red, green, (0, 0, 0), red]], dtype=np.uint8), one_per_color=True)
    array([[1, 2, 0, 1]], dtype=int32)
    """
    _checks.check_flag(one_per_color, "one_per_color")
    array = _checks.as_image(image)
    if not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"image must hold integer colors; got dtype {array.dtype}.")
    if array.ndim != 3 or array.shape[2] not in (3, 4):
        raise ValueError(
            f"image must be an RGB or RGBA annotation of shape (rows, columns, 3 or 4); got {array.shape}."
        )
    number = np.zeros(array.shape[:2], dtype=np.int64)
    for channel in range(3):  # one number per color, whatever integers its channels are
        values, index = np.unique(array[..., channel], return_inverse=True)
        number = number * values.size + index.reshape(number.shape)
    number = np.where(array[..., :3].any(axis=-1), number + 1, 0)
    if not one_per_color:
        return np.asarray(connected_components(number, connectivity=2), dtype=np.int32)
    _, first, index = np.unique(number, return_index=True, return_inverse=True)
    background = int(number.min() == 0)  # its number, 0, is the first of all
    first[:background] = -1
    return (np.argsort(np.argsort(first)) + 1 - background)[index].reshape(number.shape).astype(np.int32)
