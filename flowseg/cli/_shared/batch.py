"""Many files into one output folder: begun, gone on with or begun anew, never two runs mixed, and said what failed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from flowseg import _checks, io
from flowseg._image_files.file_names import stem_of
from flowseg._system.bars import bar
from flowseg._system.files import remove_leftovers
from flowseg._system.locks import holding_folder
from flowseg.cli._shared.inputs import result_names
from flowseg.cli._shared.progress import advising
from flowseg.cli._shared.record import RECORD_NAME, Entry, Record, Run, differences, mark_of_record, read_record
from flowseg.cli._shared.sources import Sighting, look
from flowseg.cli._shared.stream import FAULTS, Failure, Stages, sentence_of, stream
from flowseg.io._results import COCO_NAME, MasksOfFiles, result_files

RESUME = "what is done so far stays in the output folder; the same command with --resume goes on"


@dataclass(frozen=True)
class Task:
    """One input: its files (the last is the image, where there is one), its name, and the files to be made of it.

    The last of the files that are made is written last: where it is, the others are. ``part`` is the image's name
    where one input holds several; such an input is read when the tasks are made, and ``seen`` is how it was then.
    """

    sources: tuple[Path, ...]
    name: str
    results: tuple[Path, ...]
    part: str = ""
    seen: Sighting | None = None

    @property
    def title(self) -> str:
        """What to call it before people."""
        return f"{self.sources[0]}, {self.part}" if self.part else str(self.sources[0])

    @property
    def image_name(self) -> str:
        """The name of the image, as far as it is known."""
        return self.part or str(PurePosixPath(self.name).parent / self.sources[-1].name)


def make_tasks(
    files: Sequence[Path], folder: Path, kinds: Sequence[str], bare: Callable[[Path], str] = stem_of
) -> list[Task]:
    """One task per file; ``bare`` makes the names of results out of those of files."""
    return [
        Task((file,), name, result_files(folder, name, kinds))
        for file, name in zip(files, result_names(files, bare), strict=True)
    ]


def made_files(folder: Path) -> list[Path]:
    """Results that the folder's record speaks of: a pattern may find them among the images of the next run."""
    return [file for name in read_record(folder)[1] for file in result_files(folder, name)]


@dataclass
class Batch:
    """What is to be done, and what has been done."""

    folder: Path
    run: Run
    workers: int
    tasks: list[Task]
    to_remove: list[Path]
    foreign: set[Path]  # files that no command of ours is known to have made
    mark: str  # of the record that all this was found out from
    kept: dict[str, Entry]
    all_entries: dict[str, Entry] = field(default_factory=dict)
    failures: list[tuple[str, str]] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)  # sentences about results, by the name of the task
    seconds: float = 0.0

    @property
    def todo(self) -> list[Task]:
        """Tasks whose results are not there yet."""
        return [task for task in self.tasks if task.name not in self.kept]

    @property
    def entries(self) -> dict[str, Entry]:
        """The tasks that are done, by name; the record may hold other files beside them."""
        return {task.name: self.all_entries[task.name] for task in self.tasks if task.name in self.all_entries}

    @property
    def n_objects(self) -> int:
        """Objects in all files that are done."""
        return sum(entry.objects for entry in self.entries.values())


def plan_batch(
    folder: Path, run: Run, tasks: Sequence[Task], *, resume: bool, overwrite: bool, workers: int | None
) -> Batch:
    """Find out what there is to do, and refuse what would mix two runs; writes nothing."""
    if resume and overwrite:
        raise ValueError("--resume and --overwrite must not be given together: one keeps results, one removes them.")
    n_threads = _checks.as_workers(workers)
    check_folder(folder, tasks)
    mark = mark_of_record(folder)
    old_run, old = read_record(folder)
    candidates = [*(file for task in tasks for file in result_files(folder, task.name)), folder / COCO_NAME]
    present = [file for file in candidates if os.path.lexists(file)]
    if resume and present and old_run is None:
        raise ValueError(f"--resume must find the record of the run, {RECORD_NAME}; {present[0]} is there without one.")
    names = {task.name for task in tasks}
    different = differences(old_run, run) if old_run else ""
    if resume and different:
        raise ValueError(f"--resume must be given the options of the run in {folder}; {different}.")
    if present and not resume and not overwrite:
        raise FileExistsError(
            f"--output must be a folder without results of these files; {present[0]} is there. --resume goes on with "
            "that run, --overwrite begins anew."
        )
    others = [name for name, entry in old.items() if name not in names and _is_there(folder, entry)]
    if different and others:
        raise ValueError(f"--output must not hold results of another run; {folder} holds {others[0]}: {different}.")
    entries = {} if different else old
    kept = _find_kept(tasks, entries) if resume else {}
    keeps = {file for task in tasks if task.name in kept for file in result_files(folder, task.name)}
    foreign: set[Path] = set()
    if old_run is None:  # only what takes their place removes them
        keeps = foreign = set(present) - {file for task in tasks for file in task.results}
    to_remove = [file for file in present if file not in keeps]
    batch = Batch(folder, run, n_threads, list(tasks), to_remove, foreign, mark, kept)
    batch.all_entries = {name: entry for name, entry in entries.items() if name not in names or name in kept}
    return batch


def check_folder(folder: Path, tasks: Sequence[Task], option: str = "--output") -> None:
    """Refuse a folder that holds an input or cannot be written to, and inputs of the same name."""
    seen: dict[str, Path] = {}
    top = folder.resolve()
    for task in tasks:
        place = (folder / task.name).parent.resolve()
        if not place.is_relative_to(top):
            raise ValueError(
                f"{option} must be a folder without links to others; {(folder / task.name).parent} leads to {place}."
            )
        for source in task.sources:
            real = source.resolve()
            if place in (source.parent.resolve(), real if real.is_dir() else real.parent):
                raise ValueError(
                    f"{option} must be another folder than that of {source}; nothing there is overwritten."
                )
        if task.name in seen:
            raise ValueError(f"files must have different names; got {seen[task.name]} and {task.sources[0]}.")
        seen[task.name] = task.sources[0]
    above = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not above.is_dir():
        raise NotADirectoryError(f"{option} must be a folder, or lie in one; {above} is a file.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise PermissionError(f"{option} must be a folder that can be written to; {above} cannot.")


def _is_there(folder: Path, entry: Entry) -> bool:
    return any(file.exists() for file in result_files(folder, entry.name))


def _find_kept(tasks: Sequence[Task], entries: dict[str, Entry]) -> dict[str, Entry]:
    """Files that need not be done again."""
    kept = {}
    for task in bar(tasks, "looking"):
        entry = entries.get(task.name)
        if entry and all(file.is_file() for file in task.results):
            try:
                same = look(*task.sources).digest == entry.sha256
            except OSError:  # said when it is its turn
                same = False
            if same:
                kept[task.name] = entry
    return kept


def run_batch(
    batch: Batch,
    stages: Stages[Task, Any, Any, Any],
    title: str,
    coco: Callable[[], MasksOfFiles] | None = None,
) -> None:
    """Do what there is to do; what fails is noted and the rest done; ``coco`` gives the masks of all for one file more.

    While this runs, no other run writes into the folder.
    """
    began = time.perf_counter()
    batch.folder.mkdir(parents=True, exist_ok=True)
    with holding_folder(batch.folder, f"flowseg {batch.run.command}", f"--output {batch.folder}"):
        if mark_of_record(batch.folder) != batch.mark:
            raise BlockingIOError(
                f"--output {batch.folder} must not be in use by another run; one has written to it just now. Run the "
                "command again."
            )
        _run(batch, stages, title)
        if coco is not None:
            write_coco(batch, coco())
    batch.seconds = time.perf_counter() - began


def _run(batch: Batch, stages: Stages[Task, Any, Any, Any], title: str) -> None:
    for place in {(batch.folder / task.name).parent for task in batch.tasks}:
        place.mkdir(parents=True, exist_ok=True)
    for file in batch.to_remove:
        file.unlink(missing_ok=True)
    _remove_leftovers(batch)
    record = Record(batch.folder, batch.run, batch.all_entries.values())
    noting = Stages(
        _reading(stages.read),
        lambda read: (read[0], stages.work(read[1])),
        lambda task, worked: (worked[0], stages.make(task, worked[1])),
        _writing(batch, stages, record),
    )
    todo = batch.todo
    with (
        advising(RESUME),
        bar(None, title, total=len(todo)) as shown,
        closing(stream(todo, noting, batch.workers)) as results,
    ):
        for task, result in results:
            if isinstance(result, Failure):
                batch.failures.append((task.title, result.reason))
                shown.set_postfix(failed=len(batch.failures))
            shown.update()
    with suppress(OSError):  # a full disk: the lines are all there, in another order
        record.write()
    batch.all_entries = record.entries


def _remove_leftovers(batch: Batch) -> None:
    """Remove what a run that was killed while it wrote a file has left of it."""
    names: dict[Path, list[str]] = {batch.folder: [COCO_NAME, RECORD_NAME]}
    for file in (file for task in batch.tasks for file in result_files(batch.folder, task.name)):
        names.setdefault(file.parent, []).append(file.name)
    for folder in names:
        remove_leftovers(folder, names[folder])


def _reading(read: Callable[[Task], Any]) -> Callable[[Task], tuple[Sighting, Any]]:
    def work(task: Task) -> tuple[Sighting, Any]:
        try:
            seen = look(*task.sources)
        except OSError:
            read(task)  # which says best what is wrong with a file
            raise
        if task.seen is not None:
            task.seen.check()
        return seen, read(task)

    return work


def _writing(
    batch: Batch, stages: Stages[Task, Any, Any, Any], record: Record
) -> Callable[[Task, tuple[Sighting, Any]], int]:
    """Results of a file are there together with its line in the record, or not at all."""

    def work(task: Task, made: tuple[Sighting, Any]) -> int:
        try:
            n_objects = stages.write(task, made[1])
            made[0].check()
            note = batch.notes.get(task.name, "")
            record.add(Entry(task.name, task.image_name, made[0].digest, n_objects, note))
        except BaseException:
            for file in {*result_files(batch.folder, task.name)} - batch.foreign:
                with suppress(OSError):
                    file.unlink(missing_ok=True)
            raise
        return n_objects

    return work


def write_coco(batch: Batch, masks: MasksOfFiles) -> None:
    """Write the file that holds the objects of all images; if that fails it is a failure like others."""
    file = batch.folder / COCO_NAME
    try:
        if file.is_symlink():  # what is written here stays here
            file.unlink()
        io.write_coco(file, masks)
    except FAULTS as error:
        batch.failures.append((str(file), sentence_of(error)))
