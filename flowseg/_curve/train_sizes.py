"""Sizes of the training sets, and the order in which images are added to them."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks

# Sizes that are chosen by default: all images for training, and half as many again and again. Four sizes tell a curve
# from a line, and each one costs a training in every fold.
N_SIZES = 4
EXPECTED = "a sequence of numbers of images (integers), or of shares of the images for training (above 0, at most 1)"


def as_train_sizes(train_sizes: Any, largest: int) -> list[int]:
    """Return numbers of images, ascending; ``largest`` is how many every fold has for training."""
    if train_sizes is None:
        return sorted({max(round(largest / 2**k), 1) for k in range(N_SIZES)})
    if isinstance(train_sizes, str) or not isinstance(train_sizes, Sequence | np.ndarray) or np.size(train_sizes) == 0:
        raise TypeError(f"train_sizes must be {EXPECTED}; got {train_sizes!r}.")
    return sorted({_as_size(size, largest) for size in train_sizes})


def _as_size(size: Any, largest: int) -> int:
    """Return a number of images; a float is a share of the largest, as in `sklearn.model_selection.learning_curve`."""
    if isinstance(size, numbers.Integral) and not isinstance(size, bool):
        number = _checks.as_integer(size, "train_sizes", minimum=1)
        if number > largest:
            raise ValueError(
                f"train_sizes must be at most {largest}, the images that every fold has for training; got {number}."
            )
        return number
    share = _checks.as_number(size, "train_sizes", low=0.0, high=1.0, open_low=True)
    return max(round(share * largest), 1)


def order_images(
    chosen: NDArray[np.intp], groups: NDArray[np.intp], has_objects: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return images in the order in which they are added to a training set: group by group, both at random.

    The first image holds objects, as a training needs some.
    """
    shuffled = rng.permutation(chosen)
    rank = {group: k for k, group in enumerate(rng.permutation(np.unique(groups[chosen])).tolist())}
    ordered = np.array(sorted(shuffled.tolist(), key=lambda i: rank[int(groups[i])]), dtype=np.intp)
    first = ordered[has_objects[ordered]][0]
    own = (groups[ordered] == groups[first]) & (ordered != first)
    return np.concatenate([[first], ordered[own], ordered[groups[ordered] != groups[first]]])
