"""Inputs of the segmenters: images, masks and diameters in their several forms, checked and converted to one."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks

# A stack of images with at most this many columns looks like one image of as many channels.
MANY_CHANNELS = 10

# In the place of a diameter: estimate it from the image.
ESTIMATE: Literal["estimate"] = "estimate"

# Typical diameter of the objects in an image, in pixels; None is that of the training images.
Diameter = float | Literal["estimate"] | None
Diameters = Diameter | Sequence[Diameter]

# Types of parameters: "auto" leaves the value to `fit`; a network is a name, a function that builds one, or a
# keras.Model, which is callable, too.
Auto = Literal["auto"]
Network = Literal["unet", "resunet"] | Callable[..., Any]

Images = list[NDArray[Any]]  # also of label images


class ArrayLike(Protocol):
    """An array of another library, such as dask or pandas."""

    def __array__(self) -> NDArray[Any]:
        """The values."""


def as_channels_last(image: Any, n_channels: int, name: str) -> NDArray[Any]:
    """Return one image as (rows, columns, n_channels); raise if it cannot be segmented."""
    array = _checks.as_image(image, name)
    expected = "(rows, columns)" if n_channels == 1 else f"(rows, columns, {n_channels})"
    if array.ndim == 2 and n_channels == 1:
        array = array[..., np.newaxis]
    if array.ndim != 3 or array.shape[2] != n_channels:
        raise ValueError(
            f"{name} must have {n_channels} channel{'s' if n_channels > 1 else ''}, shape {expected}, as in the "
            f"segmenter's n_channels; got shape {array.shape}."
        )
    return array


def is_constant(image: NDArray[Any]) -> bool:
    """Return whether every channel of (rows, columns, channels) has one value, as in an empty well or a blank tile."""
    return all(image[..., c].min() == image[..., c].max() for c in range(image.shape[2]))


def warn_of_constant(n_constant: int, n_images: int, stacklevel: int) -> None:
    """Warn in one line of constant images."""
    if n_constant:
        which = "the image is constant" if n_images == 1 else f"{n_constant} of {n_images} images are constant"
        warnings.warn(f"{which} (the same value in all pixels): no objects there.", stacklevel=stacklevel + 1)


def is_one_image(images: Any, n_channels: int) -> bool:
    """Return whether ``images`` is one image rather than a list or a stack."""
    if not isinstance(images, np.ndarray) or (images.dtype == object and images.ndim == 1):
        return False
    return images.ndim < 3 or (images.ndim == 3 and images.shape[2] == n_channels)


def check_stack(images: Any, n_channels: int, name: str) -> None:
    """Raise ValueError for one image of several channels where a stack of images is expected."""
    if not isinstance(images, np.ndarray) or images.ndim != 3:
        return
    if n_channels == 1 and 1 < images.shape[2] <= MANY_CHANNELS:
        raise ValueError(
            f"{name} must have 1 channel, as in the segmenter's n_channels; got shape {images.shape}, which looks "
            f"like one image of {images.shape[2]} channels. Pass a stack of such narrow images as a list."
        )
    if n_channels > 1:
        advice = ": move them, np.moveaxis(image, 0, -1)" if images.shape[0] == n_channels else ""
        raise ValueError(
            f"{name} must have {n_channels} channels in the last axis, as in the segmenter's n_channels; got shape "
            f"{images.shape}{', which looks like channels first' if advice else ''}{advice}."
        )


def warn_of_stack(images: Any, stacklevel: int) -> None:
    """Warn in one line that an array was taken as several images; it may be a volume, a film or channels."""
    if isinstance(images, np.ndarray) and images.dtype != object and len(images) > 1:
        n = len(images)
        warnings.warn(
            f"images is an array of shape {images.shape}: {n} separate images were segmented, and labels start again "
            f"in each. For one numbering add to the labels above 0 of each the largest label of those before it; for "
            f"one image of {n} channels move that axis to the end (np.moveaxis(images, 0, -1)) and use a segmenter "
            f"with n_channels={n}; for separate images pass a list, list(images), and there is no such warning.",
            stacklevel=stacklevel + 1,
        )


def as_image_list(images: Any, n_channels: int) -> list[NDArray[Any]]:
    """Return a list or a stack of images as a list of (rows, columns, n_channels) arrays."""
    check_stack(images, n_channels, "images")
    items = _checks.as_list(images, "images")
    return [as_channels_last(image, n_channels, f"images[{i}]") for i, image in enumerate(items)]


def as_pairs(
    images: Any, masks: Any, *, n_channels: int, names: tuple[str, str] = ("images", "masks")
) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Return images and masks as lists of arrays that fit each other."""
    images = _checks.as_plain(images)
    check_stack(images, n_channels, names[0])
    image_items = _checks.as_list(images, names[0])
    mask_items = _checks.as_list(masks, names[1])
    _checks.check_same_length(image_items, mask_items, names)
    checked_images = [as_channels_last(x, n_channels, f"{names[0]}[{i}]") for i, x in enumerate(image_items)]
    checked_masks = [_checks.as_countable(y, f"{names[1]}[{i}]", ndims=(2,)) for i, y in enumerate(mask_items)]
    for i, (x, y) in enumerate(zip(checked_images, checked_masks, strict=True)):
        _checks.check_same_shape(y.shape, x.shape[:2], f"{names[1]}[{i}]", f"{names[0]}[{i}] (rows and columns)")
    return checked_images, checked_masks


def as_diameters(diameters: Any, n_images: int) -> list[Diameter]:
    """Return one diameter, ESTIMATE or None per image from one of them or a sequence."""
    if diameters is None:
        return [None] * n_images
    expected = f"a number of pixels above 0, {ESTIMATE!r}, or a sequence of one per image"
    is_sequence = isinstance(diameters, Sequence) or np.ndim(getattr(diameters, "values", diameters)) == 1
    if isinstance(diameters, str | bytes) or not is_sequence:
        return [_as_diameter(diameters, "diameters")] * n_images
    if len(diameters) != n_images:
        raise ValueError(f"diameters must be {expected}; got {len(diameters)} for {n_images} images.")
    return [_as_diameter(value, f"diameters[{i}]") for i, value in enumerate(diameters)]


def _as_diameter(value: Any, name: str) -> Diameter:
    if isinstance(value, str):
        if value != ESTIMATE:
            raise ValueError(f"{name} must be a number of pixels above 0, {ESTIMATE!r} or None; got {value!r}.")
        return ESTIMATE
    return _checks.as_number(value, name, low=0.0, open_low=True, none="the typical diameter")
