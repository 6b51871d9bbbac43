"""The pairs that `fit` is given: images with masks, checked, and split into a training and a validation set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from flowseg._labels.classes.given import Known, as_classes
from flowseg._labels.overlaps import count_objects
from flowseg._nets.lattice import Spacing
from flowseg._nets.training.known_objects import KnownObjects, find_known_objects
from flowseg._segmenters.fitting.annotation_checks import check_to_learn_from
from flowseg._segmenters.inputs import Images, as_pairs, as_spacings, is_one_per_image

# The validation set, the same with its spacing, and with the classes of its objects.
VALIDATION_PARTS = (2, 3, 4)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Images with what is known of their objects."""

    images: Images
    masks: Images
    known: list[KnownObjects]  # from the masks
    spacings: list[Spacing | None]
    classes: list[Known] = field(default_factory=list)  # of the objects of each image; empty: there are no classes

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    @property
    def n_objects(self) -> int:
        """Number of annotated objects."""
        return sum(map(count_objects, self.masks))

    @property
    def given_spacings(self) -> list[Spacing] | None:
        """The spacing of each image; None where there are none."""
        known = [spacing for spacing in self.spacings if spacing is not None]
        return known or None

    def take(self, chosen: Sequence[int]) -> Pairs:
        """Return some of the pairs."""
        return Pairs(
            [self.images[i] for i in chosen],
            [self.masks[i] for i in chosen],
            [self.known[i] for i in chosen],
            [self.spacings[i] for i in chosen],
            [self.classes[i] for i in chosen] if self.classes else [],
        )

    def with_classes(self, classes: Any, names: tuple[str, str] = ("classes", "masks")) -> Pairs:
        """Return the pairs with the classes of their objects, checked; None: without."""
        return self if classes is None else replace(self, classes=as_classes(classes, self.masks, names))


def make_pairs(
    images: Any,
    masks: Any,
    spacing: Any,
    *,
    n_channels: int,
    ndim: int,
    names: tuple[str, str, str] = ("images", "masks", "spacing"),
) -> Pairs:
    """Return images, masks and spacing as pairs, checked."""
    checked, labels = as_pairs(images, masks, n_channels=n_channels, ndim=ndim, names=names[:2])
    spacings = as_spacings(spacing, len(checked), ndim, names[2])
    return Pairs(checked, labels, list(map(find_known_objects, labels, spacings)), spacings)


def as_validation(validation: Any, spacing: Any, *, n_channels: int, ndim: int) -> Pairs:
    """Return the validation set (images, masks[, spacing[, classes]]) that `fit` is given, checked.

    Without a spacing of its own it has that of the training images, ``spacing``, if that is one for all.
    """
    if not isinstance(validation, tuple | list) or len(validation) not in VALIDATION_PARTS:
        raise TypeError(
            "validation must be (images, masks), (images, masks, spacing) or (images, masks, spacing, classes); got "
            f"{type(validation).__name__}{f' of {len(validation)}' if isinstance(validation, tuple | list) else ''}."
        )
    images, masks, *own = validation[:3]
    if len(validation) > 3 and own == [None]:  # only the place of the spacing before the classes
        own = []
    if not own and is_one_per_image(spacing):
        raise ValueError(
            "validation must be (images, masks, spacing) where spacing is one per image; got (images, masks)."
        )
    names = ("validation images", "validation masks", "validation spacing")
    chosen = own[0] if own else spacing
    pairs = make_pairs(images, masks, chosen, n_channels=n_channels, ndim=ndim, names=names)
    check_to_learn_from(pairs.images, pairs.masks, masks, names[:2])
    return pairs.with_classes(validation[3], ("validation classes", names[1])) if len(validation) > 3 else pairs


def hold_out(pairs: Pairs, *, fraction: float, seed: int) -> tuple[Pairs, Pairs]:
    """Split pairs into (training, held out) at random.

    One image with objects is always kept for training. Images without any annotated pixel are held out last.
    """
    n, masks = len(pairs), pairs.masks
    n_held_out = min(round(fraction * n), n - 1)
    shuffled = np.random.default_rng(seed).permutation(n).tolist()
    first = next(i for i in shuffled if (masks[i] > 0).any())
    others = [i for i in shuffled if i != first]
    order = [first, *sorted(others, key=lambda i: bool((masks[i] >= 0).any()))]
    n_kept = n - n_held_out
    return pairs.take(sorted(order[:n_kept])), pairs.take(sorted(order[n_kept:]))
