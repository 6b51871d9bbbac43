"""Tables of classes that commands are given: found, read, and matched with label images."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from flowseg import io
from flowseg._image_files.file_names import bare_name
from flowseg.cli._shared.options import READ

# Class of each object of an image by its label, None where it is unknown.
Known = Mapping[int, str | None]

HELP = (
    "a CSV file with columns file, label and class, or a folder or pattern of CSV files of the images' names, such as "
    "NAME_objects.csv, with columns label and class. An empty cell stands for an unknown class."
)
Classes = Annotated[str | None, typer.Option("--classes", help=f"Class of each object: {HELP}", rich_help_panel=READ)]


def read_classes_of(where: str, files: Sequence[Path], option: str = "--classes") -> list[Known]:
    """Return the classes of the objects of each label image, from tables of their names."""
    tables = _read_tables(where, option)
    if len(tables) == len(files) == 1 and next(iter(tables)) == ():
        return [*tables.values()]
    found = []
    for file in files:
        place = (*Path(os.path.abspath(file)).parts[:-1], bare_name(file))
        matching = [name for name in tables if name and place[-len(name) :] == name]
        if len(matching) != 1:
            number = "none" if not matching else "several of its name"
            raise ValueError(
                f"{option} must hold the classes of every image's objects; {where} has {number} for {file}."
            )
        found.append(tables[matching[0]])
    return found


def _read_tables(where: str, option: str) -> dict[tuple[str, ...], Known]:
    """Return all tables by the names of the images; () for a single file that names none."""
    path = Path(where)
    files = [path] if path.is_file() else sorted(path.glob("*.csv") if path.is_dir() else map(Path, glob.glob(where)))
    if not files:
        raise FileNotFoundError(f"{option} must name a CSV file, a folder or a pattern of them; {where!r} names none.")
    tables: dict[tuple[str, ...], Known] = {}
    for file in files:
        for name, known in io.read_classes(file).items():
            key = _key_of(name) if name else () if path.is_file() else (bare_name(file),)
            if key in tables:
                raise ValueError(f"{option} must hold each image once; {where} has {'/'.join(key)} twice.")
            tables[key] = known
    return tables


def _key_of(name: str) -> tuple[str, ...]:
    """Return the name of an image as the table has it, with its folders, without the words for masks."""
    parts = PurePosixPath(name)
    return (*parts.parts[:-1], bare_name(Path(parts.name)))
