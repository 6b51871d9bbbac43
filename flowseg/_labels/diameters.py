"""Diameters of objects."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks
from flowseg._labels.overlaps import number_objects


def diameters(masks: ArrayLike) -> NDArray[np.float64]:
    """Return the diameter of every object: that of the disk of equal area, or of the ball of equal volume.

    Parameters
    ----------
    masks : array_like of int, shape (rows, columns) or (planes, rows, columns)
        Label image; 0 and below are background.

    Returns
    -------
    diameters : ndarray of float64, shape (n_objects,)
        ``2 * sqrt(area / pi)`` in pixels, in 3-D ``2 * cbrt(3 * volume / (4 * pi))``, in the order of increasing label.
        The diameter of an image is their median.

    Raises
    ------
    TypeError, ValueError
        If ``masks`` is no label image.

    Examples
    --------
    >>> import numpy as np
    >>> import flowseg
    >>> flowseg.diameters(np.array([[1, 1, 0], [1, 1, 0], [0, 0, 7]])).round(3)
    array([2.257, 1.128])
    """
    array = _checks.as_masks(masks)
    _, _, sizes = number_objects(array)
    return diameters_of_sizes(sizes, array.ndim)


def diameters_of_sizes(sizes: NDArray[np.int64], ndim: int) -> NDArray[np.float64]:
    """Return the diameters of objects of this many pixels, in 2-D or 3-D."""
    if ndim == 2:
        return np.asarray(2.0 * np.sqrt(sizes / np.pi))
    return np.asarray(2.0 * np.cbrt(3.0 * sizes / (4.0 * np.pi)))
