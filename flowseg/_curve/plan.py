"""The plan of a learning curve: that of a comparison, with training sets of several sizes in each fold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._compare.candidates import AS_IS
from flowseg._compare.plan import Plan, Trial, digest
from flowseg._curve.train_sizes import as_train_sizes, order_images
from flowseg._labels.overlaps import count_objects
from flowseg._segmenters.fitting.annotation_checks import check_constant_are_empty, check_not_binary


@dataclass(frozen=True, eq=False)
class CurvePlan(Plan):
    """What is trained, on which images, and how many of them."""

    train_sizes: list[int]  # ascending
    orders: list[NDArray[np.intp]]  # of each fold: its training images, in the order in which they are added

    def sizes_of(self, candidate: int) -> list[int]:
        """Return the numbers of images that a segmenter is trained on; 0 for one that is used as it is."""
        return [0] if self.candidates[candidate].way == AS_IS else self.train_sizes

    def trials(self) -> list[Trial]:
        """Return every segmenter, trained on every number of images, in every fold."""
        return [
            self._make_trial(fold, n_images, k)
            for fold in range(len(self.folds))
            for n_images in [0, *self.train_sizes]
            for k in range(len(self.candidates))
            if n_images in self.sizes_of(k)
        ]

    def _make_trial(self, fold: int, n_images: int, candidate: int) -> Trial:
        on_images = f", {n_images} image{'s' * (n_images > 1)}" if n_images else ""
        return Trial(
            self.key(fold, n_images, candidate),
            f"fold {fold + 1} of {len(self.folds)}, {self.candidates[candidate].name}{on_images}",
            candidate,
            self.orders[fold][:n_images],
            self.folds[fold],
        )

    def key(self, fold: int, n_images: int, candidate: int) -> str:
        """Return the name of a result."""
        return f"fold-{fold + 1}-images-{n_images}-segmenter-{candidate + 1}"

    def count_train_objects(self, n_images: int) -> list[int]:
        """Return the number of annotated objects in the training set of each fold."""
        return [sum(count_objects(self.masks[i]) for i in order[:n_images]) for order in self.orders]

    def describe(self) -> dict[str, str]:
        """Return a digest of everything that results depend on, by the words of an error sentence."""
        used = [order[: self.train_sizes[-1]] for order in self.orders]
        return super().describe() | {"sizes of training sets": digest(*self.train_sizes, *used)}


def extend_plan(plan: Plan, train_sizes: Any, seed: int) -> CurvePlan:
    """Return the plan of a learning curve on the folds of a comparison."""
    parts = [plan.train_set(fold) for fold in range(len(plan.folds))]
    sizes = as_train_sizes(train_sizes, min(map(len, parts)))
    has_objects = np.array([bool((labels > 0).any()) for labels in plan.masks])
    orders = [
        order_images(part, plan.groups, has_objects, np.random.default_rng((seed, fold)))
        for fold, part in enumerate(parts)
    ]
    check_constant_are_empty(plan.images, plan.masks, ("images", "masks"))
    for order in orders:
        for n_images in sizes:  # now, not when hours of trainings are done
            check_not_binary([plan.masks[i] for i in order[:n_images]], "masks")
    return CurvePlan(
        plan.candidates, plan.images, plan.masks, plan.names, plan.groups, plan.folds, train_sizes=sizes, orders=orders
    )
