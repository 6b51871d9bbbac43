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
from flowseg.plot._graph_coloring import color_graph, find_visible_neighbors
from flowseg.plot._palette import OUTLINE_COLOR, PALETTE, make_palette

# Axes of a volume, in the words of messages; those of an image are the last two.
AXES = ("planes", "rows", "columns")


def flow_colors(flows: ArrayLike) -> NDArray[np.uint8]:
    """Return the directions of flows as colors.

    Parameters
    ----------
    flows : array_like of float, shape (2, rows, columns) or (3, planes, rows, columns)
        Row and column component of every pixel's flow; of a volume the plane component before them.

    Returns
    -------
    picture : ndarray of uint8, shape (rows, columns, 3) or (planes, rows, columns, 3)
        Hue is the direction: red to the right, then counter-clockwise through green and blue. Brightness is the length,
        up to 1. `flow_key` is the key. Colors of a volume are those of each plane: the plane component is left out, so
        that flows are dark where they lead to another plane.

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
    array = _checks.as_flows(flows)[-2:]
    angle = np.arctan2(-array[0], array[1])
    hue = (angle / (2 * np.pi)) % 1.0
    length = np.minimum(np.hypot(array[0], array[1]), 1.0)
    return to_bytes(hsv2rgb(np.stack([hue, np.ones_like(hue), length], axis=-1)))


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
    image : array_like, shape (rows, columns) or (rows, columns, 3), or with planes before the rows
        Image; its 1st and 99th percentiles become black and white. A constant image is black.
    masks : array_like of int, shape (rows, columns) or (planes, rows, columns)
        Label image.

    Returns
    -------
    picture : ndarray of uint8, shape (rows, columns, 3) or (planes, rows, columns, 3)
        Outlines of a volume are drawn plane by plane.

    Raises
    ------
    TypeError, ValueError
        If image or masks are invalid, or their shapes differ.

    See Also
    --------
    orthogonal_views : one picture of a volume.

    Examples
    --------
    >>> from flowseg import plot, synthetic
    >>> image, masks = synthetic.cells((64, 64), 5, rng=0)
    >>> plot.outlines(image, masks).shape
    (64, 64, 3)
    """
    number, _ = number_masks(masks, "masks")
    picture = image_colors(image, number.shape)
    planes = zip(picture.reshape(-1, *picture.shape[-3:]), number.reshape(-1, *number.shape[-2:]), strict=True)
    for colors, objects in planes:
        colors[find_boundaries(objects, mode="inner")] = OUTLINE_COLOR
    return picture


def image_colors(image: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return an image or a volume as RGB, stretched to its percentiles, for masks of a given shape."""
    array = as_shown(image, len(shape))
    _checks.check_same_shape(array.shape[: len(shape)], shape, "image", "masks")
    gray = np.zeros(array.shape) if array.min() == array.max() else normalize(array)
    return to_bytes(np.broadcast_to(gray.reshape(*shape, -1), (*shape, 3)))


def as_shown(image: ArrayLike, ndim: int) -> NDArray[Any]:
    """Return an image of ``ndim`` axes with the channels that are shown: red, green and blue, or the first, or none."""
    array = _checks.as_image(image)
    if array.ndim not in (ndim, ndim + 1):
        axes = AXES[-ndim:]
        raise ValueError(
            f"image must have shape ({', '.join(axes)}) or ({', '.join((*axes, 'channels'))}); got {array.shape}."
        )
    if array.ndim == ndim or array.shape[-1] == 3:
        return array
    return array[..., :3] if array.shape[-1] == 4 else array[..., :1]  # the fourth is opacity


def number_masks(
    masks: ArrayLike, name: str, shape: tuple[int, ...] | None = None, other: str = ""
) -> tuple[NDArray[np.int64], int]:
    """Return a label image with its objects numbered 1..n, and n; its shape must be ``shape`` if that is given."""
    array = _checks.as_masks(masks, name)
    if shape is not None:
        _checks.check_same_shape(array.shape, shape, name, other)
    labels, number, _ = number_objects(array)
    return number.reshape(array.shape), labels.size


def mask_colors(masks: ArrayLike) -> NDArray[np.uint8]:
    """Return masks filled with few, clearly distinct colors that differ between neighbors; background is black.

    Parameters
    ----------
    masks : array_like of int, shape (rows, columns) or (planes, rows, columns)
        Label image.

    Returns
    -------
    picture : ndarray of uint8, shape (rows, columns, 3) or (planes, rows, columns, 3)
        Two objects that touch, or have only background between them, never have the same color. Seven colors are used,
        which remain distinct to color-blind people [1]_. More are added where these are not enough, for example if
        objects have many connected components. An object of a volume has one color in all its planes, and this is true
        of every plane in all three directions.

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
    number, n = number_masks(masks, "masks")
    return object_colors(number, n)[number]


def object_colors(number: NDArray[np.int64], n: int) -> NDArray[np.uint8]:
    """Return the colors of `mask_colors` of background and objects 1..n; shape (n + 1, 3)."""
    color = color_graph(find_visible_neighbors(number), n, len(PALETTE))
    palette = make_palette(int(color.max(initial=-1)) + 1)
    return np.concatenate([np.zeros((1, 3), dtype=np.uint8), palette[color]])


def to_bytes(picture: NDArray[Any]) -> NDArray[np.uint8]:
    scaled: NDArray[np.uint8] = np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)
    return scaled
