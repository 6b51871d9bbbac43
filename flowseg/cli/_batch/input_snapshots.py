"""Snapshots of inputs: the hash in a record belongs to the very bytes that results were made of."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from flowseg._image_files.ome_sets import set_files

# Seconds within which a file system may give two changes the same time: the resolution of FAT.
SAME_TIME = 2.0

Stamp = tuple[str, int, int, int, int, int]  # path, device, number of the file, size, times of change


@dataclass(frozen=True)
class Snapshot:
    """Files at one moment: the hash of their bytes, and the properties that a change alters.

    Take a snapshot, read the files, then `check`: if nothing has changed, the hash is that of the bytes that were read.
    """

    paths: tuple[Path, ...]
    digest: str
    stamps: tuple[Stamp, ...]
    is_fresh: bool  # so new that another change may leave the times as they are

    def check(self) -> None:
        """Raise ValueError if the files have changed."""
        if not self.is_fresh and self.stamps == _stamp_all(self.paths):
            return
        again = take_snapshot(*self.paths)
        if again.digest != self.digest:
            changed = [old[0] for old, new in zip(self.stamps, again.stamps, strict=False) if old != new]
            name = changed[0] if changed else str(self.paths[0])
            raise ValueError(f"{name} must not change while it is in use; it did.")


def take_snapshot(*paths: Path) -> Snapshot:
    """Hash files; a folder stands for its files that are not hidden, a TIFF for all files of its OME set."""
    digests, stamps = [], []
    for file in _files_of(paths):
        with open(file, "rb") as stream:
            stamps.append(_stamp(file, os.fstat(stream.fileno())))
            digests.append(hashlib.file_digest(stream, "sha256").hexdigest())
    newest = max((max(stamp[-2:]) for stamp in stamps), default=0)
    digest = digests[0] if len(digests) == 1 else hashlib.sha256(" ".join(digests).encode("ascii")).hexdigest()
    return Snapshot(paths, digest, tuple(stamps), time.time() - newest / 1e9 < SAME_TIME)


def _files_of(paths: Iterable[Path]) -> Iterable[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
        else:
            yield path
            yield from set_files(path)


def _stamp_all(paths: Iterable[Path]) -> tuple[Stamp, ...] | None:
    try:
        return tuple(_stamp(file, os.stat(file)) for file in _files_of(paths))
    except OSError:
        return None


def _stamp(file: Path, status: os.stat_result) -> Stamp:
    return str(file), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
