"""Names of results, from the names and folders of inputs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from flowseg._image_files.file_names import stem_of


def name_results(files: Sequence[Path], bare: Callable[[Path], str] = stem_of) -> list[str]:
    """Return the names of the results of files; for files in several folders, with the folders below the common one."""
    return add_folders([os.path.abspath(file.parent) for file in files], [bare(file) for file in files])


def add_folders(folders: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return names with their folders below the common one, where these differ."""
    if len(set(folders)) < 2:
        return [*names]
    top = os.path.commonpath(folders)
    return [(Path(os.path.relpath(folder, top)) / name).as_posix() for folder, name in zip(folders, names, strict=True)]


def name_part(folder: Path, name: str, part: str) -> tuple[str, str]:
    """Return folder and name for one image of an annotation file: those of the file, or of the image where it has any.

    Whatever a file contains, results stay inside the output folder.
    """
    place = os.path.abspath(folder)
    if not part:
        return place, name
    inside = _without_steps_up(part)
    return os.path.join(place, *inside.parts[:-1]), stem_of(Path(inside.name))


def _without_steps_up(part: str) -> PurePosixPath:
    """Return a path from a file, written on whatever system, without its root and without steps upwards."""
    parts = PureWindowsPath(part).parts if "\\" in part or part[1:2] == ":" else PurePosixPath(part).parts
    kept = [name for name in parts if name not in ("..", ".", "/", "\\") and not name.endswith(("\\", ":"))]
    return PurePosixPath(*kept) if kept else PurePosixPath("image")
