"""What ``--resume`` compares: the options of both runs, and the hashes of the inputs of finished files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from flowseg._system.bars import bar
from flowseg.cli._batch.input_snapshots import take_snapshot
from flowseg.cli._batch.run_record import Entry, Run

# Hexadecimal digits of a model's hash that messages show.
SHOWN_DIGITS = 12


def compare_runs(old: Run, new: Run) -> str:
    """Return in words how two runs differ: command, version, model or options; empty if they do not."""
    pairs: list[tuple[str, str | None, str | None]] = [
        ("the command", old.command, new.command),
        ("the version of flowseg", old.flowseg, new.flowseg),
        ("--model", old.model[:SHOWN_DIGITS], new.model[:SHOWN_DIGITS]),
    ]
    before, now = dict(old.options), dict(new.options)
    pairs += [(f"--{name}", before.get(name), now.get(name)) for name in sorted({*before, *now})]
    words = [f"{name} was {a or 'not given'}, is {b or 'not given'}" for name, a, b in pairs if a != b]
    return "; ".join(words)


def find_finished(
    tasks: Mapping[str, tuple[tuple[Path, ...], tuple[Path, ...]]], entries: Mapping[str, Entry]
) -> dict[str, Entry]:
    """Return the entries of the tasks whose results exist and whose inputs have the hash of the record.

    ``tasks`` are the sources and results of every task, by its name.
    """
    finished = {}
    for name, (sources, results) in bar(tasks.items(), "comparing"):
        entry = entries.get(name)
        if entry and all(file.exists() for file in results):
            try:
                is_same = take_snapshot(*sources).digest == entry.sha256
            except OSError:  # reported when the file is read
                is_same = False
            if is_same:
                finished[name] = entry
    return finished
