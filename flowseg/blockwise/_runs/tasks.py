"""Do one task of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from flowseg.blockwise._runs.job import Job
from flowseg.blockwise._runs.records import DamagedRecordError
from flowseg.blockwise._runs.stage import Stage, find_stage

T = TypeVar("T")

# Damaged records of earlier stages that one task has done again at most.
MOST_REPAIRS = 16


def run_task(job: Job, stages: Sequence[Stage], name: str, index: int) -> None:
    """Do a task unless it is done; tasks of earlier stages whose records turn out to be damaged are done again.

    An exception gets a note that names the task.
    """
    if not job.is_done(name, index):
        stage = find_stage(stages, name)
        _repairing(job, stages, stage, lambda: _run(job, stage, index))


def tasks_left(job: Job, stages: Sequence[Stage], name: str) -> tuple[int, list[int]]:
    """Return the number of a stage's tasks, and those that are not done yet."""
    stage = find_stage(stages, name)
    n = _repairing(job, stages, stage, lambda: stage.count(job))
    return n, [index for index in range(n) if not job.is_done(name, index)]


def _run(job: Job, stage: Stage, index: int) -> None:
    try:
        stage.run(job, index)
    except DamagedRecordError:
        raise
    except Exception as error:
        if isinstance(error, FileNotFoundError):
            job.check_exists()
        error.add_note(f"stage {stage.name}, block {index}")
        raise
    if not job.is_done(stage.name, index):
        job.check_exists()
        raise RuntimeError(f"stage {stage.name} must write a record for block {index}; there is none.")


def _repairing(job: Job, stages: Sequence[Stage], stage: Stage, work: Callable[[], T]) -> T:
    """Call ``work``, again after each damaged record of an earlier stage that it reads."""
    earlier = {other.name for other in stages[: list(stages).index(stage)]}
    for _ in range(MOST_REPAIRS):
        try:
            return work()
        except DamagedRecordError as error:
            if error.stage not in earlier:
                raise
            job.remove_record(error.stage, error.index)
            run_task(job, stages, error.stage, error.index)
    return work()
