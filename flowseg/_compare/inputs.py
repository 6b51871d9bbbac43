"""The plan of a comparison, made of what the user gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowseg._compare.adjacent_tiles import warn_of_tiles
from flowseg._compare.candidates import as_candidates
from flowseg._compare.folds import as_groups, check_objects, split
from flowseg._compare.plan import Plan
from flowseg._segmenters.fitting.annotation_checks import check_not_binary
from flowseg._segmenters.inputs import as_pairs


def make_plan(segmenters: Any, images: Any, masks: Any, groups: Any, cv: Any, names: Any) -> Plan:
    """Return the plan of a comparison, with everything checked."""
    candidates = as_candidates(segmenters)
    first = candidates[0].segmenter
    pictures, labels = as_pairs(images, masks, n_channels=first.n_channels, ndim=first.ndim)
    check_not_binary(labels, "masks")
    titles = _as_names(names, len(pictures))
    numbers = as_groups(groups, len(pictures))
    folds = split(numbers, cv)
    check_objects(folds, labels, titles)
    if groups is None:
        warn_of_tiles(pictures, titles, stacklevel=3)
    return Plan(candidates, pictures, labels, titles, numbers, folds)


def _as_names(names: Any, n_images: int) -> list[str]:
    if names is None:
        return [f"image {i}" for i in range(n_images)]
    if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"names must be a sequence of texts, one per image; got {names!r}.")
    if len(names) != n_images:
        raise ValueError(f"names must be one per image, {n_images}; got {len(names)}.")
    return list(names)
