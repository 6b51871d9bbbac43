"""The pairs that `fit` is given: images with masks, checked, and split into a training and a validation set."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._segmenters.fitting.annotation_checks import check_to_learn_from
from flowseg._segmenters.inputs import Images, as_pairs


def as_validation(validation: Any, n_channels: int) -> tuple[Images, Images]:
    """Return the validation set (images, masks) that `fit` is given, checked."""
    if not isinstance(validation, tuple | list) or len(validation) != 2:
        raise TypeError("validation must be a pair (images, masks); got " + type(validation).__name__ + ".")
    images, masks = validation
    names = ("validation images", "validation masks")
    pairs = as_pairs(images, masks, n_channels=n_channels, names=names)
    check_to_learn_from(*pairs, masks, names)
    return pairs


def hold_out(
    images: list[NDArray[Any]], masks: list[NDArray[Any]], *, fraction: float, seed: int
) -> tuple[tuple[list[Any], list[Any]], tuple[list[Any], list[Any]]]:
    """Split pairs into (training, held out) at random.

    One image with objects is always kept for training. Images without any annotated pixel are held out last.
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
