"""Files in a stream: while one is worked on, the next is read and the last is finished."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition
from traceback import walk_tb
from typing import Generic, NamedTuple, TypeVar

from flowseg._system.printable import one_line

T = TypeVar("T")
Read = TypeVar("Read")
Worked = TypeVar("Worked")
Made = TypeVar("Made")

# Files that are finished at the same time, at most: each holds an image and what was made of it in memory.
MOST_FINISHING = 4

# Seconds that an interruption waits for files that are being written.
GRACE = 0.5

# Python says nothing when memory runs out.
NO_MEMORY = "what is worked on must fit into memory; it does not."

# What a file may do wrong; anything else is a fault of ours.
FAULTS = (ValueError, TypeError, OSError, MemoryError, ImportError)

# Arguments of the library that are options, and those whose options have other names.
RENAMED = {"diameters": "diameter", "random_state": "seed", "estimate_diameters": "estimate"}
NAMES = "|".join(
    (
        *RENAMED, "axes", "cellprob_threshold", "channel", "checkpoint", "diameter", "epochs", "filters",
        "flow_threshold", "learning_rate", "min_size", "network", "normalize", "scene", "score_threshold",
        "steps_per_epoch", "t", "workers", "z",
    )
)  # fmt: skip
# Where a sentence speaks of an argument: "z must be", "choose a plane with z, ...", "z=3".
ARGUMENT = re.compile(
    rf"((?:^|[:;] )(?=(?:{NAMES})(?:\[\d+\])? must\b)|\b(?:with|give|set) (?=(?:{NAMES})(?:[,.:;=]|$| or\b| and\b))"
    rf"|(?<![\w'\"/.])(?=(?:{NAMES})=[\w'\"(\[]))({NAMES})(?!\w)(=?)"
)


@dataclass(frozen=True)
class Failure:
    """Why a file could not be done."""

    reason: str


@dataclass(frozen=True)
class Stages(Generic[T, Read, Worked, Made]):
    """What is done to a file. ``work`` of one file never runs beside that of another, the others may.

    Only ``write`` changes anything outside this process: it is never begun after an interruption.
    """

    read: Callable[[T], Read]
    work: Callable[[Read], Worked]
    make: Callable[[T, Worked], Made]
    write: Callable[[T, Made], int]


class Gate:
    """Where threads pass to write, as long as it is open."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._n_inside = 0
        self._is_open = True

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Be inside while a block runs; RuntimeError if the gate is closed."""
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
        """Let nobody in any more, and wait so long for those who are inside."""
        with self._changed:
            self._is_open = False
            self._changed.wait_for(lambda: not self._n_inside, seconds)


def stream(
    items: Sequence[T], stages: Stages[T, Read, Worked, Made], n_threads: int
) -> Generator[tuple[T, int | Failure], None, None]:
    """Yield each item with the number that ``write`` returns, in the order of the items, or why it failed.

    With one thread nothing overlaps. However many items there are, one is read ahead and few are being finished. The
    calling thread only waits, so that it can be interrupted: then threads that read or make something are left to
    themselves, for their work is lost anyway.
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
    finally:  # nothing is left to be waited for unless this was interrupted
        gate.close(GRACE)
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)


class Pools(NamedTuple):
    """Threads of the stages."""

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


def sentence_of(error: BaseException) -> str:
    """The error in one line; its traceback, which holds on to images, is let go.

    A break in a sentence of ours is part of a file's name and stays, to be shown as what it is; a library may say
    several lines.
    """
    text = str(error)
    if not text.strip():
        return NO_MEMORY if isinstance(error, MemoryError) else type(error).__name__
    return shell_words(text if _is_ours(error) else one_line(text))


def _is_ours(error: BaseException) -> bool:
    """Whether the error was raised in this package."""
    frame = None
    for frame, _ in walk_tb(error.__traceback__):  # noqa: B007
        pass
    return frame is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == "flowseg"


def shell_words(sentence: str) -> str:
    """A sentence of the library's in which its arguments are called as the user of a shell types them."""
    return ARGUMENT.sub(lambda match: f"{match[1]}{_option(match[2])}{' ' if match[3] else ''}", sentence)


def _option(name: str) -> str:
    return "--" + RENAMED.get(name, name).replace("_", "-")


def name_file(file: str, reason: str) -> str:
    """A reason that names the file it is about."""
    return reason if file in reason else f"{file}: {reason}"
