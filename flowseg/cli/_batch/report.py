"""Report of a batch: what was done, notes about results, and what failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

from flowseg.cli._batch.plan import Batch
from flowseg.cli._shared.errors import name_file
from flowseg.cli._shared.terminal import print_json, print_lines, print_message

# Files whose notes are shown at most.
MOST_NOTES = 5


def report_batch(batch: Batch, sentence: str, *, as_json: bool) -> None:
    """Print what was done and what failed; exit with status 1 if something did."""
    if as_json:
        print_json(_as_document(batch))
    elif batch.entries or not batch.failures:
        print_lines(sentence)
    _report_notes(batch)
    report_failures(batch.failures, len(batch.tasks))


def _report_notes(batch: Batch) -> None:
    """Print one line per file with a note to standard error, up to `MOST_NOTES`."""
    entries = batch.entries
    noted = [(task.title, entry.note) for task in batch.tasks if (entry := entries.get(task.name)) and entry.note]
    for file, note in noted[:MOST_NOTES]:
        print_message(f"note: {name_file(file, note)}")
    if len(noted) > MOST_NOTES:
        print_message(f"{len(noted)} of {len(batch.tasks)} files have notes; --json lists all of them")


def report_failures(failures: Sequence[tuple[str, str]], n_files: int) -> None:
    """Print one line per failure to standard error, then exit with status 1."""
    for file, reason in failures:
        print_message(name_file(file, reason))
    if failures:
        print_message(f"{len(failures)} of {n_files} files failed")
        raise typer.Exit(1)


def _as_document(batch: Batch) -> dict[str, Any]:
    entries = batch.entries
    done = [
        {
            "file": task.title,
            "results": [str(file) for file in task.results],
            "objects": entries[task.name].objects,
            "kept": task.name in batch.kept,
            "note": entries[task.name].note or None,
            "statistics": entries[task.name].statistics or None,
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
    """Return the number of finished images in words, such as "7 images (3 of them done before)"."""
    before = f" ({len(batch.kept)} of them done before)" if batch.kept else ""
    return f"{len(batch.entries)} {'image' if len(batch.entries) == 1 else 'images'}{before}"
