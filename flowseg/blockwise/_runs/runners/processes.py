"""Worker processes of this machine: one task at a time each; one that is killed costs its task only.

They are new Python processes, not copies of this one and not children that run its script again: so a script needs no
``if __name__ == "__main__"``, and threads and locks of this process do not matter.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import TracebackType

from flowseg import _checks
from flowseg._nets import backends
from flowseg.blockwise._runs.job import Job
from flowseg.blockwise._runs.runners.messages import Assigned, Start, as_exception, read_report, to_line
from flowseg.blockwise._runs.stage import Stage, StagesOf

# A worker process imports from the same places as this one.
PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from flowseg.blockwise._runs.runners.worker_main import main; main()"
)
# How often a task is begun whose worker process is killed, and how often in a row a process may end as it starts.
MOST_ATTEMPTS = 3
# Seconds between two looks at the keyboard while waiting, where a wait cannot be interrupted.
POLL = 0.1 if os.name == "nt" else None


class _Worker:
    """A process, and the task that it does. ``task`` is None before it has started and when it is idle."""

    def __init__(self, start: Start, messages: SimpleQueue[tuple[_Worker, bytes]]) -> None:
        self.task: Assigned | None = None
        self.is_ready = False
        threads = {name: str(start.n_threads) for name in backends.THREAD_VARIABLES}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=threads | os.environ,
            start_new_session=os.name != "nt",  # Ctrl-C is for this process, which ends the others
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        self._thread = threading.Thread(target=self._listen, args=(messages,), daemon=True)
        self._thread.start()
        self._send(to_line(start))

    def _listen(self, messages: SimpleQueue[tuple[_Worker, bytes]]) -> None:
        pipe = self.process.stdout
        if pipe is not None:
            for line in pipe:
                messages.put((self, line))
        messages.put((self, b""))

    def _send(self, line: bytes) -> None:
        with suppress(OSError):  # it has ended, as the thread will report
            if self.process.stdin is not None:
                self.process.stdin.write(line)
                self.process.stdin.flush()

    def assign(self, task: Assigned) -> None:
        """Have the process do a task."""
        self.task = task
        self._send(to_line(task))

    def close(self) -> int:
        """End the process; return its exit status."""
        with suppress(OSError):
            self.process.kill()
        status = self.process.wait()
        self._thread.join()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):  # a line for a process that has ended
                if pipe is not None:
                    pipe.close()
        return status


class WorkerProcesses:
    """Worker processes for the tasks of a run: ``with WorkerProcesses(job, stages_of, 4) as processes: ...``.

    They are started as tasks come, and stay from one stage to the next, but for those that have a network in memory and
    need it no more. The end of the block ends them at once.

    Parameters
    ----------
    job : Job
        The run.
    stages_of : callable
        A module's function that returns the stages of a plan.
    workers : int or None
        Number of processes; None means one per core.
    """

    def __init__(self, job: Job, stages_of: StagesOf, workers: int | None) -> None:
        self._most = _checks.as_workers(workers)
        n_threads = max(_checks.as_workers(None) // self._most, 1)
        self._start = Start(str(job.folder), (stages_of.__module__, stages_of.__qualname__), n_threads)
        self._messages: SimpleQueue[tuple[_Worker, bytes]] = SimpleQueue()
        self._workers: list[_Worker] = []
        self._n_failed_starts = 0
        self._had_network = False

    def __enter__(self) -> WorkerProcesses:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end_all()

    def run_stage(self, stage: Stage, indices: Iterable[int], advance: Callable[[], None]) -> None:
        """Do tasks of a stage, in any order; ``advance`` is called after each.

        Raises
        ------
        ChildProcessError
            If worker processes are killed again and again.
        Exception
            What a task raised, with a note that names the task.
        """
        todo = deque(indices)
        if todo and self._had_network and not stage.uses_network:  # the network takes memory in every process
            self._end_all()
        self._had_network = stage.uses_network
        attempts: Counter[int] = Counter()
        left = len(todo)
        while left:
            self._assign(stage.name, todo)
            worker, line = self._receive()
            task = worker.task
            if not line:
                status = self._bury(worker)
                if task is None:
                    self._count_failed_start(status)
                else:
                    attempts[task.index] += 1
                    _check_attempts(task, attempts[task.index], status)
                    todo.append(task.index)
                continue
            failure = read_report(line).failure
            if failure is not None:
                raise as_exception(failure)
            if worker.is_ready:
                left -= 1
                advance()
            worker.task, worker.is_ready, self._n_failed_starts = None, True, 0

    def _end_all(self) -> None:
        """End all processes, which are idle or of no use any more."""
        while self._workers:
            self._workers.pop().close()
        self._messages = SimpleQueue()

    def _assign(self, stage: str, todo: deque[int]) -> None:
        """Give every idle process a task, and start processes for the other tasks."""
        for worker in self._workers:
            if todo and worker.is_ready and worker.task is None:
                worker.assign(Assigned(stage, todo.popleft()))
        starting = sum(not worker.is_ready for worker in self._workers)
        for _ in range(min(self._most - len(self._workers), len(todo) - starting)):
            self._workers.append(_Worker(self._start, self._messages))

    def _receive(self) -> tuple[_Worker, bytes]:
        """Wait for a line of a process, or for its end."""
        while True:
            with suppress(Empty):
                return self._messages.get(timeout=POLL)

    def _bury(self, worker: _Worker) -> int:
        self._workers.remove(worker)
        return worker.close()

    def _count_failed_start(self, status: int) -> None:
        self._n_failed_starts += 1
        if self._n_failed_starts >= MOST_ATTEMPTS:
            raise ChildProcessError(
                f"worker processes must start with {sys.executable}; {self._n_failed_starts} in a row ended "
                f"{_how(status)}."
            )


def _check_attempts(task: Assigned, n: int, status: int) -> None:
    if n >= MOST_ATTEMPTS:
        raise ChildProcessError(
            f"block {task.index} of stage {task.stage} must be done by one of {MOST_ATTEMPTS} worker processes; all "
            f"ended, the last {_how(status)}. If memory ran out, fewer workers or smaller blocks take less."
        )


def _how(status: int) -> str:
    """Return in words how a process ended."""
    if status >= 0:
        return f"with exit status {status}"
    try:
        return f"by {signal.Signals(-status).name}"
    except ValueError:
        return f"by signal {-status}"
