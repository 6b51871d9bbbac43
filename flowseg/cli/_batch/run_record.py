"""The record that a command keeps in its output folder: the options of the run, and the inputs that results are of.

One JSON document per line: first the run, then one line per finished file. Lines are added while the command runs. At
the end the file is written again in the order of names, so that a resumed run leaves the same bytes as one that was
never interrupted.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from flowseg import __version__
from flowseg._system import files, locks
from flowseg._system.invalid_file import StoredFile
from flowseg._system.strict_json import read_strictly
from flowseg.cli._batch.input_snapshots import Snapshot

RECORD_NAME = "flowseg-run.jsonl"


@dataclass(frozen=True)
class Run:
    """What all results of a folder have in common. ``options`` are pairs of name and value."""

    command: str
    model: str
    options: tuple[tuple[str, str], ...]
    flowseg: str = __version__


@dataclass(frozen=True)
class Note:
    """What is to be known about the results of a file: a sentence, or empty, and statistics of the image by name."""

    sentence: str = ""
    statistics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A finished file: the name of its results, its own name, the hash of its bytes, the number of its objects.

    ``note`` is a sentence about the results, or empty; ``statistics`` are numbers about the image, by which it is
    compared with training images.
    """

    name: str
    file: str
    sha256: str
    objects: int
    note: str = ""
    statistics: dict[str, float] = field(default_factory=dict)


def describe_run(command: str, model: Snapshot | None, options: list[tuple[str, Any]]) -> Run:
    """Return the run of these options; the model counts by its bytes, not by its name."""
    given = tuple((name, str(value)) for name, value in options if value is not None)
    return Run(command, "" if model is None else model.digest, given)


def hash_record(folder: Path) -> str:
    """Return the hash of the record of a folder, by which changes are noticed; empty where there is none."""
    try:
        return hashlib.sha256((folder / RECORD_NAME).read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""


def read_record(folder: Path) -> tuple[Run | None, dict[str, Entry]]:
    """Return the run of a folder and its finished files by name; a last line that was cut short does not count."""
    file = folder / RECORD_NAME
    if not file.is_file():
        return None, {}
    stored = StoredFile(file, "record of a flowseg command")
    with stored.parsing(UnicodeDecodeError):
        lines = file.read_text(encoding="ascii").split("\n")[:-1]
    documents = [read_strictly(line, stored.invalid) for line in lines]
    if not documents:
        return None, {}
    run = _as_run(documents[0], stored)
    entries = [_as_entry(document, stored) for document in documents[1:]]
    return run, {entry.name: entry for entry in entries}


def _as_run(document: Any, stored: StoredFile) -> Run:
    options = document.get("options") if isinstance(document, dict) else None
    if not isinstance(options, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in options):
        raise stored.invalid("a first line that describes no run")
    if not document.keys() >= {"command", "model", "flowseg"}:
        raise stored.invalid("a run without its command, model or version")
    pairs = tuple((str(name), str(value)) for name, value in options)
    return Run(str(document["command"]), str(document["model"]), pairs, str(document["flowseg"]))


def _as_entry(document: Any, stored: StoredFile) -> Entry:
    if not isinstance(document, dict) or not document.keys() >= {"name", "file", "sha256", "objects"}:
        raise stored.invalid("a line that describes no finished file")
    if type(document["objects"]) is not int:
        raise stored.invalid("a finished file whose number of objects is no whole number")
    name, source, digest = (str(document[key]) for key in ("name", "file", "sha256"))
    statistics = document.get("statistics", {})  # older records lack it
    if not isinstance(statistics, dict) or not all(_is_number(value) for value in statistics.values()):
        raise stored.invalid("a finished file whose statistics are no numbers")
    return Entry(name, source, digest, document["objects"], str(document.get("note", "")), statistics)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


class Record:
    """The record of a run in progress.

    Parameters
    ----------
    folder : Path
        Output folder; must exist.
    run : Run
        This run.
    entries : iterable of Entry
        Files that are finished already.
    """

    def __init__(self, folder: Path, run: Run, entries: Iterable[Entry]) -> None:
        self.file = folder / RECORD_NAME
        self.run = run
        self.entries = {entry.name: entry for entry in entries}
        self._lock = Lock()
        self.write()

    def add(self, entry: Entry) -> None:
        """Note that a file is finished."""
        with self._lock:
            line = _line(asdict(entry))
            descriptor = os.open(self.file, os.O_WRONLY | os.O_APPEND | locks.CAREFULLY)
            try:
                size = os.fstat(descriptor).st_size
                self._append(descriptor, line, size)
            finally:
                os.close(descriptor)
            self.entries[entry.name] = entry

    def _append(self, descriptor: int, line: bytes, size: int) -> None:
        """Add a line to a file of this size; half a line is removed again."""
        try:
            if os.write(descriptor, line) != len(line):
                raise OSError(f"{self.file} must have room for another line; the disk is full.")
        except BaseException as error:
            os.truncate(descriptor, size)
            if isinstance(error, OSError) and error.filename is None and error.strerror is not None:
                error.filename = str(self.file)
            raise

    def write(self) -> None:
        """Write the whole record again, files in the order of their names; a link is replaced, not followed."""
        lines = [_line(asdict(self.run)), *(_line(asdict(self.entries[name])) for name in sorted(self.entries))]
        files.write_atomically(self.file, lambda beside: beside.write_bytes(b"".join(lines)), through_links=False)


def _line(document: dict[str, Any]) -> bytes:
    return (json.dumps(document) + "\n").encode("ascii")
