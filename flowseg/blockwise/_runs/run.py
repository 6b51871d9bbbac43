"""Do all the tasks of a run, stage by stage."""

from __future__ import annotations

from typing import Any

from flowseg import _checks
from flowseg.blockwise._runs.job import Job
from flowseg.blockwise._runs.runners.dask_client import ClientRunner, check_client, wait_for_worker
from flowseg.blockwise._runs.runners.in_process import InProcess
from flowseg.blockwise._runs.runners.processes import WorkerProcesses
from flowseg.blockwise._runs.runners.progress import StageProgress
from flowseg.blockwise._runs.stage import StagesOf
from flowseg.blockwise._runs.tasks import tasks_left


def check_runner(workers: int | None, client: Any) -> None:
    """Raise unless these are a number of processes, or a client that is connected and has workers."""
    if client is None:
        _checks.as_workers(workers)
        return
    if workers is not None:
        raise ValueError(f"workers must be None with a client, which has workers of its own; got {workers!r}.")
    check_client(client)
    wait_for_worker(client)


def run_stages(
    job: Job,
    stages_of: StagesOf,
    *,
    workers: int | None = None,
    client: Any = None,
    progress: StageProgress | None = None,
) -> None:
    """Do the tasks of a run that are not done yet.

    Parameters
    ----------
    job : Job
        The run.
    stages_of : callable
        A module's function that returns the stages of a plan; workers import it by its name.
    workers : int, optional
        Number of processes of this machine, one per core by default; 1 is this process.
    client : distributed.Client, optional
        Client of a dask cluster whose workers do the tasks in place of processes of this machine.
    progress : StageProgress, optional
        Shows how many blocks are done.

    Raises
    ------
    ChildProcessError
        If a task's workers are killed again and again.
    Exception
        What a task raised, with a note that names the task.
    """
    check_runner(workers, client)
    shown = StageProgress() if progress is None else progress
    stages = stages_of(job.plan)
    runner: ClientRunner | InProcess | WorkerProcesses
    if client is not None:
        runner = ClientRunner(job, stages_of, client)
    elif _checks.as_workers(workers) == 1:
        runner = InProcess(job, stages_of)
    else:
        runner = WorkerProcesses(job, stages_of, workers)
    try:
        with runner:
            for stage in stages:
                n, left = tasks_left(job, stages, stage.name)
                shown.begin(stage.name, n, n - len(left))
                runner.run_stage(stage, left, shown.advance)
    finally:
        shown.end()


def check_finished(job: Job, stages_of: StagesOf) -> None:
    """Raise ValueError unless all tasks of a run are done."""
    stages = stages_of(job.plan)
    for stage in stages:
        n, left = tasks_left(job, stages, stage.name)
        if left:
            raise ValueError(
                f"the run in {job.folder} must be done before it is finished; {len(left)} of {n} blocks of stage "
                f"{stage.name} are left, the first is block {left[0]}. Run its parts again."
            )
