"""A run without a scheduler: one process plans it, those of a job array do its parts, and one finishes it."""

from __future__ import annotations

import os

from flowseg._checks import as_number, as_workers
from flowseg._system import locks
from flowseg.blockwise._runs.job import open_job, remove_work_folder, work_folder_of
from flowseg.blockwise._runs.plan import Plan
from flowseg.blockwise._runs.run import check_finished
from flowseg.blockwise._runs.runners.parts import TIMEOUT, check_part, run_stages_of_part
from flowseg.blockwise._runs.runners.progress import StageProgress
from flowseg.blockwise._runs.stage import StagesOf
from flowseg.blockwise._stages.labels import complete_labels
from flowseg.blockwise._stages.order import stages_of


def run_part(
    output: str | os.PathLike[str],
    part: int,
    n_parts: int,
    *,
    timeout: float = TIMEOUT,
    progress: StageProgress | None = None,
    stages: StagesOf = stages_of,
) -> Plan:
    """Do one part of the tasks of a run, in this process, and return the run's plan.

    Between two stages it waits for the other parts. Several parts may run at once, also of one number.

    Parameters
    ----------
    output : path
        The output that the run was planned for.
    part : int
        Number of this part, from 1.
    n_parts : int
        Number of all parts.
    timeout : float, default 300
        Seconds without a sign of another part after which its tasks are done here. The part may have been killed, or
        may be in a queue.
    progress : StageProgress, optional
        Shows how many blocks are done.
    stages : callable, optional
        A function that returns the stages of a plan.

    Returns
    -------
    plan : Plan
        The plan of the run.

    Raises
    ------
    FileNotFoundError
        If no run is planned for the output.
    ValueError
        If there is no such part, or another version of flowseg planned the run.

    Examples
    --------
    >>> import flowseg
    >>> flowseg.blockwise.run_part("planned.ome.zarr", 1, 200)  # doctest: +SKIP
    """
    part, n_parts = check_part(part, n_parts)
    timeout = as_number(timeout, "timeout", low=0, open_low=True)
    job = open_job(work_folder_of(output), n_threads=as_workers(None))
    run_stages_of_part(job, stages, part, n_parts, timeout=timeout, progress=progress)
    return job.plan


def finish(output: str | os.PathLike[str], *, keep: bool = False, stages: StagesOf = stages_of) -> Plan:
    """End a run whose tasks are all done: remove its work folder, and return its plan.

    Parameters
    ----------
    output : path
        The output that the run was planned for.
    keep : bool, default False
        Whether to keep the work folder.
    stages : callable, optional
        A function that returns the stages of a plan.

    Returns
    -------
    plan : Plan
        The plan of the run.

    Raises
    ------
    FileNotFoundError
        If no run is planned for the output.
    ValueError
        If tasks are left.
    BlockingIOError
        If another process holds the work folder.

    Examples
    --------
    >>> import flowseg
    >>> flowseg.blockwise.finish("planned.ome.zarr")  # doctest: +SKIP
    """
    folder = work_folder_of(output)
    job = open_job(folder)
    with locks.holding_file(folder, "flowseg.blockwise.finish", f"work folder {folder}"):
        check_finished(job, stages)
        if stages is stages_of:
            complete_labels(job)
        if not keep:
            remove_work_folder(folder)
    return job.plan
