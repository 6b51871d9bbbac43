"""Fill the holes of objects."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from flowseg import _checks
from flowseg._labels.components import find_components
from flowseg._system.threads import check_canceled, interruptibly, size_of

# Speed in pixels per second, to estimate the time. Source: a rough figure for one core.
PIXELS_PER_SECOND = 1e7


def fill_holes(masks: ArrayLike) -> NDArray[Any]:
    """Return masks with the holes of every object filled; other objects inside a hole stay.

    Parameters
    ----------
    masks : array_like of int, shape (rows, columns) or (planes, rows, columns)
        Label image; 0 is background.

    Returns
    -------
    filled : ndarray, shape and dtype of `masks`
        Background that an object encloses gets the label of the object; if several enclose it, that of the innermost.

    Raises
    ------
    TypeError, ValueError
        If `masks` is no label image, see `masks_to_flows`.

    Notes
    -----
    A hole is background that is not connected with the background around the object across pixel faces, see
    `scipy.ndimage.binary_fill_holes`. Background that reaches the image's border is no hole: a
    volume of one plane has none.

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


def _fill_holes(masks: ArrayLike) -> NDArray[Any]:
    array = _checks.as_masks(masks)
    filled = array.copy()
    components = find_components(array)
    image = components.image.reshape(array.shape)
    labels = array.ravel()[components.first]
    sizes = np.prod(components.boxes[:, 3:] - components.boxes[:, :3], axis=1)
    for k in np.argsort(sizes, kind="stable"):  # innermost first
        check_canceled()
        starts, stops = components.boxes[k, 3 - array.ndim : 3], components.boxes[k, 6 - array.ndim :]
        box = tuple(slice(start, stop) for start, stop in zip(starts, stops, strict=True))
        hole = ndimage.binary_fill_holes(image[box] == k + 1) & (filled[box] == 0)
        filled[box][hole] = labels[k]
    return filled
