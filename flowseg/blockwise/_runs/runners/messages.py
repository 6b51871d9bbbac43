"""Messages between the process of a run and its worker processes: one JSON document per line.

An exception crosses as its built-in class or as InvalidFileError, its arguments and its notes. Nothing is unpickled.
"""

from __future__ import annotations

import builtins
import json
import traceback
from dataclasses import asdict, dataclass

from flowseg._system.invalid_file import InvalidFileError

# Characters of a traceback that cross.
MOST_TRACEBACK = 20_000

# Classes that cross, by name.
CLASSES = {**vars(builtins), "InvalidFileError": InvalidFileError}

Plain = str | int | float | bool | None


class WorkerTraceback(Exception):  # noqa: N818 (it is shown as the cause of another exception)
    """The traceback of an exception in a worker process, as text."""

    def __str__(self) -> str:
        return f"in a worker process:\n{self.args[0]}"


@dataclass(frozen=True)
class Start:
    """What a worker process needs to know first. ``stages_of`` is the module and the name of a function."""

    folder: str
    stages_of: tuple[str, str]
    n_threads: int


@dataclass(frozen=True)
class Assigned:
    """A task to do."""

    stage: str
    index: int


@dataclass(frozen=True)
class Failure:
    """An exception."""

    classes: tuple[str, ...]  # names of its built-in classes, the nearest first
    args: tuple[Plain, ...]
    sentence: str
    notes: tuple[str, ...]
    traceback: str


@dataclass(frozen=True)
class Report:
    """The end of a task, or the start of the process, with what went wrong."""

    failure: Failure | None = None


def to_line(message: Start | Assigned | Report) -> bytes:
    """Return a message as a line."""
    return (json.dumps(asdict(message)) + "\n").encode("ascii")


def read_start(line: bytes) -> Start:
    """Read the first line that a worker process gets."""
    document = json.loads(line)
    module, name = document["stages_of"]
    return Start(document["folder"], (module, name), document["n_threads"])


def read_assigned(line: bytes) -> Assigned:
    """Read a task."""
    return Assigned(**json.loads(line))


def read_report(line: bytes) -> Report:
    """Read what a worker process reports."""
    failure = json.loads(line)["failure"]
    if failure is None:
        return Report()
    return Report(
        Failure(
            classes=tuple(failure["classes"]),
            args=tuple(failure["args"]),
            sentence=failure["sentence"],
            notes=tuple(failure["notes"]),
            traceback=failure["traceback"],
        )
    )


def describe_failure(error: BaseException) -> Failure:
    """Return an exception as a message."""
    classes = [cls.__name__ for cls in type(error).__mro__ if CLASSES.get(cls.__name__) is cls]
    args = (
        (error.errno, error.strerror, error.filename)
        if isinstance(error, OSError) and error.errno is not None
        else error.args
    )
    plain = all(arg is None or isinstance(arg, str | int | float | bool) for arg in args)
    is_known = CLASSES.get(type(error).__name__) is type(error)
    text = "".join(traceback.format_exception(error))
    return Failure(
        classes=tuple(classes),
        args=tuple(args) if plain and is_known else (str(error),),
        sentence=str(error) or type(error).__name__,
        notes=tuple(map(str, getattr(error, "__notes__", ()))),
        traceback=text[-MOST_TRACEBACK:],
    )


def as_exception(failure: Failure) -> BaseException:
    """Return the exception of a message; of the nearest class that crosses, with the same sentence."""
    error = _make(failure)
    for note in failure.notes:
        error.add_note(note)
    error.__cause__ = WorkerTraceback(failure.traceback)
    return error


def _make(failure: Failure) -> BaseException:
    for name in failure.classes:
        cls = CLASSES.get(name)
        if isinstance(cls, type) and issubclass(cls, BaseException):
            for args in (failure.args, (failure.sentence,)):
                try:
                    error = cls(*args)
                except TypeError:
                    continue
                if str(error) in (failure.sentence, "") or isinstance(error, KeyError):
                    return error
    return RuntimeError(failure.sentence)
