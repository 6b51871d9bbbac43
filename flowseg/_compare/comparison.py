"""The result of a comparison."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._compare.candidates import AS_IS
from flowseg._compare.differences import Difference, Estimates, count_matches, estimate, tabulate_counts
from flowseg._compare.plan import Plan
from flowseg._compare.sentence import answer, remarks
from flowseg._compare.store import TrialResult


class SegmenterScore(NamedTuple):
    """The scores of a segmenter over all test images.

    Attributes
    ----------
    name, way : str
        Its name, and what each fold did with it.
    precision : ndarray, shape (3,)
        Average precision at IoU 0.5, 0.75 and 0.9, over all objects.
    interval : ndarray, shape (3, 2)
        95 % bootstrap interval over groups of images.
    training_seconds, prediction_seconds : float
        Of all folds together.
    """

    name: str
    way: str
    precision: NDArray[np.float64]
    interval: NDArray[np.float64]
    training_seconds: float
    prediction_seconds: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `compare` returns.

    Attributes
    ----------
    sentence : str
        The answer in one sentence.
    remarks : tuple of str
        What to know beside it, such as how many images would tell.
    summary : tuple of SegmenterScore
        ``name``, ``way``, ``precision`` and ``interval`` at IoU 0.5, 0.75 and 0.9, ``training_seconds`` and
        ``prediction_seconds`` of each segmenter, the best first.
    pairs : tuple of Difference
        ``first``, ``second``, ``difference`` and ``interval`` at IoU 0.5, 0.75 and 0.9, ``wins``, ``losses`` and
        ``ties`` of every two segmenters, the two best first.
    per_image : dict of list
        A table with a row for every image and segmenter. ``pandas.DataFrame(per_image)`` takes it.

    See Also
    --------
    compare : compare segmenters.

    Examples
    --------
    >>> import flowseg
    >>> images, masks = zip(*[flowseg.synthetic.cells((64, 64), 5, rng=seed) for seed in range(6)])
    >>> result = flowseg.compare({"nuclei": "nuclei"}, images, masks, cv=2)
    >>> result.sentence.startswith("Average precision with nuclei is")
    True
    >>> result.save_report("comparison.html")
    """

    __module__ = "flowseg"

    sentence: str
    remarks: tuple[str, ...]
    summary: tuple[SegmenterScore, ...]
    pairs: tuple[Difference, ...]
    per_image: dict[str, list[Any]]
    _plan: Plan = field(repr=False)
    _found: dict[str, list[NDArray[np.int32]]] = field(repr=False)  # masks of every image, by segmenter

    def images_and_masks(self, number: int, names: list[str]) -> tuple[str, NDArray[Any], list[NDArray[Any]]]:
        """Return name and pixels of an image, its true masks, and those that segmenters found."""
        found = [self._found[name][number] for name in names]
        return self._plan.names[number], self._plan.images[number], [self._plan.masks[number], *found]

    def save_report(self, path: str | os.PathLike[str]) -> None:
        """Write one HTML page with the answer, tables, and the images on which the two best differ most.

        Parameters
        ----------
        path : path
            File to write, atomically. It needs no other file and no network connection.

        Raises
        ------
        TypeError, OSError
            If it is no path, or the file cannot be written.
        """
        from flowseg._compare.page import write_page

        write_page(_checks.as_path(path, "path"), self)


def make_comparison(plan: Plan, results: list[TrialResult]) -> Comparison:
    """Return the comparison of the results of all trials."""
    names = [one.name for one in plan.candidates]
    folds = [results[k :: len(names)] for k in range(len(names))]
    found = {name: by_image(plan, own) for name, own in zip(names, folds, strict=True)}
    counts = np.array([count_matches(plan.masks, found[name]) for name in names])
    estimates = estimate(names, counts, plan.groups)
    order = sorted(range(len(names)), key=lambda k: -estimates.precision[k, 0])
    summary = tuple(_summarize(plan, estimates, folds[k], k) for k in order)
    n_steps = {one.name: one.n_steps for one in plan.candidates if one.way != AS_IS}
    used = [one.name for one in plan.candidates if one.way == AS_IS]
    return Comparison(
        sentence=answer(names, estimates, plan.n_groups),
        remarks=tuple(remarks(estimates, plan.n_groups, n_steps, used)),
        summary=summary,
        pairs=tuple(estimates.pairs),
        per_image=_tabulate(plan, counts),
        _plan=plan,
        _found=found,
    )


def by_image(plan: Plan, results: list[TrialResult]) -> list[NDArray[np.int32]]:
    """Return the masks of every image, each from the fold that tested it; the results are one per fold."""
    masks = {
        int(i): labels
        for test, result in zip(plan.folds, results, strict=True)
        for i, labels in zip(test, result.masks, strict=True)
    }
    return [masks[i] for i in range(len(plan.images))]


def _summarize(plan: Plan, found: Estimates, results: list[TrialResult], k: int) -> SegmenterScore:
    return SegmenterScore(
        plan.candidates[k].name,
        plan.candidates[k].way,
        found.precision[k],
        found.intervals[k],
        sum(result.training_seconds for result in results),
        sum(result.prediction_seconds for result in results),
    )


def _tabulate(plan: Plan, counts: NDArray[np.int64]) -> dict[str, list[Any]]:
    """Return a row for every image and segmenter, as columns."""
    fold_of = plan.fold_of()
    rows = [(i, k) for i in range(len(plan.images)) for k in range(len(plan.candidates))]
    table: dict[str, list[Any]] = {
        "image": [plan.names[i] for i, _ in rows],
        "group": [int(plan.groups[i]) for i, _ in rows],
        "fold": [fold_of[i] for i, _ in rows],
        "segmenter": [plan.candidates[k].name for _, k in rows],
    }
    return table | tabulate_counts(np.array([counts[k, i] for i, k in rows]))
