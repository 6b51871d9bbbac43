"""Read the classes of objects from tables."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

from flowseg._system.invalid_file import StoredFile

StrPath = str | os.PathLike[str]

# Columns: the label image or its image (in tables of several), the object's label, and its class.
FILE, LABEL, CLASS = "file", "label", "class"


def read_classes(path: StrPath) -> dict[str, dict[int, str | None]]:
    """Read the classes of objects from a CSV file.

    Parameters
    ----------
    path : path
        CSV file with the columns ``label`` and ``class``, and ``file`` if it has objects of several images. Tables that
        flowseg writes have the first and the last; other columns are not read.

    Returns
    -------
    classes : dict of str to dict of int to str or None
        For each file name in the table, or "" where it has no such column, the class of each object by its label. None
        where the cell is empty: the class is unknown.

    Raises
    ------
    InvalidFileError
        If the file is no such table, a label is no positive whole number, or an object occurs twice.

    Examples
    --------
    >>> import flowseg
    >>> flowseg.io.write_table("cells.csv", {"file": ["a.tif", "a.tif"], "label": [1, 2], "class": ["round", ""]})
    >>> flowseg.io.read_classes("cells.csv")
    {'a.tif': {1: 'round', 2: None}}
    """
    stored = StoredFile(Path(path), "CSV file with columns label and class")
    text = stored.read_bytes()
    with stored.parsing(UnicodeDecodeError):
        lines = text.decode("utf-8-sig").splitlines()
    rows = csv.reader(lines, strict=True)
    with stored.parsing(csv.Error):
        header = next(rows, [])
    missing = [name for name in (LABEL, CLASS) if header.count(name) != 1]
    if missing:
        raise stored.invalid(f"no or several columns {' and '.join(missing)}")
    found: dict[str, dict[int, str | None]] = {}
    for file, label, name in _cells(rows, header, stored):
        if not label.isdecimal() or int(label) < 1:
            raise stored.invalid(f"the label {label!r}")
        known = found.setdefault(file, {})
        if int(label) in known:
            raise stored.invalid(f"label {label} twice{f' for {file}' if file else ''}")
        known[int(label)] = name.strip() or None
    return found if FILE in header else {"": found.get("", {})}


def _cells(rows: Iterator[list[str]], header: list[str], stored: StoredFile) -> Iterator[tuple[str, str, str]]:
    """Yield file, label and class of each row."""
    places = [header.index(name) if name in header else -1 for name in (FILE, LABEL, CLASS)]
    with stored.parsing(csv.Error):
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                raise csv.Error(f"a row of {len(row)} cells under {len(header)} columns")
            file, label, name = (row[place] if place >= 0 else "" for place in places)
            yield file, label, name
