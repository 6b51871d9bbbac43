"""Pictures of flows, outlines and masks as RGB arrays, without matplotlib."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from skimage.color import hsv2rgb
from skimage.segmentation import find_boundaries

from flowseg import _checks
from flowseg._images import normalize
from flowseg._labels.overlaps import number_objects
from flowseg.plot._graph_coloring import color_graph, find_neighbors
from flowseg.plot._palette import OUTLINE_COLOR, PALETTE, make_palette


def flow_colors(flows: ArrayLike) -> NDArray[np.uint8]:
    """Return the directions of flows as colors.

    Parameters
    ----------
    flows : array_like of float, shape (2, rows, columns)
        Row and column component of every pixel's flow.

    Returns
    -------
    picture : ndarray of uint8, shape (rows, columns, 3)
        Hue is the direction: red to the right, then counter-clockwise through green and blue. Brightness is the length,
        up to 1. `flow_key` is the key.

    Raises
    ------
    TypeError, ValueError
        If ``flows`` has another shape, values that are not finite, or no numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from flowseg import plot
    >>> plot.flow_colors(np.array([[[0.0]], [[1.0]]]))  # to the right
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
    """Return a color wheel, the key to `flow_colors`.

    Parameters
    ----------
    size : int
        Rows and columns of the picture, in pixels.

    Returns
    -------
    picture : ndarray of uint8, shape (size, size, 3)
        Every pixel of the disk has the color of a flow from the center to that pixel.

    Raises
    ------
    TypeError, ValueError
        If ``size`` is not a whole number of at least 2.

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
    return flow_colors(np.where(length <= 1, wheel / np.maximum(length, 1e-6), 0))


def outlines(image: ArrayLike, masks: ArrayLike) -> NDArray[np.uint8]:
    """Return an image with the outlines of masks drawn on it.

    Parameters
    ----------
    image : array_like, shape (rows, columns) or (rows, columns, 3)
        Image; its 1st and 99th percentiles become black and white. A constant image is black.
    masks : array_like of int, shape (rows, columns)
        Label image.

    Returns
    -------
    picture : ndarray of uint8, shape (rows, columns, 3)

    Raises
    ------
    TypeError, ValueError
        If image or masks are invalid, or their shapes differ.

    Examples
    --------
    >>> from flowseg import plot, synthetic
    >>> image, masks = synthetic.cells((64, 64), 5, rng=0)
    >>> plot.outlines(image, masks).shape
    (64, 64, 3)
    """
    labels = _checks.as_masks(masks, ndims=(2,))
    picture = image_colors(image, labels.shape)
    _, number, _ = number_objects(labels)
    picture[find_boundaries(number.reshape(labels.shape), mode="inner")] = OUTLINE_COLOR
    return picture


def image_colors(image: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return an image as RGB, stretched to its percentiles, for masks of a given shape."""
    array = _checks.as_image(image)
    if array.ndim not in (2, 3):
        raise ValueError(f"image must have shape (rows, columns) or (rows, columns, channels); got {array.shape}.")
    if array.ndim == 3 and array.shape[2] == 4:  # the fourth is opacity
        array = array[..., :3]
    elif array.ndim == 3 and array.shape[2] != 3:
        array = array[..., :1]
    _checks.check_same_shape(array.shape[:2], shape, "image", "masks")
    gray = np.zeros(array.shape) if array.min() == array.max() else normalize(array)
    return _to_bytes(np.broadcast_to(gray.reshape(*shape, -1), (*shape, 3)))


def mask_colors(masks: ArrayLike) -> NDArray[np.uint8]:
    """Return masks filled with few, clearly distinct colors that differ between neighbors; background is black.

    Parameters
    ----------
    masks : array_like of int, shape (rows, columns)
        Label image.

    Returns
    -------
    picture : ndarray of uint8, shape (rows, columns, 3)
        Two objects that touch, or have only background between them, never have the same color. Seven colors are used,
        which remain distinct to color-blind people [1]_. More are added where these are not enough, for example if
        objects have many connected components.

    Raises
    ------
    TypeError, ValueError
        If ``masks`` is not a label image.

    Notes
    -----
    The colors depend on the whole image, not on the label: in another image an object of the same label may have
    another color.

    References
    ----------
    .. [1] Okabe and Ito, "Color universal design", 2008, https://jfly.uni-koeln.de/color/

    Examples
    --------
    >>> import numpy as np
    >>> from flowseg import plot
    >>> plot.mask_colors(np.array([[0, 1, 2]]))
    array([[[  0,   0,   0],
            [ 86, 180, 233],
            [230, 159,   0]]], dtype=uint8)
    """
    array = _checks.as_masks(masks, ndims=(2,))
    labels, number, _ = number_objects(array)
    image = number.reshape(array.shape)
    color = color_graph(find_neighbors(image), labels.size, len(PALETTE))
    palette = make_palette(int(color.max(initial=-1)) + 1)
    colors: NDArray[np.uint8] = np.concatenate([np.zeros((1, 3), dtype=np.uint8), palette[color]])
    return colors[image]


def _to_bytes(picture: NDArray[Any]) -> NDArray[np.uint8]:
    scaled: NDArray[np.uint8] = np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)
    return scaled
