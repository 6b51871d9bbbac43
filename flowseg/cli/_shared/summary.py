"""What a command over many files says in the end: what was done, notes, what failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

from flowseg.cli._shared.batch import Batch
from flowseg.cli._shared.say import complain, say, say_json
from flowseg.cli._shared.stream import name_file

# Files whose notes are shown in the end.
MOST_NOTES = 5


def report_batch(batch: Batch, sentence: str, *, as_json: bool) -> None:
    """Say what was done and what failed; exit with status 1 when something did."""
    if as_json:
        say_json(_document(batch))
    elif batch.entries or not batch.failures:
        say(sentence)
    _report_notes(batch)
    report_failures(batch.failures, len(batch.tasks))


def _report_notes(batch: Batch) -> None:
    """One line per file with a note on standard error, for so many files as anyone reads."""
    entries = batch.entries
    noted = [(task.title, entry.note) for task in batch.tasks if (entry := entries.get(task.name)) and entry.note]
    for file, note in noted[:MOST_NOTES]:
        complain(f"note: {name_file(file, note)}")
    if len(noted) > MOST_NOTES:
        complain(f"{len(noted)} of {len(batch.tasks)} files have notes; --json gives all of them")


def report_failures(failures: Sequence[tuple[str, str]], n_files: int) -> None:
    """One line per failure on standard error, then exit with status 1."""
    for file, reason in failures:
        complain(name_file(file, reason))
    if failures:
        complain(f"{len(failures)} of {n_files} files failed")
        raise typer.Exit(1)


def _document(batch: Batch) -> dict[str, Any]:
    entries = batch.entries
    done = [
        {
            "file": task.title,
            "results": [str(file) for file in task.results],
            "objects": entries[task.name].objects,
            "kept": task.name in batch.kept,
            "note": entries[task.name].note or None,
        }
        for task in batch.tasks
        if task.name in entries
    ]
    return {
        "command": batch.run.command,
        "output": str(batch.folder),
        "files": done,
        "failures": [{"file": file, "reason": reason} for file, reason in batch.failures],
        "objects": batch.n_objects,
        "seconds": round(batch.seconds, 3),
    }


def count_done(batch: Batch) -> str:
    """For the last sentence: "7 images (3 of them done before)"."""
    before = f" ({len(batch.kept)} of them done before)" if batch.kept else ""
    return f"{len(batch.entries)} {'image' if len(batch.entries) == 1 else 'images'}{before}"
