"""Inputs of the segmenters: images, masks and diameters in their several forms, checked and converted to one."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._nets.lattice import Spacing

# Axes of images, without channels; volumes have one more.
PLANE_AXES = 2
AXES = ("planes", "rows", "columns")

# A stack of images with at most this many columns looks like one image of as many channels.
MANY_CHANNELS = 10

# In the place of a diameter: estimate it from the image.
ESTIMATE: Literal["estimate"] = "estimate"

# Typical diameter of the objects in an image, in pixels; None is that of the training images.
Diameter = float | Literal["estimate"] | None
Diameters = Diameter | Sequence[Diameter]

# Distance between pixels along each axis, in any unit: one for all images, or one for each.
Spacings = Sequence[float] | Sequence[Sequence[float]] | NDArray[Any] | None

# Types of parameters: "auto" leaves the value to `fit`; a network is a name, a function that builds one, or a
# keras.Model, which is callable, too.
Auto = Literal["auto"]
Network = Literal["unet", "resunet"] | Callable[..., Any]

Images = list[NDArray[Any]]  # also of label images


class ArrayLike(Protocol):
    """An array of another library, such as dask or pandas."""

    def __array__(self) -> NDArray[Any]:
        """The values."""


def as_channels_last(image: Any, n_channels: int, name: str, ndim: int = 2) -> NDArray[Any]:
    """Return one image as (rows, columns, n_channels), or a volume with planes first; raise if it cannot be segmented.

    ``ndim`` is the number of its axes without channels.
    """
    array = _checks.as_image(image, name)
    if array.ndim == ndim and n_channels == 1:
        array = array[..., np.newaxis]
    if array.ndim != ndim + 1 or array.shape[-1] != n_channels:
        axes = ", ".join(AXES[-ndim:])
        expected = f"({axes})" if n_channels == 1 else f"({axes}, {n_channels})"
        raise ValueError(
            f"{name} must have {n_channels} channel{'s' if n_channels > 1 else ''}, shape {expected}, as in the "
            f"segmenter's n_channels; got shape {array.shape}{_advise(array.shape, n_channels, ndim)}."
        )
    return array


def _advise(shape: tuple[int, ...], n_channels: int, ndim: int) -> str:
    """Return what to do with planes in the place of volumes, or volumes in the place of planes."""
    is_plane = len(shape) == PLANE_AXES or (len(shape) == PLANE_AXES + 1 and shape[-1] == n_channels)
    if ndim > PLANE_AXES and is_plane:
        return (
            ", a plane; a segmenter with ndim=3 takes volumes: stack planes of one size, np.stack(planes), or segment "
            "planes with ndim=2"
        )
    if ndim == PLANE_AXES and len(shape) == PLANE_AXES + 1 and n_channels == 1 and shape[-1] > MANY_CHANNELS:
        return "; for volumes there is ndim=3"
    return ""


def is_constant(image: NDArray[Any]) -> bool:
    """Return whether every channel of (rows, columns, channels) has one value, as in an empty well or a blank tile."""
    return all(image[..., c].min() == image[..., c].max() for c in range(image.shape[-1]))


def warn_of_constant(n_constant: int, n_images: int, stacklevel: int) -> None:
    """Warn in one line of constant images."""
    if n_constant:
        which = "the image is constant" if n_images == 1 else f"{n_constant} of {n_images} images are constant"
        warnings.warn(f"{which} (the same value in all pixels): no objects there.", stacklevel=stacklevel + 1)


def is_one_image(images: Any, n_channels: int, ndim: int = 2) -> bool:
    """Return whether ``images`` is one image rather than a list or a stack."""
    if not isinstance(images, np.ndarray) or (images.dtype == object and images.ndim == 1):
        return False
    return images.ndim <= ndim or (images.ndim == ndim + 1 and images.shape[-1] == n_channels)


def check_stack(images: Any, n_channels: int, name: str, ndim: int = 2) -> None:
    """Raise ValueError for one image of several channels where a stack of images is expected."""
    if not isinstance(images, np.ndarray) or images.ndim != ndim + 1:
        return
    if n_channels == 1 and 1 < images.shape[-1] <= MANY_CHANNELS:
        raise ValueError(
            f"{name} must have 1 channel, as in the segmenter's n_channels; got shape {images.shape}, which looks "
            f"like one image of {images.shape[-1]} channels. Pass a stack of such narrow images as a list."
        )
    if n_channels > 1:
        first = images.shape[0] == n_channels or (ndim > PLANE_AXES and images.shape[1] == n_channels)
        advice = f": move them, np.moveaxis(image, {int(images.shape[0] != n_channels)}, -1)" if first else ""
        raise ValueError(
            f"{name} must have {n_channels} channels in the last axis, as in the segmenter's n_channels; got shape "
            f"{images.shape}{', which looks like channels first' if advice else ''}{advice}."
        )


def warn_of_stack(images: Any, stacklevel: int, ndim: int = 2) -> None:
    """Warn in one line that an array was taken as several images; it may be a volume, a film or channels."""
    if isinstance(images, np.ndarray) and images.dtype != object and len(images) > 1:
        n = len(images)
        kind, volume = ("images", " for one volume there is predict_volume;") if ndim == PLANE_AXES else ("volumes", "")
        warnings.warn(
            f"images is an array of shape {images.shape}: {n} separate {kind} were segmented, and labels start again "
            f"in each. For one numbering add to the labels above 0 of each the largest label of those before it;"
            f"{volume} for one {kind[:-1]} of {n} channels move that axis to the end (np.moveaxis(images, 0, -1)) and "
            f"use a segmenter with n_channels={n}; for separate {kind} pass a list, list(images), and there is no such "
            "warning.",
            stacklevel=stacklevel + 1,
        )


def as_image_list(images: Any, n_channels: int, ndim: int = 2) -> list[NDArray[Any]]:
    """Return a list or a stack of images as a list of (rows, columns, n_channels) arrays."""
    check_stack(images, n_channels, "images", ndim)
    items = _checks.as_list(images, "images")
    return [as_channels_last(image, n_channels, f"images[{i}]", ndim) for i, image in enumerate(items)]


def as_pairs(
    images: Any, masks: Any, *, n_channels: int, ndim: int = 2, names: tuple[str, str] = ("images", "masks")
) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Return images and masks as lists of arrays that fit each other; one volume is a list of one."""
    images, masks = _checks.as_plain(images), _checks.as_plain(masks)
    if ndim > PLANE_AXES and is_one_image(images, n_channels, ndim) and isinstance(masks, np.ndarray):
        images, masks = [images], [masks] if masks.dtype != object and masks.ndim <= ndim else masks
    check_stack(images, n_channels, names[0], ndim)
    image_items = _checks.as_list(images, names[0])
    mask_items = _checks.as_list(masks, names[1])
    _checks.check_same_length(image_items, mask_items, names)
    checked_images = [as_channels_last(x, n_channels, f"{names[0]}[{i}]", ndim) for i, x in enumerate(image_items)]
    checked_masks = [_checks.as_countable(y, f"{names[1]}[{i}]", ndims=(ndim,)) for i, y in enumerate(mask_items)]
    axes = "rows and columns" if ndim == PLANE_AXES else "planes, rows and columns"
    for i, (x, y) in enumerate(zip(checked_images, checked_masks, strict=True)):
        _checks.check_same_shape(y.shape, x.shape[:ndim], f"{names[1]}[{i}]", f"{names[0]}[{i}] ({axes})")
    return checked_images, checked_masks


def as_spacings(spacing: Any, n_images: int, ndim: int, name: str = "spacing") -> list[Spacing | None]:
    """Return one spacing or None per image, from one for all or a sequence of one per image."""
    if spacing is None:
        return [None] * n_images
    if not is_one_per_image(spacing):
        return [tuple(_checks.as_spacing(spacing, ndim, name).tolist())] * n_images
    if len(spacing) != n_images:
        raise ValueError(
            f"{name} must be one for all images, {ndim} numbers, or one per image, {n_images}; got {len(spacing)}."
        )
    if any(one is None for one in spacing):
        raise ValueError(f"{name} must be given for all images or for none; got None for some.")
    return [tuple(_checks.as_spacing(one, ndim, f"{name}[{i}]").tolist()) for i, one in enumerate(spacing)]


def is_one_per_image(spacing: Any) -> bool:
    """Return whether ``spacing`` is a sequence of spacings rather than one of numbers."""
    if not isinstance(spacing, Sequence | np.ndarray) or isinstance(spacing, str) or len(spacing) == 0:
        return False
    return any(one is None or (isinstance(one, Sequence | np.ndarray) and np.ndim(one) > 0) for one in spacing)


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
