"""The segmenters that are compared, checked, with what each fold does with them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sklearn.base import clone

from flowseg._segmenters.base import Segmenter
from flowseg._segmenters.fitted import check_fitted
from flowseg._segmenters.fitting.settings import check_training_settings
from flowseg._segmenters.loading import load_segmenter
from flowseg._segmenters.pretrained import pretrained_file, pretrained_names

# What a fold does with a segmenter.
TRAINED, FURTHER, AS_IS = "trained on each fold", "trained further on each fold", "used as it is"
# What all segmenters must have in common, as they see the same images.
SHARED = ("ndim", "n_channels")
EXPECTED = "a FlowSegmenter, a BoundarySegmenter, the name of a pretrained model or a model file"


@dataclass(frozen=True, eq=False)
class Candidate:
    """A segmenter that is compared.

    Parameters
    ----------
    name : str
        As the user calls it.
    segmenter : Segmenter
        As it was given; it is never changed.
    way : str
        `TRAINED`, `FURTHER` or `AS_IS`.
    """

    name: str
    segmenter: Segmenter
    way: str

    @property
    def n_steps(self) -> int:
        """Training steps of one fold."""
        return 0 if self.way == AS_IS else self.segmenter.epochs * self.segmenter.steps_per_epoch

    def copy_to_fit(self) -> Segmenter:
        """Return a segmenter that can be fitted without a change of the one that was given."""
        if self.way == TRAINED:
            copied: Segmenter = clone(self.segmenter)
        else:  # `fit` copies the network before it trains it
            copied = copy.copy(self.segmenter)
            copied.set_params(random_state=copy.deepcopy(self.segmenter.random_state))
        return copied


def as_candidates(segmenters: Any) -> list[Candidate]:
    """Return the segmenters, checked, with what each fold does with them."""
    if not isinstance(segmenters, Mapping):
        raise TypeError(f"segmenters must be a dict of names and segmenters; got {type(segmenters).__name__}.")
    if not segmenters:
        raise ValueError("segmenters must be at least one segmenter with its name; got none.")
    _check_given_once(segmenters)
    candidates = [_as_candidate(name, value) for name, value in segmenters.items()]
    for other in candidates[1:]:
        _check_same_images(candidates[0], other)
    return candidates


def _check_given_once(segmenters: Mapping[Any, Any]) -> None:
    """Raise where two names stand for the same segmenter: their difference would be that of two seeds, or nothing."""
    seen: dict[Any, Any] = {}
    for name, value in segmenters.items():
        key = id(value) if isinstance(value, Segmenter) else str(value)
        if key in seen:
            raise ValueError(f"segmenters must be different; got the same one as {seen[key]!r} and {name!r}.")
        seen[key] = name


def _as_candidate(name: Any, value: Any) -> Candidate:
    if not isinstance(name, str) or not name.strip():
        raise TypeError(f"names of segmenters must be text; got {name!r}.")
    if isinstance(value, str | Path):
        is_name = isinstance(value, str) and value in pretrained_names() and not Path(value).is_file()
        return Candidate(name, load_segmenter(pretrained_file(str(value)) if is_name else value), AS_IS)
    if not isinstance(value, Segmenter):
        raise TypeError(f"segmenters[{name!r}] must be {EXPECTED}; got {value!r}.")
    if not value.__sklearn_is_fitted__():
        check_training_settings(value)
        return Candidate(name, value, TRAINED)
    check_fitted(value)
    if value.warm_start:
        check_training_settings(value, warm_start=True)
    return Candidate(name, value, FURTHER if value.warm_start else AS_IS)


def _check_same_images(first: Candidate, other: Candidate) -> None:
    for parameter in SHARED:
        expected, found = getattr(first.segmenter, parameter), getattr(other.segmenter, parameter)
        if found != expected:
            raise ValueError(
                f"segmenters must all have the same {parameter}, as they see the same images; got {expected} in "
                f"{first.name!r} and {found} in {other.name!r}."
            )
