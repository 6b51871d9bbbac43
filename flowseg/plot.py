"""Pictures of flows, outlines and masks, as RGB arrays that any library shows or saves."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from skimage.color import hsv2rgb
from skimage.segmentation import find_boundaries

from flowseg import _checks
from flowseg._images import normalize
from flowseg._overlaps import number_objects

__all__ = ["flow_colours", "flow_key", "mask_colours", "outlines"]

# Colour of outlines: yellow stands out from grey, red, green and purple images alike.
OUTLINE_COLOUR = (255, 220, 0)
# Turn of the hue from one object to the next: the golden ratio keeps neighbouring numbers apart.
HUE_TURN = 0.6180339887498949


def flow_colours(flows: ArrayLike) -> NDArray[np.uint8]:
    """Colour every pixel by the direction of its flow.

    Parameters
    ----------
    flows : array_like of float, shape (2, rows, columns)
        Row before column.

    Returns
    -------
    picture : ndarray of uint8, shape (rows, columns, 3)
        Hue is the direction (red to the right, then counter-clockwise by way of green and blue), brightness the
        length, up to 1; `flow_key` shows which colour is which.

    Examples
    --------
    >>> import numpy as np
    >>> from flowseg import plot
    >>> plot.flow_colours(np.array([[[0.0]], [[1.0]]]))  # to the right
    array([[[255,   0,   0]]], dtype=uint8)
    """
    array = _checks.as_flows(flows)
    if array.shape[0] != 2:
        raise ValueError(f"flows must have shape (2, rows, columns); got {array.shape}.")
    angle = np.arctan2(-array[0], array[1])
    hue = (angle / (2 * np.pi)) % 1.0
    length = np.minimum(np.hypot(array[0], array[1]), 1.0)
    return _to_bytes(hsv2rgb(np.stack([hue, np.ones_like(hue), length], axis=-1)))


def flow_key(size: int = 64) -> NDArray[np.uint8]:
    """Colour wheel: the key to `flow_colours`.

    Parameters
    ----------
    size : int
        Rows and columns of the picture.

    Returns
    -------
    picture : ndarray of uint8, shape (size, size, 3)
        Every pixel of the disk has the colour of a flow that points from the middle to it.

    Examples
    --------
    >>> from flowseg import plot
    >>> plot.flow_key(32).shape
    (32, 32, 3)
    """
    n = _checks.as_integer(size, "size", minimum=2)
    axis = np.linspace(-1, 1, n, dtype=np.float32)
    wheel = np.stack(np.meshgrid(axis, axis, indexing="ij"))
    length = np.hypot(*wheel)
    return flow_colours(np.where(length <= 1, wheel / np.maximum(length, 1e-6), 0))


def outlines(image: ArrayLike, masks: ArrayLike) -> NDArray[np.uint8]:
    """Draw the outlines of masks on an image.

    Parameters
    ----------
    image : array_like, shape (rows, columns) or (rows, columns, 3)
        Stretched to its 1st and 99th percentiles; a constant one is black.
    masks : array_like of int, shape (rows, columns)
        Label image.

    Returns
    -------
    picture : ndarray of uint8, shape (rows, columns, 3)

    Examples
    --------
    >>> from flowseg import plot, synthetic
    >>> image, masks = synthetic.cells((64, 64), 5, rng=0)
    >>> plot.outlines(image, masks).shape
    (64, 64, 3)
    """
    labels = _checks.as_masks(masks, ndims=(2,))
    array = _checks.as_image(image)
    if array.ndim == 3 and array.shape[2] not in (1, 3):
        array = array[..., :1]
    _checks.check_same_shape(array.shape[:2], labels.shape, "image", "masks")
    grey = np.zeros(array.shape) if array.min() == array.max() else normalize(array)
    picture = _to_bytes(np.broadcast_to(grey.reshape(*labels.shape, -1), (*labels.shape, 3)))
    _, number, _ = number_objects(labels)
    picture[find_boundaries(number.reshape(labels.shape), mode="inner")] = OUTLINE_COLOUR
    return picture


def mask_colours(masks: ArrayLike) -> NDArray[np.uint8]:
    """Fill every object with a colour of its own; background is black.

    Parameters
    ----------
    masks : array_like of int, shape (rows, columns)
        Label image.

    Returns
    -------
    picture : ndarray of uint8, shape (rows, columns, 3)

    Examples
    --------
    >>> import numpy as np
    >>> from flowseg import plot
    >>> picture = plot.mask_colours(np.array([[0, 1, 2]]))
    >>> len(np.unique(picture.reshape(-1, 3), axis=0))
    3
    """
    labels = np.maximum(_checks.as_masks(masks, ndims=(2,)), 0).astype(np.int64)
    hue = (labels * HUE_TURN) % 1.0
    saturation = 0.55 + 0.15 * (labels % 3)
    value = (labels > 0) * (1.0 - 0.1 * (labels % 4))
    return _to_bytes(hsv2rgb(np.stack([hue, saturation, value], axis=-1)))


def _to_bytes(picture: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)
