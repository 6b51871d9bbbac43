"""What memory a file may ask for, found out before it is taken: running out of it ends everything."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Share of what this process may use that one file's content may take: the rest is for what is made of it.
SHARE = 0.75
# Bytes that are always there: nothing is looked up for less.
SMALL = 1 << 24
# Where Linux says what a control group may use: version 2, whose groups have no controllers in their line, and 1.
GROUPS = {False: (Path("/sys/fs/cgroup"), "memory.max"), True: (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes")}
GROUP_OF_PROCESS = Path("/proc/self/cgroup")
# What the process has: the first number is its address space, the sixth its data, in pages (man 5 proc).
USED = Path("/proc/self/statm")
ADDRESS_SPACE, DATA = 0, 5
# Numbers in sentences end here: a file can say any.
HUGE = 10**15


def allowed() -> int | None:
    """Bytes that the machine, control groups and limits of this process leave it; None if nothing is known."""
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

    def __init__(self, what: str, n_bytes: int, available: int, path: Path | None = None) -> None:
        super().__init__(what, n_bytes, available, path)
        self.what, self.n_bytes, self.available, self.path = what, n_bytes, available, path

    def __str__(self) -> str:
        return (
            f"{self.path or 'the image'} must fit into memory; {self.what} takes about {say(self.n_bytes)}, this "
            f"process may use {say(self.available)}."
        )


def check(n_bytes: int, what: str = "it", path: Path | None = None) -> None:
    """Raise NeedsMemoryError where something takes more than is allowed."""
    if n_bytes <= SMALL:
        return
    available = allowed()
    if available is not None and n_bytes > available:
        raise NeedsMemoryError(what, n_bytes, available, path)


def check_image(path: Path, shape: tuple[int, ...], n_bytes: int) -> None:
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


def say(n_bytes: int) -> str:
    """Bytes in words."""
    if n_bytes >= HUGE:
        return "1000 TB or more"
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{math.ceil(n_bytes / 1e6)} MB"


def _machine() -> list[int]:
    if not hasattr(os, "sysconf"):
        return []
    return [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]


def _groups() -> list[int]:
    """Limits of the control groups that the process is in, and of those that these are in."""
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
    """The number in a file; None where there is none, which "max" says too."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _limits() -> list[int]:
    """What is left of the limits that ``ulimit -v`` and ``ulimit -d`` set."""
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
    try:
        return int(USED.read_text(encoding="ascii").split()[place]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
