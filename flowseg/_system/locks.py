"""Files that one process locks at a time; the system unlocks them when the process ends, however it ends.

The lock is the kernel's (``flock``, on Windows ``msvcrt.locking``): it needs no process number, which another process
may have got since, and no cleaning up after a kill. The text in the file is for people, and for the one case that the
kernel does not know: a file that another machine left in a shared folder. Whether locks reach from one machine to
another depends on how the folder is mounted, so such a file is never taken for stale.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from flowseg._system.interrupts import interrupts_deferred

# Identifier of the boot of a Linux kernel: the same in all containers on it.
BOOT = Path("/proc/sys/kernel/random/boot_id")
# A link is not followed, a pipe not waited for, no child process gets the file.
CAREFULLY = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_NOINHERIT", "O_BINARY"))
# Characters of a name that the hidden one beside it repeats, and hexadecimal digits that distinguish longer names.
REPEATED, MARK = 40, 8
# How often a lock file may vanish just when it is opened, because another run ends.
TRIES = 50
# The lock file of a folder.
FOLDER_LOCK = ".flowseg-run.lock"
# Bytes of a lock file that are read at most.
MOST_READ = 2000

if sys.platform == "win32":
    import msvcrt

    # The byte that is locked, beyond the text of the file: others may still read that.
    LOCKED_BYTE = 1 << 30

    def take(descriptor: int) -> bool | None:
        """Lock an open file; False if another open file has it locked, None if there are no locks here."""
        os.lseek(descriptor, LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            return False if error.errno in (errno.EACCES, errno.EDEADLK) else None
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def take(descriptor: int) -> bool | None:
        """Lock an open file; False if another open file has it locked, None if there are no locks here."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # ENOLCK, ENOTSUP: some network folders
            return None
        return True


def name_beside(path: Path, ending: str) -> Path:
    """Return a hidden name beside a file, different for every file, however long its name."""
    mark = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:MARK]
    return path.with_name(f".{path.name[:REPEATED]}-{mark}{ending}")


def is_at(descriptor: int, path: Path) -> bool:
    """Return whether the open file is still the regular file at this path."""
    try:
        there, here = os.lstat(path), os.fstat(descriptor)
    except OSError:
        return False
    return stat.S_ISREG(there.st_mode) and os.path.samestat(there, here)


def close_and_remove(descriptor: int, path: Path) -> None:
    """Unlock and remove a file; it is removed first, where the system allows, so that nobody gets in between."""
    if os.name == "nt":
        os.close(descriptor)
        path.unlink(missing_ok=True)
        return
    try:
        if is_at(descriptor, path):
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def holding_folder(folder: Path, holder: str, target: str) -> AbstractContextManager[None]:
    """Lock a folder, which must exist, so that no other run writes many files into it."""
    return holding(folder / FOLDER_LOCK, holder, target)


def holding_file(path: Path, holder: str, target: str) -> AbstractContextManager[None]:
    """Lock a file to write, for as long as the work for it takes."""
    place = Path(os.path.realpath(path))
    return holding(name_beside(place, ".lock"), holder, target)


@contextmanager
def holding(file: Path, holder: str, target: str) -> Iterator[None]:
    """Lock a lock file while a block runs.

    Parameters
    ----------
    file : Path
        The lock file, which is removed at the end.
    holder : str
        Who locks it, for others to read.
    target : str
        What it protects, as an error calls it.

    Raises
    ------
    BlockingIOError
        If another process has locked it, or one of another machine may have.
    """
    descriptor = None
    try:
        with interrupts_deferred():  # a file that is made and not known here would stay
            descriptor = _acquire(file, target)
        with suppress(OSError):  # a full disk: the lock holds without text
            os.truncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, json.dumps(_describe(holder)).encode("ascii"))
        yield
    finally:
        if descriptor is not None:
            with interrupts_deferred(), suppress(OSError):
                close_and_remove(descriptor, file)


def _acquire(file: Path, target: str) -> int:
    for _ in range(TRIES):
        opened = _open(file, target)
        if opened is None:
            continue
        descriptor, is_new = opened
        try:
            taken, owner = take(descriptor), _read(descriptor)
            if taken is False:
                raise BlockingIOError(f"{target} must not be in use by another run; it is in use by {_name(owner)}.")
            if not is_new and (taken is None or _is_elsewhere(owner)):
                raise BlockingIOError(
                    f"{target} must not be in use by another run; it may be in use by {_name(owner)}. If that has "
                    f"ended, delete {file}."
                )
            if is_at(descriptor, file):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise BlockingIOError(f"{target} must not be in use by another run; many are trying to use it.")


def _open(file: Path, target: str) -> tuple[int, bool] | None:
    """Return the lock file and whether it is new; None when it has just vanished."""
    try:
        return os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | CAREFULLY, 0o666), True
    except FileExistsError:
        pass
    for access in (os.O_RDWR, os.O_RDONLY):  # another user's file can be read, perhaps
        try:
            return os.open(file, access | CAREFULLY), False
        except FileNotFoundError:
            return None
        except PermissionError:
            if access == os.O_RDONLY:
                raise
        except OSError:
            break
    raise ValueError(f"{target} must not be in use by another run; {file} must be a plain file, and is something else.")


def _describe(holder: str) -> dict[str, str | int]:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return {"holder": holder, "process": os.getpid(), "host": platform.node(), "boot": _boot(), "since": since}


def _boot() -> str:
    try:
        return BOOT.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _read(descriptor: int) -> dict[str, str]:
    """Return the text of a lock file; empty where it has none."""
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        owner = json.loads(os.read(descriptor, MOST_READ))
    except (OSError, ValueError, RecursionError):
        return {}
    return {str(name): str(value) for name, value in owner.items()} if isinstance(owner, dict) else {}


def _is_elsewhere(owner: dict[str, str]) -> bool:
    """Return whether the file was left by a machine whose locks may not reach this one."""
    return "host" in owner and owner["host"] != platform.node() and owner.get("boot", "") != _boot()


def _name(owner: dict[str, str]) -> str:
    if not owner:
        return "another process"
    where = f"process {owner.get('process')} on {owner.get('host')}, since {owner.get('since')}"
    return f"{owner.get('holder')} ({where})"
