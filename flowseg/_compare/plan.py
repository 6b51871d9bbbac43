"""The plan of a comparison: images, folds and segmenters, and digests by which a run is continued or refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowseg import __version__
from flowseg._compare.candidates import AS_IS, TRAINED, Candidate

# Parameters without an effect on the result.
WITHOUT_EFFECT = ("workers", "verbose")


class Trial(NamedTuple):
    """A segmenter that is trained on some images and tested on others."""

    key: str  # of its result in a folder
    title: str
    candidate: int
    train: NDArray[np.intp]
    test: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Plan:
    """What is compared, and on which images."""

    candidates: list[Candidate]
    images: list[NDArray[Any]]  # channels last
    masks: list[NDArray[Any]]
    names: list[str]  # of the images
    groups: NDArray[np.intp]
    folds: list[NDArray[np.intp]]  # the images that each one tests

    @property
    def n_groups(self) -> int:
        """Number of independent images or fields of view."""
        return int(self.groups.max()) + 1

    def train_set(self, fold: int) -> NDArray[np.intp]:
        """Return the images that a fold may train on: those of all other groups."""
        return np.setdiff1d(np.arange(len(self.images)), self.folds[fold])

    def fold_of(self) -> dict[int, int]:
        """Return the fold that tests each image, from 1."""
        return {int(i): fold for fold, test in enumerate(self.folds, 1) for i in test}

    def trials(self) -> list[Trial]:
        """Return every segmenter in every fold, fold by fold."""
        return [
            Trial(
                f"fold-{fold + 1}-segmenter-{k + 1}",
                f"fold {fold + 1} of {len(self.folds)}, {one.name}",
                k,
                self.train_set(fold),
                test,
            )
            for fold, test in enumerate(self.folds)
            for k, one in enumerate(self.candidates)
        ]

    def take(self, chosen: NDArray[np.intp]) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        """Return some of the images, and their masks."""
        return [self.images[i] for i in chosen], [self.masks[i] for i in chosen]

    def describe(self) -> dict[str, str]:
        """Return a digest of everything that results depend on, by the words of an error sentence."""
        parts = {
            "version of flowseg": __version__,
            "names of segmenters": repr([candidate.name for candidate in self.candidates]),
            "images": digest(*self.images),
            "masks": digest(*self.masks),
            "groups and folds": digest(self.groups, *self.folds),
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
    return digest(*parts)


def _as_plain(value: Any) -> Any:
    """Return a value whose text is the same in every process."""
    if isinstance(value, np.random.RandomState):
        return [part.tolist() if isinstance(part, np.ndarray) else part for part in value.get_state()]
    if hasattr(value, "get_weights"):
        return digest(*value.get_weights())
    return f"{value.__module__}.{value.__qualname__}" if callable(value) else value


def digest(*parts: Any) -> str:
    """Return the hash of texts, numbers and arrays."""
    from flowseg._nets.training.fingerprint import fingerprint  # loads Keras

    return fingerprint(*parts)
