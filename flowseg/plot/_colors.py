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
from flowseg.plot._coloring import color_graph, find_neighbours

# Color of outlines: yellow stands out from grey, red, green and purple images alike.
OUTLINE_COLOR = (255, 220, 0)
# Colors that remain distinct under every kind of color blindness; their black is left to the background.
# M. Okabe, K. Ito, "Color universal design", 2008, https://jfly.uni-koeln.de/color/
ORANGE, SKY_BLUE, BLUISH_GREEN = (230, 159, 0), (86, 180, 233), (0, 158, 115)
YELLOW, BLUE, VERMILLION, REDDISH_PURPLE = (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167)
PALETTE = (ORANGE, SKY_BLUE, BLUISH_GREEN, YELLOW, BLUE, VERMILLION, REDDISH_PURPLE)
# Where these are not enough: white and grey, then an even grid of colors, none darker than this (of 255).
MORE_COLORS = ((255, 255, 255), (128, 128, 128))
DARKEST = 40


def flow_colors(flows: ArrayLike) -> NDArray[np.uint8]:
    """Color every pixel by the direction of its flow.

    Parameters
    ----------
    flows : array_like of float, shape (2, rows, columns)
        Row before column.

    Returns
    -------
    picture : ndarray of uint8, shape (rows, columns, 3)
        Hue is the direction (red to the right, then counter-clockwise by way of green and blue), brightness the
        length, up to 1; `flow_key` shows which color is which.

    Raises
    ------
    TypeError, ValueError
        If ``flows`` cannot be used: of another shape, not finite, or no numbers.

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
    """Color wheel: the key to `flow_colors`.

    Parameters
    ----------
    size : int
        Rows and columns of the picture.

    Returns
    -------
    picture : ndarray of uint8, shape (size, size, 3)
        Every pixel of the disk has the color of a flow that points from the middle to it.

    Raises
    ------
    TypeError, ValueError
        If ``size`` is no whole number of at least 2.

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

    Raises
    ------
    TypeError, ValueError
        If image or masks cannot be used, or do not fit each other.

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
    """The image that `outlines` draws on, for masks of a given shape."""
    array = _checks.as_image(image)
    if array.ndim not in (2, 3):
        raise ValueError(f"image must have shape (rows, columns) or (rows, columns, channels); got {array.shape}.")
    if array.ndim == 3 and array.shape[2] == 4:  # the fourth is opacity
        array = array[..., :3]
    elif array.ndim == 3 and array.shape[2] != 3:
        array = array[..., :1]
    _checks.check_same_shape(array.shape[:2], shape, "image", "masks")
    grey = np.zeros(array.shape) if array.min() == array.max() else normalize(array)
    return _to_bytes(np.broadcast_to(grey.reshape(*shape, -1), (*shape, 3)))


def mask_colors(masks: ArrayLike) -> NDArray[np.uint8]:
    """Fill objects with few, clearly distinct colors that differ between neighbours; background is black.

    Parameters
    ----------
    masks : array_like of int, shape (rows, columns)
        Label image.

    Returns
    -------
    picture : ndarray of uint8, shape (rows, columns, 3)
        Two objects that touch, or have only background between them, never have the same color. There are seven
        colors, which remain distinct to the color-blind [1]_, and more where these are not enough, as when objects
        are in many pieces.

    Raises
    ------
    TypeError, ValueError
        If ``masks`` is no label image.

    Notes
    -----
    The colors depend on the whole image and say nothing of the label: an object of the same number in another image
    may have another one.

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
    color = color_graph(find_neighbours(image), labels.size, len(PALETTE))
    palette = make_palette(int(color.max(initial=-1)) + 1)
    return np.concatenate([np.zeros((1, 3), dtype=np.uint8), palette[color]])[image]


def make_palette(n: int) -> NDArray[np.uint8]:
    """At least ``n`` different colors, the most distinct ones first."""
    palette = np.array([*PALETTE, *MORE_COLORS], dtype=np.uint8)
    if n <= len(palette):
        return palette
    levels = np.linspace(DARKEST, 255, int(np.ceil(n ** (1 / 3))) + 1).astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    known = (grid[:, None] == palette).all(axis=2).any(axis=1)
    return np.concatenate([palette, grid[~known]])


def _to_bytes(picture: NDArray[Any]) -> NDArray[np.uint8]:
    return np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)
