"""The result of a learning curve."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._compare.comparison import by_image
from flowseg._compare.differences import count_matches, estimate, tabulate_counts
from flowseg._compare.store import TrialResult
from flowseg._curve.estimates import Prediction, estimate_curve
from flowseg._curve.plan import CurvePlan
from flowseg._curve.sentence import answer, remarks


class SegmenterCurve(NamedTuple):
    """The learning curve of a segmenter.

    Attributes
    ----------
    name, way : str
        Its name, and what was done with it.
    train_sizes : ndarray of int, shape (n_sizes,)
        Numbers of training images; one of 0 for a segmenter that is used as it is.
    train_objects : ndarray of int, shape (n_sizes, n_folds)
        Numbers of annotated objects in them.
    test_scores : ndarray, shape (n_sizes, n_folds, 3)
        Average precision of each fold at IoU 0.5, 0.75 and 0.9, over all objects of its test images.
    precision : ndarray, shape (n_sizes, 3)
        Average precision over all objects of all images.
    interval : ndarray, shape (n_sizes, 3, 2)
        95 % bootstrap interval over groups of images.
    prediction : Prediction or None
        The fitted curve up to twice the largest training set; None with fewer than three sizes.
    n_steps : int
        Training steps, the same for all sizes.
    training_seconds, prediction_seconds : float
        Of all trainings together.
    """

    name: str
    way: str
    train_sizes: NDArray[np.intp]
    train_objects: NDArray[np.intp]
    test_scores: NDArray[np.float64]
    precision: NDArray[np.float64]
    interval: NDArray[np.float64]
    prediction: Prediction | None
    n_steps: int
    training_seconds: float
    prediction_seconds: float


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """What `learning_curve` returns.

    Attributes
    ----------
    sentence : str
        The answer in one sentence: what twice as many annotated images would give.
    remarks : tuple of str
        What to know beside it.
    curves : tuple of SegmenterCurve
        ``name``, ``train_sizes``, ``train_objects``, ``test_scores``, ``precision``, ``interval``, ``prediction`` and
        more of each segmenter, the best at its largest training set first. ``prediction`` has ``n_images``,
        ``precision``, ``interval``, ``gain`` and ``gain_interval``.
    per_image : dict of list
        A table with a row for every image, number of training images, and segmenter. ``pandas.DataFrame(per_image)``
        takes it.

    See Also
    --------
    learning_curve : measure a learning curve.

    Examples
    --------
    >>> import flowseg
    >>> images, masks = zip(*[flowseg.synthetic.cells((64, 64), 5, rng=seed) for seed in range(6)])
    >>> result = flowseg.learning_curve({"nuclei": "nuclei"}, images, masks, cv=2)
    >>> result.curves[0].train_sizes
    array([0])
    >>> result.save_report("curve.html")
    """

    __module__ = "flowseg"

    sentence: str
    remarks: tuple[str, ...]
    curves: tuple[SegmenterCurve, ...]
    per_image: dict[str, list[Any]]

    def save_report(self, path: str | os.PathLike[str]) -> None:
        """Write one HTML page with the answer, the curves and tables.

        Parameters
        ----------
        path : path
            File to write, atomically. It needs no other file and no network connection.

        Raises
        ------
        TypeError, OSError
            If it is no path, or the file cannot be written.
        """
        from flowseg._curve.page import write_page

        write_page(_checks.as_path(path, "path"), self)


def make_curve(plan: CurvePlan, results: list[TrialResult]) -> LearningCurve:
    """Return the learning curve of the results of all trials."""
    by_key = dict(zip((trial.key for trial in plan.trials()), results, strict=True))
    found = [
        [[by_key[plan.key(fold, n, k)] for fold in range(len(plan.folds))] for n in plan.sizes_of(k)]
        for k in range(len(plan.candidates))
    ]
    counts = [np.array([count_matches(plan.masks, by_image(plan, folds)) for folds in sizes]) for sizes in found]
    curves = [_summarize(plan, k, counts[k], found[k]) for k in range(len(plan.candidates))]
    ends = np.array([of_sizes[-1] for of_sizes in counts])
    pairs = estimate([one.name for one in plan.candidates], ends, plan.groups).pairs
    best_first = tuple(sorted(curves, key=lambda curve: -curve.precision[-1, 0]))
    return LearningCurve(
        sentence=answer(best_first, pairs, plan.n_groups),
        remarks=tuple(remarks(best_first, pairs, plan.n_groups, len(plan.images), len(plan.folds))),
        curves=best_first,
        per_image=_tabulate(plan, counts),
    )


def _summarize(
    plan: CurvePlan, candidate: int, counts: NDArray[np.int64], results: list[list[TrialResult]]
) -> SegmenterCurve:
    one, sizes = plan.candidates[candidate], np.array(plan.sizes_of(candidate), dtype=np.intp)
    estimates = estimate_curve(sizes, counts, plan.groups, plan.folds)
    trials = [result for folds in results for result in folds]
    return SegmenterCurve(
        name=one.name,
        way=one.way,
        train_sizes=sizes,
        train_objects=np.array([plan.count_train_objects(n) for n in sizes.tolist()], dtype=np.intp),
        test_scores=estimates.test_scores,
        precision=estimates.precision,
        interval=estimates.interval,
        prediction=estimates.prediction,
        n_steps=one.n_steps,
        training_seconds=sum(trial.training_seconds for trial in trials),
        prediction_seconds=sum(trial.prediction_seconds for trial in trials),
    )


def _tabulate(plan: CurvePlan, counts: list[NDArray[np.int64]]) -> dict[str, list[Any]]:
    """Return a row for every image, number of training images and segmenter, as columns."""
    fold_of = plan.fold_of()
    rows = [
        (i, k, s)
        for i in range(len(plan.images))
        for k in range(len(plan.candidates))
        for s in range(len(plan.sizes_of(k)))
    ]
    chosen = np.array([counts[k][s, i] for i, k, s in rows])
    table: dict[str, list[Any]] = {
        "image": [plan.names[i] for i, _, _ in rows],
        "group": [int(plan.groups[i]) for i, _, _ in rows],
        "fold": [fold_of[i] for i, _, _ in rows],
        "segmenter": [plan.candidates[k].name for _, k, _ in rows],
        "train_images": [plan.sizes_of(k)[s] for _, k, s in rows],
    }
    return table | tabulate_counts(chosen)
