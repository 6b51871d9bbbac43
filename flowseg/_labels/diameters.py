"""Diameters of objects."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks
from flowseg._labels.numbering import count_pixels


def diameters(masks: ArrayLike, *, spacing: ArrayLike | None = None) -> NDArray[np.float64]:
    """Return the diameter of every object: that of the disk of equal area, or of the ball of equal volume.

    Parameters
    ----------
    masks : array_like of int, shape (rows, columns) or (planes, rows, columns)
        Label image; 0 and below are background.
    spacing : sequence of float, optional
        Distance between neighboring pixels along each axis, in any unit. By default 1 along every axis.

    Returns
    -------
    diameters : ndarray of float64, shape (n_objects,)
        ``2 * sqrt(area / pi)`` in pixels, in 3-D ``2 * cbrt(3 * volume / (4 * pi))``, in the order of increasing label.
        The diameter of an image is their median. With `spacing` the pixels are those of the finest axis: times the
        smallest spacing it is a length.

    Raises
    ------
    TypeError, ValueError
        If ``masks`` is no label image, or `spacing` is not one number above 0 per axis.

    Examples
    --------
    >>> import numpy as np
    >>> import flowseg
    >>> flowseg.diameters(np.array([[1, 1, 0], [1, 1, 0], [0, 0, 7]])).round(3)
    array([2.257, 1.128])
    """
    array = _checks.as_masks(masks)
    distances = _checks.as_spacing(spacing, array.ndim)
    return diameters_of_sizes(count_pixels(array), distances / distances.min())


def size_column(ndim: int) -> str:
    """Return the name of the column of tables that counts the pixels of objects."""
    return "area" if ndim == 2 else "volume"


def diameters_of_sizes(sizes: NDArray[np.int64], ratios: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the diameters of objects of this many pixels, in pixels of the finest axis.

    ``ratios`` are the lengths of a pixel along its axes, two or three, over the shortest of them.
    """
    finest = sizes * math.prod(ratios)
    if len(ratios) == 2:
        return np.asarray(2.0 * np.sqrt(finest / np.pi))
    return np.asarray(2.0 * np.cbrt(3.0 * finest / (4.0 * np.pi)))
