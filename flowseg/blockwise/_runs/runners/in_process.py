"""Do tasks in this process, one after another: nothing has to be started, and nothing runs at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType

from flowseg.blockwise._runs.job import Job
from flowseg.blockwise._runs.stage import Stage, StagesOf
from flowseg.blockwise._runs.tasks import run_task


class InProcess:
    """The runner for one worker.

    Parameters
    ----------
    job : Job
        The run.
    stages_of : callable
        A function that returns the stages of a plan.
    """

    def __init__(self, job: Job, stages_of: StagesOf) -> None:
        self._job = job
        self._stages = stages_of(job.plan)

    def __enter__(self) -> InProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def run_stage(self, stage: Stage, indices: Iterable[int], advance: Callable[[], None]) -> None:
        """Do tasks of a stage; ``advance`` is called after each."""
        for index in indices:
            run_task(self._job, self._stages, stage.name, index)
            advance()
