"""A disk that fails at the n-th operation, as SQLite tests itself: the functions that write are put into the package's way.

Operations are counted on files below one folder only: opening (also to read), writing, flushing to the disk, renaming,
removing, making folders. What libraries in C write past Python is not seen.
"""

import builtins
import errno
import io
import os
from contextlib import contextmanager
from pathlib import Path

import pytest

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)
# A full disk stays full, but files can be read and removed.
FULL = ("create", "write", "fsync", "mkdir")


class Disk:
    """Counts operations below a folder and makes one of them fail, or all that need room from one on."""

    def __init__(self, folder, fail_at=None, error=errno.EIO, stays_full=False):
        self.folder = os.path.realpath(folder)
        self.fail_at, self.error, self.stays_full = fail_at, error, stays_full
        self.operations, self.failed = [], []
        self._paths = {}

    def happens(self, what, path):
        """Count an operation, or fail."""
        path = self._paths.get(path, "") if isinstance(path, int) else os.path.abspath(os.fsdecode(path))
        if not os.path.realpath(os.path.dirname(path)).startswith(self.folder) and path != self.folder:
            return
        self.operations.append(what)
        number = len(self.operations)
        if number == self.fail_at or (self.stays_full and self.fail_at and number > self.fail_at and what in FULL):
            self.failed.append(what)
            raise OSError(self.error, os.strerror(self.error), path)

    def opened(self, original):
        """In place of `open`."""

        def open_file(
            file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None
        ):
            if isinstance(file, int) or opener is not None:
                return original(file, mode, buffering, encoding, errors, newline, closefd, opener)
            self.happens("open" if mode.strip("bt") == "r" else "create", file)
            if mode.strip("bt") == "r":
                return original(file, mode, buffering, encoding, errors, newline)
            raw = _Raw(self, os.fspath(file), mode.replace("b", "").replace("t", ""))
            if buffering == 0:
                return raw
            stream = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            return stream if "b" in mode else io.TextIOWrapper(stream, encoding, errors, newline)

        return open_file

    def calling(self, name, original):
        """In place of a function of `os` whose first argument is a path or a descriptor."""

        def call(path, *arguments, **options):
            creates = name == "open" and arguments and arguments[0] & os.O_CREAT
            self.happens("create" if creates else name, path)
            result = original(path, *arguments, **options)
            if name == "open":
                self._paths[result] = os.path.abspath(os.fsdecode(path))
            return result

        return call


class _Raw(io.FileIO):
    def __init__(self, disk, *arguments):
        super().__init__(*arguments)
        self.disk = disk

    def write(self, data):
        self.disk.happens("write", self.name)
        return super().write(data)


@contextmanager
def failing(folder, fail_at=None, error=errno.EIO, stays_full=False):
    """Let file operations below a folder fail while a block runs; gives the `Disk`."""
    disk = Disk(folder, fail_at, error, stays_full)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builtins, "open", disk.opened(builtins.open))
        patch.setattr(io, "open", disk.opened(io.open))
        for name in ("open", "write", "fsync", "replace", "unlink", "remove", "mkdir", "truncate", "chmod"):
            patch.setattr(os, name, disk.calling(name, getattr(os, name)))
        yield disk


def every_fault(prepare, act, folder):
    """Act once on a sound disk, then on one that fails at each operation in turn; yields the disk and what came of it.

    ``prepare`` makes the folder again, ``act`` returns something or raises.
    """
    prepare()
    with failing(folder) as sound:
        act()
    for stays_full in (False, True):
        for number in range(1, len(sound.operations) + 1):
            if stays_full and sound.operations[number - 1] not in FULL:
                continue
            error = errno.ENOSPC if stays_full else ERRORS[number % len(ERRORS)]
            prepare()
            with failing(folder, number, error, stays_full) as disk:
                result = act()
            yield disk, result


def hidden(folder):
    """Names of hidden files below a folder."""
    return [file.name for file in Path(folder).rglob(".*")]
