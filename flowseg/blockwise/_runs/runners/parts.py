"""The parts of a job array: processes that know of each other only by the files in the work folder.

Part i of n does the tasks i - 1, i - 1 + n, ... of every stage, and then waits until the others have done theirs. Every
part changes a file of its own now and then. Tasks of a part whose file does not change, because it was killed or is
still in the queue, are shared out over those that wait. A task that two parts do at once is no harm: both write the
same bytes.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from flowseg import _checks
from flowseg.blockwise._runs.job import PARTS_FOLDER, Job
from flowseg.blockwise._runs.runners.progress import StageProgress
from flowseg.blockwise._runs.stage import Stage, StagesOf
from flowseg.blockwise._runs.tasks import run_task, tasks_left

# Seconds without a sign of a part after which others do its tasks.
TIMEOUT = 300.0
# Seconds between two looks at the records of other parts, at first and at most: a shared disk has other users, too.
FIRST_POLL, LAST_POLL = 0.05, 10.0
# Signs that a part gives within the time after which others do its tasks.
SIGNS = 5
# Characters of a sign that a part reads.
MOST_READ = 40


class _Sign:
    """Changes the file of a part again and again, in a thread, while a block runs."""

    def __init__(self, file: Path, interval: float) -> None:
        self._file, self._interval = file, interval
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._file.parent.mkdir(exist_ok=True)
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with suppress(OSError):  # a full disk, a folder that has vanished: the tasks report it
                self._file.write_text(f"{time.time()}", encoding="ascii")
            if self._over.wait(self._interval):
                return


class _Others:
    """Which parts are at work, by the clock of this process: those of machines may differ."""

    def __init__(self, folder: Path, part: int, n_parts: int, timeout: float) -> None:
        self._folder, self._part, self._n, self._timeout = folder, part, n_parts, timeout
        self._seen: dict[int, tuple[str, float]] = {}
        self._next_look = 0.0
        self._at_work: list[int] = []

    def look(self) -> list[int]:
        """Return the numbers of the parts that are at work, this one among them, as of a short time ago."""
        now = time.monotonic()
        if now < self._next_look:
            return self._at_work
        self._next_look = now + self._timeout / SIGNS
        self._at_work = []
        for part in range(1, self._n + 1):
            text = _read(sign_file(self._folder, part, self._n))
            before, since = self._seen.get(part, ("", now))
            if text != before:
                since = now
            self._seen[part] = (text, since)
            if part == self._part or now - since < self._timeout:
                self._at_work.append(part)
        return self._at_work


def sign_file(folder: Path, part: int, n_parts: int) -> Path:
    """Return the file that a part changes."""
    return folder / PARTS_FOLDER / f"{part}-of-{n_parts}"


def _read(file: Path) -> str:
    try:
        with open(file, encoding="ascii", errors="replace") as opened:
            return opened.read(MOST_READ)
    except OSError:
        return ""


def check_part(part: int, n_parts: int) -> tuple[int, int]:
    """Return the number of a part and that of all parts, or raise if there is no such part."""
    n_parts = _checks.as_integer(n_parts, "n_parts", minimum=1)
    part = _checks.as_integer(part, "part", minimum=1)
    if part > n_parts:
        raise ValueError(f"part must be an integer from 1 to n_parts, {n_parts}; got {part}.")
    return part, n_parts


def run_stages_of_part(
    job: Job,
    stages_of: StagesOf,
    part: int,
    n_parts: int,
    *,
    timeout: float = TIMEOUT,
    progress: StageProgress | None = None,
) -> None:
    """Do the tasks of one part of a job array, stage by stage, waiting for the others between stages.

    Parameters
    ----------
    job : Job
        The run.
    stages_of : callable
        A function that returns the stages of a plan.
    part : int
        Number of this part, from 1.
    n_parts : int
        Number of all parts.
    timeout : float, default 300
        Seconds without a sign of a part after which the others do its tasks.
    progress : StageProgress, optional
        Shows how many blocks are done, by all parts.
    """
    part, n_parts = check_part(part, n_parts)
    stages = stages_of(job.plan)
    shown = StageProgress() if progress is None else progress
    with _Sign(sign_file(job.folder, part, n_parts), timeout / SIGNS):
        others = _Others(job.folder, part, n_parts, timeout)
        for stage in stages:
            _run_stage(job, stages, stage, others, (part, n_parts), shown)
        shown.end()


def _run_stage(
    job: Job, stages: Sequence[Stage], stage: Stage, others: _Others, place: tuple[int, int], shown: StageProgress
) -> None:
    part, n_parts = place
    n, left = tasks_left(job, stages, stage.name)
    shown.begin(stage.name, n, n - len(left))
    mine = [index for index in left if index % n_parts == part - 1]
    for index in mine:
        run_task(job, stages, stage.name, index)
        shown.advance()
    done = set(mine)
    left = [index for index in left if index not in done]
    poll = FIRST_POLL
    while left:
        job.check_exists()
        still = _still_left(job, stage.name, left)
        for _ in range(len(left) - len(still)):
            shown.advance()
            poll = FIRST_POLL
        left = still
        taken_over = next((index for index in left if _deputy(index, others.look(), n_parts) == part), None)
        if taken_over is not None:
            run_task(job, stages, stage.name, taken_over)
        elif left:
            time.sleep(poll)
            poll = min(1.5 * poll, LAST_POLL)


def _still_left(job: Job, stage: str, left: Sequence[int]) -> list[int]:
    """Return the tasks that are not done; one listing of the folder shows which records there may be."""
    try:
        names = set(os.listdir(job.folder / stage))
    except FileNotFoundError:
        return list(left)
    return [index for index in left if f"{index}.npz" not in names or not job.is_done(stage, index)]


def _deputy(index: int, at_work: Sequence[int], n_parts: int) -> int:
    """Return the part that a task belongs to or, where that is absent, the one that takes it over."""
    owner = index % n_parts + 1
    return owner if owner in at_work else at_work[index // n_parts % len(at_work)]
