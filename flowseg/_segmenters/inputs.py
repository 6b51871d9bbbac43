"""What the segmenters are given: images and masks in their several forms, checked and made alike."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flowseg import _checks
from flowseg._labels.component_properties import ComponentProperties

# Pieces that one object's annotation may fall into before it looks like a binary mask of several objects.
MAX_PIECES = 2

# A stack of images with so few columns looks like one image of as many channels.
MANY_CHANNELS = 10

# Share of the pixels in objects in two planes at once that have the same label in both, in a volume.
SAME_LABELS = 0.75

# In the place of a diameter: find it in the image.
ESTIMATE: Literal["estimate"] = "estimate"

# Typical diameter of the objects in an image, in pixels; None is that of the training images.
Diameter = float | Literal["estimate"] | None
Diameters = Diameter | Sequence[Diameter]

# Of parameters: `fit` chooses; one of our networks, or a function that builds one (a keras.Model is callable, too).
Auto = Literal["auto"]
Network = Literal["unet", "resunet"] | Callable[..., Any]

Images = list[NDArray[Any]]  # and label images


class ArrayLike(Protocol):
    """An array of another library, such as dask or pandas."""

    def __array__(self) -> NDArray[Any]:
        """The values."""


def as_channels_last(image: Any, n_channels: int, name: str) -> NDArray[Any]:
    """Return one image as (rows, columns, n_channels); refuse what cannot be segmented."""
    array = _checks.as_image(image, name)
    expected = "(rows, columns)" if n_channels == 1 else f"(rows, columns, {n_channels})"
    if array.ndim == 2 and n_channels == 1:
        array = array[..., np.newaxis]
    if array.ndim != 3 or array.shape[2] != n_channels:
        raise ValueError(
            f"{name} must have {n_channels} channel{'s' if n_channels > 1 else ''}, shape {expected}, as the "
            f"segmenter's n_channels says; got shape {array.shape}."
        )
    return array


def is_constant(image: NDArray[Any]) -> bool:
    """Whether every channel of (rows, columns, channels) has one value: an empty well, a blank tile."""
    return all(image[..., c].min() == image[..., c].max() for c in range(image.shape[2]))


def warn_of_constant(n_constant: int, n_images: int, stacklevel: int) -> None:
    """Warn in one line of images in which there is nothing to find."""
    if n_constant:
        which = "the image is constant" if n_images == 1 else f"{n_constant} of {n_images} images are constant"
        warnings.warn(f"{which} (the same value in all pixels): no objects there.", stacklevel=stacklevel + 1)


def check_constant_are_empty(
    images: Sequence[NDArray[Any]], masks: Sequence[NDArray[Any]], names: tuple[str, str]
) -> None:
    """Refuse constant images whose masks hold objects: nothing can be learned of them."""
    for i, (image, labels) in enumerate(zip(images, masks, strict=True)):
        if (labels > 0).any() and is_constant(image):
            raise ValueError(
                f"{names[0]}[{i}] must not be constant where {names[1]}[{i}] holds objects; got {image.flat[0]} in all "
                "of its pixels. Without objects it is a blank negative, which is allowed."
            )


def is_one_image(images: Any, n_channels: int) -> bool:
    """Whether ``images`` is one image rather than a list or a stack."""
    if not isinstance(images, np.ndarray) or (images.dtype == object and images.ndim == 1):
        return False
    return images.ndim < 3 or (images.ndim == 3 and images.shape[2] == n_channels)


def check_stack(images: Any, n_channels: int, name: str) -> None:
    """Refuse one image of several channels where a stack of images is expected."""
    if not isinstance(images, np.ndarray) or images.ndim != 3:
        return
    if n_channels == 1 and 1 < images.shape[2] <= MANY_CHANNELS:
        raise ValueError(
            f"{name} must have 1 channel, as the segmenter's n_channels says; got shape {images.shape}, which looks "
            f"like one image of {images.shape[2]} channels. Pass a stack of such narrow images as a list."
        )
    if n_channels > 1:
        advice = ": move them, np.moveaxis(image, 0, -1)" if images.shape[0] == n_channels else ""
        raise ValueError(
            f"{name} must have {n_channels} channels in the last axis, as the segmenter's n_channels says; got shape "
            f"{images.shape}{', which looks like channels first' if advice else ''}{advice}."
        )


def warn_of_stack(images: Any, stacklevel: int) -> None:
    """Warn in one line that an array was taken for several images, which may be a volume, a film or channels."""
    if isinstance(images, np.ndarray) and images.dtype != object and len(images) > 1:
        n = len(images)
        warnings.warn(
            f"images is an array of shape {images.shape}: {n} separate images were segmented, and labels start again "
            f"in each. For one numbering add to the labels above 0 of each the largest label of those before it; for "
            f"one image of {n} channels move that axis to the end (np.moveaxis(images, 0, -1)) and use a segmenter "
            f"with n_channels={n}; for separate images pass a list, list(images), and there is no such warning.",
            stacklevel=stacklevel + 1,
        )


def check_no_volume(masks: Any, names: tuple[str, str]) -> None:
    """Refuse a volume whose objects go on from plane to plane; that of equal planes or plainly numbered is a stack."""
    labels = _checks.as_plain(masks)
    if not isinstance(labels, np.ndarray) or labels.ndim != 3 or labels.dtype.kind not in "iu" or len(labels) < 2:
        return
    n_both = n_same = 0
    shared: set[int] = set()
    for first, second in pairwise(labels):
        both = (first > 0) & (second > 0)
        if not np.array_equal(first, second):
            same = both & (first == second)
            n_both += int(np.count_nonzero(both))
            n_same += int(np.count_nonzero(same))
            shared |= set(np.unique(first[same]).tolist())
    if len(shared) < 2 or n_same < SAME_LABELS * n_both:
        return
    if any(np.unique(plane[plane > 0]).size < plane.max() for plane in labels):  # numbered over all planes
        raise ValueError(
            f"{names[0]} and {names[1]} must be 2-D; got {names[1]} of shape {labels.shape} with labels that go on "
            "from plane to plane, which looks like a volume or a film. To train on its planes as separate images pass "
            f"lists: list({names[0]}), list({names[1]})."
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


def check_to_learn_from(
    images: Sequence[NDArray[Any]],
    masks: Sequence[NDArray[Any]],
    given: Any,
    names: tuple[str, str] = ("images", "masks"),
) -> None:
    """Refuse pairs that teach nothing or nonsense; ``given`` are the masks as they came."""
    check_no_volume(given, names)
    check_has_objects(masks, names[1])
    check_not_binary(masks, names[1])
    check_constant_are_empty(images, masks, names)


def as_validation(validation: Any, n_channels: int) -> tuple[Images, Images]:
    """Return the pair (images, masks) that `fit` is given to choose on."""
    if not isinstance(validation, tuple | list) or len(validation) != 2:
        raise TypeError("validation must be a pair (images, masks); got " + type(validation).__name__ + ".")
    images, masks = validation
    names = ("validation images", "validation masks")
    pairs = as_pairs(images, masks, n_channels=n_channels, names=names)
    check_to_learn_from(*pairs, masks, names)
    return pairs


def check_has_objects(masks: Sequence[NDArray[Any]], name: str) -> None:
    """Raise ValueError when no label image holds an object."""
    if not any((m > 0).any() for m in masks):
        raise ValueError(f"{name} must hold at least one object; got {len(masks)} label images without any.")


def check_not_binary(masks: Sequence[NDArray[Any]], name: str) -> None:
    """Refuse label images of which none holds more than one label, though one has several separate pieces of it."""
    labels = [np.unique(m[m > 0]) for m in masks]
    if any(values.size > 1 for values in labels):
        return
    pieces = [ndimage.label(m > 0, structure=np.ones((3, 3)))[1] for m in masks]
    if max(pieces) > MAX_PIECES:
        raise ValueError(
            f"{name} must number the objects of each image 1, 2, 3, ...; got one label only in each of them, in up to "
            f"{max(pieces)} separate pieces: binary masks? Number them first, for example with skimage.measure.label."
        )


def warn_of_pieces(masks: Sequence[NDArray[Any]], stacklevel: int) -> None:
    """Warn in one line of labels in several pieces: each piece is learned as an object of its own."""
    anatomies = [ComponentProperties(m) for m in masks]
    broken = [np.count_nonzero(a.count(~a.is_speck) > 1) for a in anatomies]
    if any(broken):
        where = f"in {np.count_nonzero(broken)} of {len(masks)} images"
        warnings.warn(
            f"masks hold {sum(broken)} label{'' if sum(broken) == 1 else 's'} in several pieces ({where}); each is "
            "learned as an object of its own. flowseg.check_masks names them, flowseg.mend_masks repairs them.",
            stacklevel=stacklevel,
        )


def warn_of_patience(patience: Any, n_held_out: int) -> None:
    """Warn in one line of a patience that nothing can exhaust."""
    if patience is not None and not n_held_out:
        warnings.warn(
            f"patience={patience} has no effect: no images are held out to measure a validation loss on.", stacklevel=3
        )


def check_callbacks(callbacks: Any) -> None:
    """Raise TypeError unless ``callbacks`` is a sequence of Keras callbacks."""
    if not isinstance(callbacks, Sequence) or not all(
        hasattr(c, "set_model") and not isinstance(c, type) for c in callbacks
    ):
        raise TypeError(f"callbacks must be a sequence of keras.callbacks.Callback; got {callbacks!r}.")


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


def hold_out(
    images: list[NDArray[Any]], masks: list[NDArray[Any]], *, fraction: float, seed: int
) -> tuple[tuple[list[Any], list[Any]], tuple[list[Any], list[Any]]]:
    """Split pairs into (training, held out) at random.

    An image with objects always stays for training, and those without any annotated pixel are the last to be held out.
    """
    n_held_out = min(round(fraction * len(images)), len(images) - 1)
    shuffled = np.random.default_rng(seed).permutation(len(images)).tolist()
    first = next(i for i in shuffled if (masks[i] > 0).any())
    others = [i for i in shuffled if i != first]
    order = [first, *sorted(others, key=lambda i: bool((masks[i] >= 0).any()))]
    n_kept = len(images) - n_held_out
    kept, held_out = sorted(order[:n_kept]), sorted(order[n_kept:])
    return (
        ([images[i] for i in kept], [masks[i] for i in kept]),
        ([images[i] for i in held_out], [masks[i] for i in held_out]),
    )


def check_network_choice(network: Any) -> None:
    """Raise unless ``network`` names one of ours or could be one of the user's own."""
    if isinstance(network, str):
        _checks.check_choice(network, "network", ("unet", "resunet"))
    elif not callable(network):  # a keras.Model is callable, too
        raise TypeError(
            "network must be 'unet', 'resunet', a keras.Model, or a function of (n_channels, n_outputs) that builds "
            f"one; got {network!r}."
        )


def as_crop_size(crop_size: Any, step: int) -> int:
    """Return the side of the training crops, which poolings must divide evenly."""
    size = _checks.as_integer(crop_size, "crop_size", minimum=8)
    if size % step:
        raise ValueError(f"crop_size must be divisible by {step} for a network of this depth; got {size}.")
    return size
