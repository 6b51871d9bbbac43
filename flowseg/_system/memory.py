"""The memory that the content of a file may take, checked before it is allocated: running out ends the process."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Share of the memory of this process that the content of one file may take: the rest is for the results.
SHARE = 0.75
# Bytes that are always available: below, no limit is looked up.
SMALL = 1 << 24
# Linux's files with the limits of control groups: version 2, whose groups have no controllers in their line, and 1.
GROUPS = {False: (Path("/sys/fs/cgroup"), "memory.max"), True: (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes")}
GROUP_OF_PROCESS = Path("/proc/self/cgroup")
# Memory that the process uses: the first number is its address space, the sixth its data, in pages (man 5 proc).
USED = Path("/proc/self/statm")
ADDRESS_SPACE, DATA = 0, 5
# Bytes from which on a message gives no number: a file can declare any.
HUGE = 10**15


def allowed() -> int | None:
    """Return the bytes that the machine, control groups and limits leave this process; None if no limit is known."""
    known = [*_machine(), *_groups(), *_limits()]
    return int(SHARE * min(known)) if known else None


class NeedsMemoryError(MemoryError):
    """Something would take more memory than this process may use.

    Parameters
    ----------
    what : str
        What takes the memory, such as "it" or "with shape (3, 4) it", to follow "must fit into memory;".
    n_bytes, available : int
        Bytes that it takes and bytes that the process may use.
    path : Path, optional
        File whose content it is; `naming` sets it where the code that measures does not know it.
    """

    def __init__(self, what: str, n_bytes: int, available: int, path: Path | str | None = None) -> None:
        super().__init__(what, n_bytes, available, path)
        self.what, self.n_bytes, self.available, self.path = what, n_bytes, available, path

    def __str__(self) -> str:
        return (
            f"{self.path or 'the image'} must fit into memory; {self.what} takes about {format_bytes(self.n_bytes)}, "
            f"this process may use {format_bytes(self.available)}."
        )


def check(n_bytes: int, what: str = "it", path: Path | str | None = None) -> None:
    """Raise NeedsMemoryError where something takes more than is allowed."""
    if n_bytes <= SMALL:
        return
    available = allowed()
    if available is not None and n_bytes > available:
        raise NeedsMemoryError(what, n_bytes, available, path)


def check_image(path: Path | str, shape: tuple[int, ...], n_bytes: int) -> None:
    """Raise NeedsMemoryError for an image that does not fit."""
    check(n_bytes, f"with shape {shape} it", path)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name the file in every MemoryError of a block."""
    try:
        yield
    except NeedsMemoryError as error:
        error.path = error.path or path
        raise
    except MemoryError as error:
        raise named(path, error) from error


def named(path: Path, error: MemoryError) -> MemoryError:
    """Return the error of an allocation that failed, with the file that it was for."""
    return MemoryError(f"{path} must fit into memory; {' '.join(str(error).split()) or 'it does not.'}")


def format_bytes(n_bytes: int) -> str:
    """Return a number of bytes as text."""
    if n_bytes >= HUGE:
        return "1000 TB or more"
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{math.ceil(n_bytes / 1e6)} MB"


def _machine() -> list[int]:
    if not hasattr(os, "sysconf"):
        return []
    return [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]


def _groups() -> list[int]:
    """Return the limits of the control groups that hold the process, and of their parents."""
    try:
        lines = GROUP_OF_PROCESS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    limits = []
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, name = GROUPS[bool(controllers)]
        parts = place.strip("/").split("/")
        folders = [root.joinpath(*parts[:k]) for k in range(len(parts) + 1)]
        limits += [limit for folder in folders if (limit := _number(folder / name)) is not None]
    return limits


def _number(path: Path) -> int | None:
    """Return the number in a file; None where there is none, as in "max"."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _limits() -> list[int]:
    """Return the bytes left of the limits that ``ulimit -v`` and ``ulimit -d`` set."""
    try:
        import resource
    except ImportError:  # Windows
        return []
    limits = []
    for kind, place in ((resource.RLIMIT_AS, ADDRESS_SPACE), (resource.RLIMIT_DATA, DATA)):
        soft, _ = resource.getrlimit(kind)
        if soft != resource.RLIM_INFINITY:
            limits.append(max(soft - _used(place), 0))
    return limits


def _used(place: int) -> int:
    """Return the bytes that the process uses of a kind of memory; 0 where the system does not report it."""
    try:
        numbers = [int(number) for number in USED.read_text(encoding="ascii").split()]
    except (OSError, ValueError):
        return 0
    return numbers[place] * os.sysconf("SC_PAGE_SIZE") if place < len(numbers) else 0
