"""Save a trained model elsewhere where its own file cannot be written: it may hold hours of training."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

from flowseg.cli._shared.errors import sentence_of

# Folders to try last; the second is in memory, and lost when the machine is restarted.
LAST = ("/var/tmp", "/dev/shm")


def save_or_rescue(save: Callable[[Path], object], output: Path) -> None:
    """Save a model; if that fails, save it under another name, and raise an error that names the file."""
    try:
        save(output)
    except (OSError, ValueError) as error:
        for folder in _folders(output):
            file = _free_name(folder, output)
            try:
                save(file)
            except (OSError, ValueError):
                continue
            raise OSError(f"{sentence_of(error).removesuffix('.')}; the model is saved as {file} instead.") from error
        raise


def _folders(output: Path) -> Iterator[Path]:
    yield output.absolute().parent
    for find in (Path.cwd, Path.home, lambda: Path(tempfile.gettempdir())):
        with suppress(OSError, RuntimeError):  # deleted, or not known
            yield find()
    yield from map(Path, LAST)


def _free_name(folder: Path, output: Path) -> Path:
    names = (folder / f"{output.stem}-rescued{f'-{k}' if k else ''}{output.suffix}" for k in count())
    return next(file for file in names if not os.path.lexists(file))
