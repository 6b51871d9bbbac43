"""The output folder of a command: checked before the work, and held so that no other run writes into it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from flowseg._system.locks import FOLDER_LOCK, holding, holding_folder


def check_output_folder(folder: Path, inputs: Iterable[tuple[str, Sequence[Path]]], option: str = "--output") -> None:
    """Refuse a folder that holds an input or cannot be written to, and inputs of the same name.

    ``inputs`` are names of results with the files that they are made of.
    """
    seen: dict[str, Path] = {}
    top = folder.resolve()
    for name, sources in inputs:
        place = (folder / name).parent.resolve()
        if not place.is_relative_to(top):
            raise ValueError(
                f"{option} must be a folder without links to others; {(folder / name).parent} leads to {place}."
            )
        for source in sources:
            real = source.resolve()
            if place in (source.parent.resolve(), real if real.is_dir() else real.parent):
                raise ValueError(
                    f"{option} must be another folder than that of {source}; nothing there is overwritten."
                )
        if name in seen:
            raise ValueError(f"files must have different names; got {seen[name]} and {sources[0]}.")
        seen[name] = sources[0]
    above = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not above.is_dir():
        raise NotADirectoryError(f"{option} must be a folder, or lie in one; {above} is a file.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise PermissionError(f"{option} must be a folder that can be written to; {above} cannot.")


@contextmanager
def holding_output(folder: Path, command: str, option: str = "--output", places: Iterable[Path] = ()) -> Iterator[None]:
    """Hold an output folder, which must exist, while a block runs.

    ``places`` are the folders below it that are written to. BlockingIOError if another run holds the folder, one above
    it, or one of these.
    """
    target = f"{option} {folder}"
    with holding_folder(folder, command, target):
        top = folder.resolve()
        for other in {*top.parents, *(place.resolve() for place in places)} - {top}:
            lock = other / FOLDER_LOCK
            if os.path.lexists(lock):
                with holding(lock, command, target):  # left by a run that was killed: removed
                    pass
        yield


def remove_result(file: Path) -> None:
    """Remove a file or an OME-Zarr; a link is removed, not its target."""
    if file.is_dir() and not file.is_symlink():
        shutil.rmtree(file)
    else:
        file.unlink(missing_ok=True)
