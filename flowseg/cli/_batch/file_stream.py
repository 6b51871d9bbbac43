"""Several files at the same time: while one is worked on, the next is read and the one before is written."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition
from typing import Generic, NamedTuple, TypeVar

from flowseg.cli._shared.errors import FAULTS, sentence_of

T = TypeVar("T")
Read = TypeVar("Read")
Worked = TypeVar("Worked")
Made = TypeVar("Made")

# Files that are finished at the same time, at most: each holds an image and its results in memory.
MOST_FINISHING = 4

# Time that an interruption waits for files that are being written, in seconds.
GRACE = 0.5


@dataclass(frozen=True)
class Failure:
    """The reason why a file failed."""

    reason: str


@dataclass(frozen=True)
class Stages(Generic[T, Read, Worked, Made]):
    """The stages of a file: read, work, make the results, write them and return the number of objects.

    ``work`` never runs for two files at once; the other stages may. Only ``write`` changes anything outside this
    process: it never begins after an interruption.
    """

    read: Callable[[T], Read]
    work: Callable[[Read], Worked]
    make: Callable[[T, Worked], Made]
    write: Callable[[T, Made], int]


class Gate:
    """Lets threads write as long as it is open."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._n_inside = 0
        self._is_open = True

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Count a thread as inside while a block runs; RuntimeError if the gate is closed."""
        with self._changed:
            if not self._is_open:
                raise RuntimeError("interrupted before anything was written")
            self._n_inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._n_inside -= 1
                self._changed.notify_all()

    def close(self, seconds: float) -> None:
        """Close the gate, and wait up to ``seconds`` for the threads inside."""
        with self._changed:
            self._is_open = False
            self._changed.wait_for(lambda: not self._n_inside, seconds)


def stream_files(
    items: Sequence[T], stages: Stages[T, Read, Worked, Made], n_threads: int
) -> Generator[tuple[T, int | Failure], None, None]:
    """Yield each item, in order, with the number that ``write`` returns or with the reason why it failed.

    With one thread nothing overlaps. Otherwise one item is read ahead, and up to `MOST_FINISHING` are being finished.
    The calling thread only waits, so that it can be interrupted. Threads that read or make something are then
    abandoned: their work is lost in any case.
    """
    most = min(max(n_threads - 1, 1), MOST_FINISHING)
    gate = Gate()
    pools = Pools(ThreadPoolExecutor(1), ThreadPoolExecutor(1), ThreadPoolExecutor(most))
    try:
        if n_threads == 1:
            for item in items:
                yield _settle(item, pools.worker.submit(_do_all, item, stages, gate))
        else:
            yield from _overlap(items, stages, pools, most, gate)
    finally:  # all is done, unless this was interrupted
        gate.close(GRACE)
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)


class Pools(NamedTuple):
    """The threads that run the stages."""

    reader: ThreadPoolExecutor
    worker: ThreadPoolExecutor
    finisher: ThreadPoolExecutor


def _overlap(
    items: Sequence[T], stages: Stages[T, Read, Worked, Made], pools: Pools, most: int, gate: Gate
) -> Iterator[tuple[T, int | Failure]]:
    finishing: deque[tuple[T, Future[int] | Failure]] = deque()
    ahead = [pools.reader.submit(stages.read, item) for item in items[:1]]
    for i, item in enumerate(items):
        read = ahead.pop()
        ahead += [pools.reader.submit(stages.read, following) for following in items[i + 1 : i + 2]]
        try:
            worked = pools.worker.submit(stages.work, read.result()).result()
            finishing.append((item, pools.finisher.submit(_finish, item, worked, stages, gate)))
            del worked
        except FAULTS as error:
            finishing.append((item, Failure(sentence_of(error))))
        del read
        while len(finishing) > most:
            yield _settle(*finishing.popleft())
    while finishing:
        yield _settle(*finishing.popleft())


def _finish(item: T, worked: Worked, stages: Stages[T, Read, Worked, Made], gate: Gate) -> int:
    made = stages.make(item, worked)
    del worked
    with gate.passing():
        return stages.write(item, made)


def _do_all(item: T, stages: Stages[T, Read, Worked, Made], gate: Gate) -> int:
    return _finish(item, stages.work(stages.read(item)), stages, gate)


def _settle(item: T, future: Future[int] | Failure) -> tuple[T, int | Failure]:
    if isinstance(future, Failure):
        return item, future
    try:
        return item, future.result()
    except FAULTS as error:
        return item, Failure(sentence_of(error))
