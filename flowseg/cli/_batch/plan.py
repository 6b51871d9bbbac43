"""Plan of a batch: which files of an output folder are made, kept and removed. Nothing is written here."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from flowseg import _checks
from flowseg._image_files.file_names import stem_of
from flowseg.cli._batch.input_snapshots import Snapshot
from flowseg.cli._batch.output_folder import check_output_folder
from flowseg.cli._batch.result_names import name_results
from flowseg.cli._batch.resume import compare_runs, find_finished
from flowseg.cli._batch.run_record import RECORD_NAME, Entry, Note, Run, hash_record, read_record
from flowseg.io._results import COCO_NAME, ENDINGS, result_file, result_files


@dataclass(frozen=True)
class Task:
    """One input: its files, its name, and the files to make of it.

    The last source is the image, where there is one. The last result is written last: where it exists, the others do.
    ``part`` is the image's name where one input holds several images. Such an input is read when the tasks are made;
    ``snapshot`` is its state at that time.
    """

    sources: tuple[Path, ...]
    name: str
    results: tuple[Path, ...]
    part: str = ""
    snapshot: Snapshot | None = None

    @property
    def lasting(self) -> set[Path]:
        """Results that a resumed run continues from: label image and table of an image segmented block by block."""
        is_large = any(file.name.endswith(ENDINGS["zarr"]) for file in self.results)
        return (
            {file for file in self.results if file.name.endswith((ENDINGS["zarr"], ENDINGS["csv"]))}
            if is_large
            else set()
        )

    @property
    def title(self) -> str:
        """Name of the input in messages."""
        return f"{self.sources[0]}, {self.part}" if self.part else str(self.sources[0])

    @property
    def image_name(self) -> str:
        """Name of the image, as far as it is known."""
        return self.part or str(PurePosixPath(self.name).parent / self.sources[-1].name)


def make_tasks(
    files: Sequence[Path], folder: Path, kinds: Sequence[str], bare: Callable[[Path], str] = stem_of
) -> list[Task]:
    """Make one task per file; ``bare`` turns the name of a file into that of its results."""
    return [
        Task((file,), name, result_files(folder, name, kinds))
        for file, name in zip(files, name_results(files, bare), strict=True)
    ]


def find_earlier_results(folder: Path) -> list[Path]:
    """Return the results in the folder's record: a pattern may find them among the images of the next run."""
    return [file for name in read_record(folder)[1] for file in result_files(folder, name)]


@dataclass
class Batch:
    """Plan and progress of a batch."""

    folder: Path
    run: Run
    workers: int
    tasks: list[Task]
    to_remove: list[Path]
    foreign: set[Path]  # present, but in no record: only a result of the same name replaces them
    record_hash: str  # of the record that this plan was made from
    kept: dict[str, Entry]
    all_entries: dict[str, Entry] = field(default_factory=dict)
    failures: list[tuple[str, str]] = field(default_factory=list)
    notes: dict[str, Note] = field(default_factory=dict)  # about results, by the name of the task
    seconds: float = 0.0

    @property
    def todo(self) -> list[Task]:
        """Tasks that have no results yet."""
        return [task for task in self.tasks if task.name not in self.kept]

    @property
    def entries(self) -> dict[str, Entry]:
        """Finished tasks by name; the record may hold other files as well."""
        return {task.name: self.all_entries[task.name] for task in self.tasks if task.name in self.all_entries}

    @property
    def n_objects(self) -> int:
        """Objects in all finished files."""
        return sum(entry.objects for entry in self.entries.values())


def plan_batch(
    folder: Path, run: Run, tasks: Sequence[Task], *, resume: bool, overwrite: bool, workers: int | None
) -> Batch:
    """Find out what there is to do, and refuse what would mix two runs."""
    if resume and overwrite:
        raise ValueError("--resume and --overwrite must not be given together: one keeps results, one removes them.")
    n_threads = _checks.as_workers(workers)
    check_output_folder(folder, [(task.name, task.sources) for task in tasks])
    record_hash = hash_record(folder)
    old_run, old_entries = read_record(folder)
    candidates = [*(file for task in tasks for file in result_files(folder, task.name)), folder / COCO_NAME]
    present = [file for file in candidates if os.path.lexists(file)]
    difference = compare_runs(old_run, run) if old_run else ""
    if present and not resume and not overwrite:
        raise FileExistsError(
            f"--output must be a folder without results of these files; {present[0]} exists. --resume continues that "
            "run, --overwrite starts again."
        )
    if resume:
        _check_can_resume(folder, present, old_run, difference)
    names = {task.name for task in tasks}
    others = [name for name, entry in old_entries.items() if name not in names and _has_results(folder, entry)]
    if difference and others:
        raise ValueError(f"--output must not hold results of another run; {folder} holds {others[0]}: {difference}.")
    entries = {} if difference else old_entries
    kept = find_finished({task.name: (task.sources, task.results) for task in tasks}, entries) if resume else {}
    keep = {file for task in tasks if task.name in kept for file in result_files(folder, task.name)}
    if resume:
        begun = [task for task in tasks if any(result_file(folder, task.name, k).exists() for k in ("zarr", "blocks"))]
        keep |= {file for task in begun for file in (*task.lasting, result_file(folder, task.name, "blocks"))}
    foreign: set[Path] = set()
    if old_run is None:
        keep = foreign = set(present) - {file for task in tasks for file in task.results}
    to_remove = [file for file in present if file not in keep]
    batch = Batch(folder, run, n_threads, list(tasks), to_remove, foreign, record_hash, kept)
    batch.all_entries = {name: entry for name, entry in entries.items() if name not in names or name in kept}
    return batch


def _check_can_resume(folder: Path, present: Sequence[Path], old_run: Run | None, difference: str) -> None:
    if present and old_run is None:
        raise ValueError(f"--resume must find the record of the run, {RECORD_NAME}; {present[0]} exists without one.")
    if difference:
        raise ValueError(f"--resume must be given the options of the run in {folder}; {difference}.")


def _has_results(folder: Path, entry: Entry) -> bool:
    return any(file.exists() for file in result_files(folder, entry.name))
