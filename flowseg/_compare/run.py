"""Train and test every segmenter on every fold."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from typing import Any, NamedTuple

from flowseg._compare.candidates import AS_IS
from flowseg._compare.expected_time import measure_fold
from flowseg._compare.plan import Plan
from flowseg._compare.store import FoldResult, Store
from flowseg._nets.durations import format_duration

# Takes a line about the progress.
Report = Callable[[str], None]


class Job(NamedTuple):
    """A segmenter in a fold, by their numbers."""

    fold: int
    candidate: int


def run(plan: Plan, store: Store | None, report: Report | None) -> list[list[FoldResult]]:
    """Return the results of each segmenter, fold by fold; those in the store are not made again."""
    jobs = [Job(fold, k) for fold in range(len(plan.folds)) for k in range(len(plan.candidates))]
    results = {job: None if store is None else store.read(*job) for job in jobs}
    left = [job for job in jobs if results[job] is None]
    expected = _estimate(plan, left, len(jobs), report) if report is not None and left else {}
    for n_done, job in enumerate(left, 1):
        results[job] = result = _run_one(plan, job, with_bar=report is not None)
        if store is not None:
            store.write(*job, result)
        if report is not None:
            expected[job.candidate] = result.training_seconds + result.prediction_seconds
            report(_describe(plan, job, result, sum(expected[other.candidate] for other in left[n_done:])))
    done = {job: result for job, result in results.items() if result is not None}
    return [[done[Job(fold, k)] for fold in range(len(plan.folds))] for k in range(len(plan.candidates))]


def _estimate(plan: Plan, left: Sequence[Job], n_jobs: int, report: Report) -> dict[int, float]:
    """Report the expected time, measured from a few steps; return the seconds of a fold of each segmenter."""
    if len(left) < n_jobs:
        report(f"{n_jobs - len(left)} of {n_jobs} results are there already and are used")
    report("measuring a few steps of each segmenter ...")
    seconds = {k: measure_fold(plan, k) for k in sorted({job.candidate for job in left})}
    total = sum(seconds[job.candidate] for job in left)
    report(f"expected time: {format_duration(total)}, without the choice of thresholds after each training")
    return seconds


def _run_one(plan: Plan, job: Job, *, with_bar: bool) -> FoldResult:
    candidate = plan.candidates[job.candidate]
    began = trained = time.monotonic()
    segmenter = candidate.segmenter
    if candidate.way != AS_IS:
        segmenter = candidate.copy_to_fit()
        with ExitStack() as stack:
            callbacks = [stack.enter_context(closing(_make_bar()))] if with_bar else []
            segmenter.fit(*plan.train_set(job.fold), callbacks=callbacks)
        trained = time.monotonic()
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # of false positives: the scores show them
        masks = segmenter.predict([plan.images[i] for i in plan.folds[job.fold]])
    return FoldResult(masks, trained - began, time.monotonic() - trained)


def _make_bar() -> Any:
    from flowseg._nets.training.progress import ProgressBar

    return ProgressBar(by_lines=False)


def _describe(plan: Plan, job: Job, result: FoldResult, seconds_left: float) -> str:
    candidate, n_test = plan.candidates[job.candidate], len(plan.folds[job.fold])
    trained = "" if candidate.way == AS_IS else f"trained in {format_duration(result.training_seconds)}, "
    left = f", {format_duration(seconds_left)} left" if seconds_left else ""
    return (
        f"fold {job.fold + 1} of {len(plan.folds)}, {candidate.name}: {trained}segmented {n_test} "
        f"image{'s' * (n_test > 1)} in {format_duration(result.prediction_seconds)}{left}"
    )
