"""Files in a stream: while one is worked on, the next is read and the last is finished."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
Read = TypeVar("Read")
Worked = TypeVar("Worked")

# Files that are finished at the same time, at most: each holds an image and what was made of it in memory.
MOST_FINISHING = 4

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
class Stages(Generic[T, Read, Worked]):
    """What is done to a file. ``work`` runs in the calling thread, the other two may run in threads beside it."""

    read: Callable[[T], Read]
    work: Callable[[Read], Worked]
    finish: Callable[[T, Worked], int]


def stream(items: Sequence[T], stages: Stages[T, Read, Worked], n_threads: int) -> Iterator[tuple[T, int | Failure]]:
    """Yield each item with the number that ``finish`` returns, in the order of the items, or why it failed.

    With one thread nothing overlaps. However many items there are, one is read ahead and few are being finished.
    """
    if n_threads == 1:
        for item in items:
            yield item, _try_all(item, stages)
        return
    most = min(n_threads - 1, MOST_FINISHING)
    finishing: deque[tuple[T, Future[int] | Failure]] = deque()
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(most) as finisher:
        ahead = [reader.submit(stages.read, item) for item in items[:1]]
        for i, item in enumerate(items):
            read = ahead.pop()
            ahead += [reader.submit(stages.read, following) for following in items[i + 1 : i + 2]]
            try:
                finishing.append((item, finisher.submit(stages.finish, item, stages.work(read.result()))))
            except FAULTS as error:
                finishing.append((item, Failure(sentence_of(error))))
            del read
            while len(finishing) > most:
                yield _settle(*finishing.popleft())
        while finishing:
            yield _settle(*finishing.popleft())


def _try_all(item: T, stages: Stages[T, Read, Worked]) -> int | Failure:
    try:
        return stages.finish(item, stages.work(stages.read(item)))
    except FAULTS as error:
        return Failure(sentence_of(error))


def _settle(item: T, future: Future[int] | Failure) -> tuple[T, int | Failure]:
    if isinstance(future, Failure):
        return item, future
    try:
        return item, future.result()
    except FAULTS as error:
        return item, Failure(sentence_of(error))


def sentence_of(error: BaseException) -> str:
    """The error in one line; its traceback, which holds on to images, is let go."""
    if not str(error).strip():
        return NO_MEMORY if isinstance(error, MemoryError) else type(error).__name__
    return shell_words(" ".join(str(error).split()))


def shell_words(sentence: str) -> str:
    """A sentence of the library's in which its arguments are called as the user of a shell types them."""
    return ARGUMENT.sub(lambda match: f"{match[1]}{_option(match[2])}{' ' if match[3] else ''}", sentence)


def _option(name: str) -> str:
    return "--" + RENAMED.get(name, name).replace("_", "-")


def name_file(file: str, reason: str) -> str:
    """A reason that names the file it is about."""
    return reason if file in reason else f"{file}: {reason}"
