"""The entries of a file of annotations: those that can be read are read, the others are counted by their reasons."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._labels.polygons import Ring
from flowseg._system.invalid_file import StoredFile
from flowseg._system.printable import one_line

# Reasons that a sentence names; it counts the others.
MOST_REASONS = 5


class UnreadableEntryError(Exception):
    """An entry of a file cannot be read as an object; the message, a noun phrase, is the reason to count it under."""


class Entries:
    """Counts which of a file's entries were read, and which were left out, by reason.

    Parameters
    ----------
    stored : StoredFile
        The file, for warnings and errors.
    """

    def __init__(self, stored: StoredFile) -> None:
        self.stored = stored
        self.n_good = 0
        self.faults: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Count the entry that is read in the block, as good or, after UnreadableEntryError, as a fault."""
        try:
            yield
        except UnreadableEntryError as fault:
            self.faults[str(fault)] += 1
        else:
            self.n_good += 1

    def leave_out(self, reason: str, number: int = 1) -> None:
        """Count entries that can be read and are no objects, or not wanted."""
        if number:
            self.left_out[reason] += number

    def close(self, stacklevel: int = 2) -> None:
        """Warn of entries that are not among the objects; raise InvalidFileError if none could be read."""
        if self.faults and not self.n_good:
            raise self.stored.invalid(_list(self.faults))
        counted = self.faults + self.left_out
        if counted:
            warnings.warn(
                f"{counted.total()} of {counted.total() + self.n_good} entries in {self.stored.path} are left out: "
                f"{_list(counted)}.",
                stacklevel=stacklevel + 1,
            )


@contextmanager
def parsing_entry(*errors: type[Exception]) -> Iterator[None]:
    """Translate exceptions of a library that parses an entry; only calls of that library belong in the block.

    By default every exception counts, as libraries raise anything when an entry is damaged.
    """
    kinds = errors or (Exception,)
    try:
        yield
    except MemoryError:
        raise
    except kinds as error:
        reason = " ".join(one_line(str(error)).split()).rstrip(".")
        raise UnreadableEntryError(reason or type(error).__name__) from error


def as_floats(values: Any, what: str) -> NDArray[np.float64]:
    """Return numbers of a file as an array; an error calls them ``what``."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise UnreadableEntryError(f"{what} that are no array of numbers") from None


def as_float(value: Any, what: str) -> float:
    """Return a number of a file; ``what`` begins the reason if it is none, such as "a box whose width"."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise UnreadableEntryError(f"{what} is no number") from None
    if not np.isfinite(number):
        raise UnreadableEntryError(f"{what} is not finite")
    return number


def check_corners(rings: Iterable[Ring]) -> None:
    """Raise UnreadableEntryError unless all corners are finite numbers."""
    if not all(np.all(np.isfinite(ring)) for ring in rings):
        raise UnreadableEntryError("corners that are not finite")


def _list(reasons: Counter[str]) -> str:
    found = reasons.most_common()
    if len(found) == found[0][1] == 1:
        return found[0][0]
    listed = [f"{reason} ({count})" for reason, count in found[:MOST_REASONS]]
    others = sum(count for _, count in found[MOST_REASONS:])
    return "; ".join(listed + [f"others ({others})"] * (others > 0))


class Choice:
    """Chooses entries by the names of their classes.

    Parameters
    ----------
    classes : str or sequence of str, optional
        Names; None chooses all.
    """

    def __init__(self, classes: str | Sequence[str] | None) -> None:
        names = [classes] if isinstance(classes, str) else classes
        if names is not None and (
            not isinstance(names, Sequence) or not names or not all(isinstance(name, str) for name in names)
        ):
            raise TypeError(f"classes must be one or more names, or None (all); got {classes!r}.")
        self.names = None if names is None else tuple(names)

    def check(self, available: Iterable[str], path: Path) -> None:
        """Raise ValueError if a class that was chosen is not among those of the file."""
        there = sorted(set(available))
        unknown = [name for name in self.names or () if name not in there]
        if unknown:
            raise ValueError(
                f"classes must be among those in {path}, {', '.join(map(repr, there)) or 'which has none'}; "
                f"got {', '.join(map(repr, unknown))}."
            )

    def takes(self, name: str | None) -> bool:
        """Return whether entries of a class are chosen."""
        return self.names is None or name in self.names
