"""Run of a batch: every file read, worked on and written; what fails is noted, and the others are done all the same."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar

from flowseg import io
from flowseg._system.bars import bar
from flowseg._system.files import remove_leftovers
from flowseg.cli._batch.file_stream import Failure, Stages, stream_files
from flowseg.cli._batch.input_snapshots import Snapshot, take_snapshot
from flowseg.cli._batch.output_folder import holding_output, remove_result
from flowseg.cli._batch.plan import Batch, Task
from flowseg.cli._batch.run_record import RECORD_NAME, Entry, Note, Record, hash_record
from flowseg.cli._shared.errors import FAULTS, sentence_of
from flowseg.cli._shared.progress import advising
from flowseg.io._results import COCO_NAME, AllObjects, result_files

RESUME = "finished results stay in the output folder; the same command with --resume continues"

Read = TypeVar("Read")
Worked = TypeVar("Worked")
Made = TypeVar("Made")


def run_batch(
    batch: Batch,
    stages: Stages[Task, Read, Worked, Made],
    title: str,
    coco: Callable[[], AllObjects] | None = None,
) -> None:
    """Do what there is to do, while no other run writes into the folder.

    ``coco`` returns the masks of all files, and classes if any, for one more file that holds the objects of all.
    """
    began = time.perf_counter()
    batch.folder.mkdir(parents=True, exist_ok=True)
    places = {(batch.folder / task.name).parent for task in batch.tasks}
    with holding_output(batch.folder, f"flowseg {batch.run.command}", places=places):
        if hash_record(batch.folder) != batch.record_hash:
            raise BlockingIOError(
                f"--output {batch.folder} must not be in use by another run; one has written to it just now. Run the "
                "command again."
            )
        for place in places:
            place.mkdir(parents=True, exist_ok=True)
        _run_files(batch, stages, title)
        if coco is not None:
            write_coco(batch, coco())
    batch.seconds = time.perf_counter() - began


def _run_files(batch: Batch, stages: Stages[Task, Read, Worked, Made], title: str) -> None:
    for file in batch.to_remove:
        remove_result(file)
    _remove_leftovers(batch)
    record = Record(batch.folder, batch.run, batch.all_entries.values())
    todo = batch.todo
    with (
        advising(RESUME),
        bar(None, title, total=len(todo)) as shown,
        closing(stream_files(todo, _add_record(batch, stages, record), batch.workers)) as results,
    ):
        for task, result in results:
            if isinstance(result, Failure):
                batch.failures.append((task.title, result.reason))
                shown.set_postfix(failed=len(batch.failures))
            shown.update()
    with suppress(OSError):  # a full disk: all lines are in the file, in another order
        record.write()
    batch.all_entries = record.entries


def _remove_leftovers(batch: Batch) -> None:
    """Remove the unfinished files of a run that was killed while it wrote them."""
    names: dict[Path, list[str]] = {batch.folder: [COCO_NAME, RECORD_NAME]}
    for file in (file for task in batch.tasks for file in result_files(batch.folder, task.name)):
        names.setdefault(file.parent, []).append(file.name)
    for folder in names:
        remove_leftovers(folder, names[folder])


def _add_record(
    batch: Batch, stages: Stages[Task, Read, Worked, Made], record: Record
) -> Stages[Task, tuple[Snapshot, Read], tuple[Snapshot, Worked], tuple[Snapshot, Made]]:
    """Stages that carry a snapshot of the input along, and write results together with their line in the record."""

    def read(task: Task) -> tuple[Snapshot, Read]:
        try:
            snapshot = take_snapshot(*task.sources)
        except OSError:
            stages.read(task)  # whose error describes best what is wrong with a file
            raise
        if task.snapshot is not None:
            task.snapshot.check()
        return snapshot, stages.read(task)

    def write(task: Task, made: tuple[Snapshot, Made]) -> int:
        try:
            n_objects = stages.write(task, made[1])
            made[0].check()
            note = batch.notes.get(task.name, Note())
            digest = made[0].digest
            record.add(Entry(task.name, task.image_name, digest, n_objects, note.sentence, note.statistics))
        except BaseException:
            for file in {*result_files(batch.folder, task.name)} - batch.foreign - task.lasting:
                with suppress(OSError):
                    file.unlink(missing_ok=True)
            raise
        return n_objects

    return Stages(
        read,
        lambda read: (read[0], stages.work(read[1])),
        lambda task, worked: (worked[0], stages.make(task, worked[1])),
        write,
    )


def write_coco(batch: Batch, objects: AllObjects) -> None:
    """Write the file that holds the objects of all images; an error is a failure like others."""
    file = batch.folder / COCO_NAME
    try:
        if file.is_symlink():  # what is written here stays here
            file.unlink()
        io.write_coco(file, objects.masks, classes=objects.classes)
    except FAULTS as error:
        batch.failures.append((str(file), sentence_of(error)))
