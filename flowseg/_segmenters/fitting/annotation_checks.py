"""Checks of annotations before a training: volumes, binary masks, labels of several parts, masks without objects."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flowseg import _checks
from flowseg._labels.component_properties import ComponentProperties
from flowseg._segmenters.inputs import PLANE_AXES, is_constant

# Connected components that one object may have before its image looks like a binary mask of several objects.
MAX_COMPONENTS = 2

# Share of the pixels in objects in two planes at once that have the same label in both, in a volume.
SAME_LABELS = 0.75


def check_to_learn_from(
    images: Sequence[NDArray[Any]],
    masks: Sequence[NDArray[Any]],
    given: Any,
    names: tuple[str, str] = ("images", "masks"),
) -> None:
    """Raise ValueError for pairs that nothing can be learned from; ``given`` are the masks before conversion."""
    if masks[0].ndim == PLANE_AXES:
        check_no_volume(given, names)
    check_has_objects(masks, names[1])
    check_not_binary(masks, names[1])
    check_constant_are_empty(images, masks, names)


def check_no_volume(masks: Any, names: tuple[str, str]) -> None:
    """Raise ValueError for a volume whose objects extend over planes.

    Equal planes, or planes that are each numbered from 1, are a stack of images.
    """
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
            "from plane to plane, which looks like a volume or a film. To train on volumes use ndim=3; to train on its "
            f"planes as separate images pass lists: list({names[0]}), list({names[1]})."
        )


def check_has_objects(masks: Sequence[NDArray[Any]], name: str) -> None:
    """Raise ValueError when no label image holds an object."""
    if not any((m >= 0).any() for m in masks):
        where = "plane" if masks[0].ndim > PLANE_AXES else "pixel"
        raise ValueError(
            f"{name} must hold at least one annotated {where}; got {len(masks)} label images of pixels to ignore (-1)."
        )
    if not any((m > 0).any() for m in masks):
        raise ValueError(f"{name} must hold at least one object; got {len(masks)} label images without any.")


def check_not_binary(masks: Sequence[NDArray[Any]], name: str) -> None:
    """Raise ValueError where no label image has more than one label, but one has several components of it."""
    labels = [np.unique(m[m > 0]) for m in masks]
    if any(values.size > 1 for values in labels):
        return
    n_components = [ndimage.label(m > 0, structure=np.ones((3,) * m.ndim))[1] for m in masks]
    if max(n_components) > MAX_COMPONENTS:
        raise ValueError(
            f"{name} must number the objects of each image 1, 2, 3, ...; got one label only in each of them, in up to "
            f"{max(n_components)} connected components: binary masks? Number them first, for example with "
            "skimage.measure.label."
        )


def warn_of_components(masks: Sequence[NDArray[Any]], stacklevel: int) -> None:
    """Warn in one line of labels of several connected components: each is learned as a separate object."""
    properties = [ComponentProperties(m) for m in masks]
    broken = [np.count_nonzero(p.count(~p.is_speck) > 1) for p in properties]
    if any(broken):
        where = f"in {np.count_nonzero(broken)} of {len(masks)} images"
        warnings.warn(
            f"masks hold {sum(broken)} label{'' if sum(broken) == 1 else 's'} of several connected components "
            f"({where}); each is learned as a separate object. flowseg.check_masks lists them, flowseg.mend_masks "
            "repairs them.",
            stacklevel=stacklevel,
        )


def check_constant_are_empty(
    images: Sequence[NDArray[Any]], masks: Sequence[NDArray[Any]], names: tuple[str, str]
) -> None:
    """Raise ValueError for constant images whose masks hold objects: nothing can be learned from them."""
    for i, (image, labels) in enumerate(zip(images, masks, strict=True)):
        if (labels > 0).any() and is_constant(image):
            raise ValueError(
                f"{names[0]}[{i}] must not be constant where {names[1]}[{i}] holds objects; got {image.flat[0]} in all "
                "of its pixels. Without objects it is a blank negative, which is allowed."
            )
