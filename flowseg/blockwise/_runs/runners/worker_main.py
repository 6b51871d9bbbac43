"""The worker process: does the tasks that come on standard input, one at a time, and reports each.

It ends when standard input does, in the middle of a task if need be: the process that started it is gone.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO

from flowseg._nets.backends import suppress_startup_messages
from flowseg.blockwise._runs.job import open_job
from flowseg.blockwise._runs.runners.messages import (
    Report,
    describe_failure,
    read_assigned,
    read_start,
    to_line,
)
from flowseg.blockwise._runs.tasks import run_task

# Exit status of a process whose parent is gone.
ORPHANED = 1


def main() -> None:
    """Do tasks until there are no more."""
    suppress_startup_messages()
    lines: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, lines), daemon=True).start()
    out = os.dup(1)
    os.dup2(2, 1)  # output of libraries is no report
    try:
        start = read_start(lines.get())
        module, name = start.stages_of
        stages_of = getattr(importlib.import_module(module), name)
        job = open_job(Path(start.folder), n_threads=start.n_threads)
        stages = stages_of(job.plan)
        _send(out, Report())
        while True:
            task = read_assigned(lines.get())
            run_task(job, stages, task.stage, task.index)
            _send(out, Report())
    except BaseException as error:  # noqa: BLE001 (it is raised where the run was started)
        _send(out, Report(describe_failure(error)))
        os._exit(0)  # at once: a thread reads from standard input, which Python cannot wait for


def _send(out: int, report: Report) -> None:
    """Send a report; end the process if nobody reads it."""
    line = to_line(report)
    try:
        while line:
            line = line[os.write(out, line) :]
    except OSError:
        os._exit(ORPHANED)


def _listen(stream: BinaryIO, lines: SimpleQueue[bytes]) -> None:
    for line in stream:
        lines.put(line)
    os._exit(ORPHANED)
