"""The plan of a comparison: images, folds and segmenters, and digests by which a run is continued or refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import __version__
from flowseg._compare.candidates import AS_IS, TRAINED, Candidate

# Parameters without an effect on the result.
WITHOUT_EFFECT = ("workers", "verbose")


@dataclass(frozen=True, eq=False)
class Plan:
    """What is compared, and on which images."""

    candidates: list[Candidate]
    images: list[NDArray[Any]]  # channels last
    masks: list[NDArray[Any]]
    names: list[str]  # of the images
    groups: NDArray[np.intp]
    folds: list[NDArray[np.intp]]  # the images that each one tests

    def train_set(self, fold: int) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        """Return the images and masks that a fold trains on: those of all other groups."""
        chosen = np.setdiff1d(np.arange(len(self.images)), self.folds[fold])
        return [self.images[i] for i in chosen], [self.masks[i] for i in chosen]

    def describe(self) -> dict[str, str]:
        """Return a digest of everything that results depend on, by the words of an error sentence."""
        parts = {
            "version of flowseg": __version__,
            "names of segmenters": repr([candidate.name for candidate in self.candidates]),
            "images": _digest(*self.images),
            "masks": _digest(*self.masks),
            "groups and folds": _digest(self.groups, *self.folds),
        }
        return parts | {f"segmenter {one.name!r}": _describe_candidate(one) for one in self.candidates}


def _describe_candidate(candidate: Candidate) -> str:
    segmenter = candidate.segmenter
    parameters = segmenter.get_params(deep=False)
    chosen = sorted(name for name in parameters if name not in WITHOUT_EFFECT)
    parts: list[Any] = [
        type(segmenter).__name__,
        candidate.way,
        *((name, _as_plain(parameters[name])) for name in chosen),
    ]
    if candidate.way != TRAINED:
        fitted = segmenter.fitted_
        parts += [fitted.diameter, fitted.sizes, fitted.lattice, fitted.decoding, *segmenter.network_.get_weights()]
    if candidate.way == AS_IS:  # as good as any other seed
        parts = [part for part in parts if not (isinstance(part, tuple) and part[0] == "random_state")]
    return _digest(*parts)


def _as_plain(value: Any) -> Any:
    """Return a value whose text is the same in every process."""
    if isinstance(value, np.random.RandomState):
        return [part.tolist() if isinstance(part, np.ndarray) else part for part in value.get_state()]
    if hasattr(value, "get_weights"):
        return _digest(*value.get_weights())
    return f"{value.__module__}.{value.__qualname__}" if callable(value) else value


def _digest(*parts: Any) -> str:
    from flowseg._nets.training.fingerprint import fingerprint  # loads Keras

    return fingerprint(*parts)
