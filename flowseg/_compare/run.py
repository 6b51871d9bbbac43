"""Train and test segmenters, trial by trial."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from typing import Any

from flowseg import _checks
from flowseg._compare.candidates import AS_IS
from flowseg._compare.expected_time import measure_fold
from flowseg._compare.plan import Plan, Trial
from flowseg._compare.store import Store, TrialResult
from flowseg._nets.durations import format_duration
from flowseg._system.locks import holding_folder
from flowseg._system.messages import say

# Takes a line about the progress.
Report = Callable[[str], None]


def make_report(verbose: Any) -> Report | None:
    """Return the function that writes lines to standard error; None to be silent."""
    return _write_line if _checks.as_integer(verbose, "verbose", minimum=0) else None


def run_in_folder(plan: Plan, folder: Any, kind: str, command: str, report: Report | None) -> list[TrialResult]:
    """Return the results of all trials of a plan; with a folder, they are kept there, and those in it are used.

    ``kind`` is what the folder is of, ``command`` the one that holds it meanwhile.
    """
    if folder is None:
        return run(plan, None, report)
    place = _checks.as_path(folder, "folder")
    if place.exists() and not place.is_dir():
        raise ValueError(f"folder must be a folder or not exist; {place} is a file.")
    place.mkdir(parents=True, exist_ok=True)
    with holding_folder(place, command, f"folder {place}"):
        return run(plan, Store(place, plan.describe(), kind), report)


def run(plan: Plan, store: Store | None, report: Report | None) -> list[TrialResult]:
    """Return the results of all trials; those in the store are not made again."""
    trials = plan.trials()
    results = {trial.key: None if store is None else store.read(trial.key) for trial in trials}
    left = [trial for trial in trials if results[trial.key] is None]
    expected = _estimate(plan, left, len(trials), report) if report is not None and left else {}
    for n_done, trial in enumerate(left, 1):
        results[trial.key] = result = _run_one(plan, trial, with_bar=report is not None)
        if store is not None:
            store.write(trial.key, result)
        seconds_left = 0.0
        if report is not None:
            expected[trial.candidate] = result.training_seconds + result.prediction_seconds
            seconds_left = sum(expected[other.candidate] for other in left[n_done:])
        say(_describe(plan, trial, result, seconds_left), aloud=report is not None)
    return [result for result in results.values() if result is not None]


def _estimate(plan: Plan, left: Sequence[Trial], n_trials: int, report: Report) -> dict[int, float]:
    """Report the expected time, measured from a few steps; return the seconds of a trial of each segmenter."""
    if len(left) < n_trials:
        report(f"{n_trials - len(left)} of {n_trials} results are there already and are used")
    report("measuring a few steps of each segmenter ...")
    seconds = {k: measure_fold(plan, k) for k in sorted({trial.candidate for trial in left})}
    total = sum(seconds[trial.candidate] for trial in left)
    report(f"expected time: {format_duration(total)}, without the choice of thresholds and the test of each training")
    return seconds


def _run_one(plan: Plan, trial: Trial, *, with_bar: bool) -> TrialResult:
    candidate = plan.candidates[trial.candidate]
    began = trained = time.monotonic()
    segmenter = candidate.segmenter
    if candidate.way != AS_IS:
        segmenter = candidate.copy_to_fit()
        with ExitStack() as stack:
            callbacks = [stack.enter_context(closing(_make_bar()))] if with_bar else []
            segmenter.fit(*plan.take(trial.train), callbacks=callbacks)
        trained = time.monotonic()
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # of false positives: the scores show them
        masks = segmenter.predict(plan.take(trial.test)[0])
    return TrialResult(masks, trained - began, time.monotonic() - trained)


def _make_bar() -> Any:
    from flowseg._nets.training.progress import ProgressBar

    return ProgressBar(by_lines=False)


def _describe(plan: Plan, trial: Trial, result: TrialResult, seconds_left: float) -> str:
    candidate, n_test = plan.candidates[trial.candidate], len(trial.test)
    trained = "" if candidate.way == AS_IS else f"trained in {format_duration(result.training_seconds)}, "
    left = f", {format_duration(seconds_left)} left" if seconds_left else ""
    return (
        f"{trial.title}: {trained}segmented {n_test} image{'s' * (n_test > 1)} in "
        f"{format_duration(result.prediction_seconds)}{left}"
    )


def _write_line(line: str) -> None:
    say(line, aloud=True)
