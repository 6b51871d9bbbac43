"""The tasks of a run on the workers of a dask cluster: one small future per task.

A worker that is lost costs its tasks, which dask gives to others. Each task looks for its record first, so one that was
done, and whose worker was lost before this was known, is not done again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple
from uuid import uuid4

from flowseg import __version__
from flowseg._system.optional_packages import need
from flowseg.blockwise._runs.job import Job, shared_job
from flowseg.blockwise._runs.plan import PLAN_NAME
from flowseg.blockwise._runs.stage import Stage, StagesOf
from flowseg.blockwise._runs.tasks import run_task

# Packages of the extra "large" that tasks need.
NEEDED_PACKAGES = ("zarr", "dask", "distributed")
# Seconds to wait for the first worker, as of a cluster that has just been started.
FIRST_WORKER = 30.0
# Seconds that a run goes on without a worker, as when all are replaced at once.
NO_WORKER = 600.0
# Seconds between two looks at the workers while waiting.
POLL = 5.0
# Tasks that are with the cluster at a time, per thread of its workers, and at least.
AHEAD, LEAST_AHEAD = 4, 64
# How often a task is submitted whose workers were lost; dask itself gives it to four workers each time.
MOST_ATTEMPTS = 3
# Resources that workers may declare: tasks of the network ask for the first, all others for the second.
NETWORK_RESOURCE, OTHER_RESOURCE = "GPU", "CPU"


class WorkerState(NamedTuple):
    """What a worker reports before a run."""

    version: str
    missing: tuple[str, ...]  # packages
    sees_folder: bool
    resources: tuple[str, ...]


def describe_worker(folder: str, dask_worker: Any = None) -> WorkerState:
    """Return the state of the worker that this function runs on."""
    missing = tuple(name for name in NEEDED_PACKAGES if find_spec(name) is None)
    resources = tuple(sorted(dask_worker.state.total_resources)) if dask_worker is not None else ()
    return WorkerState(__version__, missing, (Path(folder) / PLAN_NAME).is_file(), resources)


def run_on_worker(folder: str, version: str, stages_of: StagesOf, stage: str, index: int) -> None:
    """Do a task; called on a worker."""
    if version != __version__:  # a worker that joined after the others were asked
        raise ValueError(f"workers must have flowseg {version}, as the client has; one has {__version__}.")
    job = shared_job(Path(folder), 1)
    run_task(job, stages_of(job.plan), stage, index)


class ClientRunner:
    """Does the tasks of a run on the workers of a client: ``with ClientRunner(job, stages_of, client) as runner: ...``.

    Parameters
    ----------
    job : Job
        The run; its folder must have the same path on all workers.
    stages_of : callable
        A module's function that returns the stages of a plan.
    client : distributed.Client
        A client that is connected.

    Raises
    ------
    TypeError, ValueError, OSError
        If there is no client or no worker, or a worker cannot do the tasks.
    """

    def __init__(self, job: Job, stages_of: StagesOf, client: Any) -> None:
        self._job, self._stages_of, self._client = job, stages_of, client
        check_client(client)
        self._resources = check_workers(client, job.folder)
        self._futures: dict[int, Any] = {}

    def __enter__(self) -> ClientRunner:
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(Exception):  # the cluster may be gone
            self._client.cancel(list(self._futures.values()))
        self._futures.clear()

    def run_stage(self, stage: Stage, indices: Iterable[int], advance: Callable[[], None]) -> None:
        """Do tasks of a stage, in any order; ``advance`` is called after each."""
        todo = iter(indices)
        ahead = max(AHEAD * sum(self._client.nthreads().values()), LEAST_AHEAD)
        ended: SimpleQueue[tuple[int, Any]] = SimpleQueue()
        attempts: dict[int, int] = {}
        self._submit_next(stage, todo, ahead, ended)
        while self._futures:
            index, future = self._receive(ended)
            if future is not self._futures.get(index):
                continue
            del self._futures[index]
            if _was_lost(future):
                attempts[index] = attempts.get(index, 1) + 1
                if attempts[index] > MOST_ATTEMPTS:
                    raise ChildProcessError(
                        f"block {index} of stage {stage.name} must be done by a worker of the client; all that were "
                        "given it were lost. If their memory ran out, fewer threads per worker or smaller blocks "
                        "take less."
                    )
                self._submit(stage, index, ended)
            else:
                _raise_error(future)
                advance()
                self._submit_next(stage, todo, 1, ended)

    def _submit_next(self, stage: Stage, todo: Iterator[int], n: int, ended: SimpleQueue[tuple[int, Any]]) -> None:
        for _, index in zip(range(n), todo, strict=False):
            self._submit(stage, index, ended)

    def _submit(self, stage: Stage, index: int, ended: SimpleQueue[tuple[int, Any]]) -> None:
        resource = NETWORK_RESOURCE if stage.uses_network else OTHER_RESOURCE
        future = self._client.submit(
            run_on_worker,
            str(self._job.folder),
            __version__,
            self._stages_of,
            stage.name,
            index,
            key=f"flowseg-{stage.name}-{index}-{uuid4().hex}",
            pure=False,
            resources={resource: 1} if resource in self._resources else None,
        )
        self._futures[index] = future
        future.add_done_callback(lambda done: ended.put((index, done)))

    def _receive(self, ended: SimpleQueue[tuple[int, Any]]) -> tuple[int, Any]:
        """Wait for the end of a task, as long as there are workers."""
        last_seen = time.monotonic()
        while True:
            with suppress(Empty):
                return ended.get(timeout=POLL)
            if self._client.status != "running":
                raise ConnectionError(
                    f"client must stay connected to its scheduler while a run lasts; it is {self._client.status}."
                )
            if self._client.nthreads():
                last_seen = time.monotonic()
            elif time.monotonic() - last_seen > NO_WORKER:
                raise TimeoutError(f"client must have workers; all were lost, and none came for {NO_WORKER:g} seconds.")


def check_client(client: Any) -> None:
    """Raise unless this is a client that is connected and waits for results itself."""
    distributed = need("distributed", "large")
    if not isinstance(client, distributed.Client):
        raise TypeError(f"client must be a dask.distributed.Client; got {type(client).__name__}.")
    if client.asynchronous:
        raise TypeError("client must be a client made without asynchronous=True.")
    if client.status != "running":
        raise ValueError(f"client must be connected to a scheduler; it is {client.status}.")


def check_workers(client: Any, folder: Path) -> frozenset[str]:
    """Raise unless there are workers, all of which can do tasks; return the resources that any of them declares."""
    wait_for_worker(client)
    resources: set[str] = set()
    for address, state in client.run(describe_worker, str(folder), on_error="return").items():
        resources.update(_check_worker(address, state, folder))
    return frozenset(resources)


def wait_for_worker(client: Any) -> None:
    """Wait for a short time until there is a worker, or raise TimeoutError."""
    deadline = time.monotonic() + FIRST_WORKER
    while not client.nthreads():
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"client must have workers; it had none for {FIRST_WORKER:g} seconds. Where they wait in a queue, call "
                "client.wait_for_workers(1) first."
            )
        time.sleep(min(POLL, FIRST_WORKER / 10))


def _check_worker(address: str, state: Any, folder: Path) -> tuple[str, ...]:
    if isinstance(state, ImportError | AttributeError):
        raise ValueError(f"workers must have flowseg {__version__}, as the client has; {address} has another: {state}")
    if isinstance(state, Exception):
        raise state
    version, missing, sees_folder, resources = state
    if version != __version__:
        raise ValueError(f"workers must have flowseg {__version__}, as the client has; {address} has {version}.")
    if missing:
        raise ImportError(
            f"workers must have the extra 'large', flowseg[large]; {address} lacks {', '.join(missing)}: install "
            f"it with: pip install {' '.join(missing)}"
        )
    if not sees_folder:
        raise FileNotFoundError(
            f"workers must see the work folder under the same path, {folder}; {address} does not. The output must be "
            "in a folder that all machines share."
        )
    return tuple(resources)


def _was_lost(future: Any) -> bool:
    """Whether a task ended because its workers were lost."""
    from distributed.scheduler import KilledWorker

    if future.status in ("cancelled", "lost"):
        raise ConnectionError(
            "client must keep its tasks while a run lasts; they were cancelled, or the scheduler was restarted."
        )
    return future.status == "error" and isinstance(future.exception(), KilledWorker)


def _raise_error(future: Any) -> None:
    """Raise what a task raised."""
    if future.status == "error":
        future.result()
