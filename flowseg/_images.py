"""Stretch intensities to a common range, resize images and masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from skimage import transform

from flowseg import _checks, _intensities


def normalize(
    image: ArrayLike, *, low: float = 1.0, high: float = 99.0, channel_axis: int | None = None
) -> NDArray[np.float32]:
    """Stretch intensities so that two percentiles become 0 and 1, as the segmenters do.

    Parameters
    ----------
    image : array_like
        Image of any numeric dtype and any number of axes.
    low, high : float
        Percentiles that become 0 and 1. Values beyond them are kept, below 0 and above 1.
    channel_axis : int, optional
        Axis of channels to stretch one by one; by default all are stretched together.

    Returns
    -------
    normalized : ndarray of float32, same shape

    Raises
    ------
    ValueError
        If the image is constant or not finite.

    Notes
    -----
    Padding and saturated strips are left out of the percentiles and become 0. A channel's smallest or largest value
    counts as such if at least one pixel in 500 has it and most of its outline is straight. It also counts if it
    surrounds the other pixels (rotated images, round fields of view), differs from their values by at least half of
    their range, and does not only adjoin the nearest of these values, as in the rim of a nucleus.

    At most 4096 x 4096 pixels decide whether there is padding: of larger images every second along each axis, or every
    third, and so on.

    Where both percentiles are equal (few bright spots on a flat background) the smallest and the largest value take
    their place. A constant channel beside others becomes 0.

    Examples
    --------
    >>> import numpy as np
    >>> import flowseg
    >>> flowseg.normalize(np.arange(101, dtype=np.uint8))[[1, 50, 99]]
    array([0. , 0.5, 1. ], dtype=float32)
    """
    array = _checks.as_image(image)
    lower = _checks.as_number(low, "low", low=0.0, high=100.0)
    upper = _checks.as_number(high, "high", low=0.0, high=100.0)
    if lower >= upper:
        raise ValueError(f"low must be less than high; got {low} and {high}.")
    if array.min() == array.max():
        raise ValueError(f"image must not be constant; got {array.flat[0]} in all {array.size} pixels.")
    if channel_axis is None:
        channels, axis = array[..., np.newaxis], -1
    elif isinstance(channel_axis, int | np.integer) and -array.ndim <= channel_axis < array.ndim:
        channels, axis = np.moveaxis(array, channel_axis, -1), channel_axis
    else:
        raise ValueError(f"channel_axis must be an axis of an image of shape {array.shape}; got {channel_axis}.")
    rule = (_intensities.PERCENTILES, lower, upper)
    stretched = _intensities.stretch(channels, _intensities.find_limits(channels, rule))
    return stretched[..., 0] if channel_axis is None else np.moveaxis(stretched, -1, axis)


def scaled_shape(shape: Sequence[int], factors: Sequence[float]) -> tuple[int, ...]:
    """Return the shape of an image scaled by a factor along each axis, at least one pixel long."""
    return tuple(max(1, round(n * factor)) for n, factor in zip(shape, factors, strict=True))


def resize(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Resize (rows, columns, channels) or (planes, rows, columns, channels) linearly; average where it shrinks."""
    n_axes = len(shape)
    if array.shape[:n_axes] == shape:
        return array.astype(np.float32, copy=False)
    shrinks = any(new < old for new, old in zip(shape, array.shape[:n_axes], strict=True))
    resized = transform.resize(
        array, shape + array.shape[n_axes:], order=1, mode="edge", anti_aliasing=shrinks, preserve_range=True
    )
    return np.asarray(resized, dtype=np.float32)


def resize_masks(masks: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Resize a label image: each new pixel takes the label at its center."""
    if masks.shape == shape:
        return masks
    nearest = (
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(np.intp), old - 1)
        for new, old in zip(shape, masks.shape, strict=True)
    )
    return np.asarray(masks[np.ix_(*nearest)])
