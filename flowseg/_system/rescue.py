"""Save a result elsewhere if its own file cannot be written: hours of work may be in it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

# Folders to try last; the second is in memory, and lost when the machine is restarted.
LAST = ("/var/tmp", "/dev/shm")


def save_somewhere(save: Callable[[Path], object], output: Path) -> tuple[Path, Exception | None]:
    """Save to a file or, if that fails, under another name; return the file and the first error.

    The error is raised if no folder takes the file.
    """
    try:
        save(output)
    except (OSError, ValueError) as error:
        for folder in _folders(output):
            file = _free_name(folder, output)
            try:
                save(file)
            except (OSError, ValueError):
                continue
            return file, error
        raise
    return output, None


def _folders(output: Path) -> Iterator[Path]:
    yield output.absolute().parent
    for find in (Path.cwd, Path.home, lambda: Path(tempfile.gettempdir())):
        with suppress(OSError, RuntimeError):  # deleted, or not known
            yield find()
    yield from map(Path, LAST)


def _free_name(folder: Path, output: Path) -> Path:
    names = (folder / f"{output.stem}-rescued{f'-{k}' if k else ''}{output.suffix}" for k in count())
    return next(file for file in names if not os.path.lexists(file))
