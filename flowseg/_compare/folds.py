"""Folds of images, split by field of view."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks

# Names of images that a sentence lists.
LISTED = 3


def as_groups(groups: Any, n_images: int) -> NDArray[np.intp]:
    """Return the number of the group of each image; without groups every image is its own."""
    if n_images < 2:
        raise ValueError(f"images must be at least 2, to train on some and to test on others; got {n_images}.")
    if groups is None:
        return np.arange(n_images)
    if isinstance(groups, str) or not np.iterable(groups):
        raise TypeError(f"groups must be a sequence of one value per image; got {groups!r}.")
    values = list(groups)
    if len(values) != n_images:
        raise ValueError(f"groups must be one per image, {n_images}; got {len(values)}.")
    numbers: dict[Any, int] = {}
    try:
        found = np.array([numbers.setdefault(value, len(numbers)) for value in values], dtype=np.intp)
    except TypeError:
        raise TypeError("groups must be texts or numbers; got a value that cannot be compared.") from None
    if len(numbers) < 2:
        raise ValueError(
            "groups must name at least 2 fields of view, to train on some and to test on others; got "
            f"{values[0]!r} for all images."
        )
    return found


def split(groups: NDArray[np.intp], cv: Any) -> list[NDArray[np.intp]]:
    """Return the images that each fold tests, as `sklearn.model_selection.GroupKFold` splits them."""
    from sklearn.model_selection import GroupKFold  # takes half a second

    n_folds, n_groups = _checks.as_integer(cv, "cv", minimum=2), int(groups.max()) + 1
    if n_folds > n_groups:
        raise ValueError(f"cv must be at most the number of groups of images, {n_groups}; got {n_folds}.")
    return [test for _, test in GroupKFold(n_folds).split(groups, groups=groups)]


def check_objects(folds: list[NDArray[np.intp]], masks: list[NDArray[Any]], names: list[str]) -> None:
    """Raise if no test image of a fold holds an object: nothing can be found there, so nothing compared."""
    for number, test in enumerate(folds, 1):
        if not any((masks[i] > 0).any() for i in test):
            more = ", ..." if len(test) > LISTED else ""
            listed = ", ".join(names[i] for i in test[:LISTED])
            raise ValueError(
                f"masks must hold an object in every fold; the test images of fold {number} ({listed}{more}) hold "
                "none. Choose fewer folds with cv, or leave empty images out."
            )
