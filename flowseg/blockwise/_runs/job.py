"""A run as its tasks see it: the work folder, the plan, and the records of finished tasks."""

from __future__ import annotations

import os
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TypeVar, cast

from flowseg import __version__, _checks
from flowseg._system import files, locks
from flowseg.blockwise._runs import records
from flowseg.blockwise._runs.plan import PLAN_NAME, Plan, compare_plans, read_plan, write_plan
from flowseg.blockwise._runs.records import About, Array, DamagedRecordError, LargeArray

T = TypeVar("T")

# The work folder is beside the output, under its name and this.
WORK_SUFFIX = ".blocks"
# A work folder that is being removed is renamed first: what a kill leaves of it is no work folder.
REMOVED_SUFFIX = ".removed"
# Empty file in every work folder, made first: what has none of these is not removed or written to.
MARK_NAME = "flowseg-blocks"
# Folders in a work folder that belong to no stage.
PARTS_FOLDER = "parts"
# Held while a process opens a run, so that its tasks have one job between them.
OPENING = threading.Lock()
# What a damaged record raises.
DAMAGE = (OSError, KeyError, EOFError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError)


class Job:
    """A run in progress.

    Parameters
    ----------
    folder : Path
        Work folder.
    plan : Plan
        Its plan.
    n_threads : int
        Threads that one task may use.
    """

    def __init__(self, folder: Path, plan: Plan, *, n_threads: int = 1) -> None:
        self.folder, self.plan, self.n_threads = folder, plan, n_threads
        self._digest = plan.digest
        self._kept: dict[str, object] = {}
        self._whole: set[tuple[str, int, int, int]] = set()
        self._lock = threading.RLock()

    def keep(self, name: str, make: Callable[[], T]) -> T:
        """Return what ``make`` returns; it is called once per process, as for a model that is loaded."""
        with self._lock:
            if name not in self._kept:
                self._kept[name] = make()
            return cast(T, self._kept[name])

    def record_path(self, stage: str, index: int) -> Path:
        """Return the file of a record."""
        return self.folder / stage / f"{index}.npz"

    def large_path(self, stage: str, index: int, name: str) -> Path:
        """Return the file of a large array."""
        return self.folder / stage / f"{index}.{name}.npy"

    def is_done(self, stage: str, index: int) -> bool:
        """Whether a task is done: its record and its large arrays are there and have their sizes.

        Raises
        ------
        ValueError
            If the record is of another schema or another run.
        """
        about = records.read_about(self.record_path(stage, index))
        if about is None:
            return False
        self._check_origin(about, stage, index)
        return all(_size(self.large_path(stage, index, name)) == large.n_bytes for name, large in about.large.items())

    def write_record(
        self, stage: str, index: int, arrays: Mapping[str, Array], large: Mapping[str, Array] | None = None
    ) -> None:
        """Write the result of a task: first its large arrays, then its record, each atomically.

        Parameters
        ----------
        stage : str
            Name of the stage.
        index : int
            Number of the task.
        arrays : mapping of str to ndarray
            What `read_record` returns.
        large : mapping of str to ndarray, optional
            What `read_large` returns, one by one.
        """
        self._make_folder(stage)
        written: dict[str, LargeArray] = {}
        for name, array in (large or {}).items():
            written[name] = records.write_large(self.large_path(stage, index, name), array)
        about = About(self._digest, stage, index, large=written)
        records.write_arrays(self.record_path(stage, index), about, arrays)

    def read_record(self, stage: str, index: int) -> dict[str, Array]:
        """Return the arrays of a record.

        Raises
        ------
        DamagedRecordError
            If it is missing or damaged; `run_task` then does its task again.
        """
        return self._read(stage, index)[1]

    def read_large(self, stage: str, index: int, name: str) -> Array:
        """Return a large array by memory map; its checksum is compared once per process.

        Raises
        ------
        DamagedRecordError
            If it is missing or damaged.
        """
        path = self.record_path(stage, index)
        about = records.read_about(path)
        if about is None:
            raise self._damaged(path, stage, index, EOFError("it is cut short or missing"))
        self._check_origin(about, stage, index)
        path = self.large_path(stage, index, name)
        try:
            state = path.stat()
            mark = (str(path), state.st_ino, state.st_size, state.st_mtime_ns)
            if mark not in self._whole:
                if not records.is_whole(path, about.large[name]):
                    raise EOFError("its checksum is another one")
                self._whole.add(mark)
            return records.map_large(path)
        except DAMAGE as error:
            raise self._damaged(path, stage, index, error) from error

    def remove_record(self, stage: str, index: int) -> None:
        """Remove a record: its task is to be done again."""
        self.record_path(stage, index).unlink(missing_ok=True)

    def check_exists(self) -> None:
        """Raise FileNotFoundError if the work folder has vanished."""
        if not (self.folder / PLAN_NAME).is_file():
            raise FileNotFoundError(f"work folder {self.folder} must stay while the run lasts; it has vanished.")

    def _read(self, stage: str, index: int) -> tuple[About, dict[str, Array]]:
        path = self.record_path(stage, index)
        try:
            about, arrays = records.read_arrays(path)
        except DAMAGE as error:
            raise self._damaged(path, stage, index, error) from error
        self._check_origin(about, stage, index)
        return about, arrays

    def _damaged(self, path: Path, stage: str, index: int, error: Exception) -> Exception:
        """Return what to raise for a file that cannot be read."""
        if isinstance(error, ValueError) and str(error).startswith(f"{path} must "):
            return error
        self.check_exists()
        reason = f"{error}" or type(error).__name__
        return DamagedRecordError(f"{path} must be a whole record of a finished task; got: {reason}", stage, index)

    def _check_origin(self, about: About, stage: str, index: int) -> None:
        if (about.plan, about.stage, about.index) != (self._digest, stage, index):
            path = self.record_path(stage, index)
            raise ValueError(
                f"{path} must be a record of this run; it is one of task {about.stage} {about.index} of another."
            )

    def _make_folder(self, stage: str) -> None:
        try:
            (self.folder / stage).mkdir(exist_ok=True)
        except FileNotFoundError:
            self.check_exists()
            raise


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def work_folder_of(output: str | os.PathLike[str]) -> Path:
    """Return the work folder of an output."""
    path = _checks.as_path(output, "output")
    return path.with_name(path.name + WORK_SUFFIX)


def open_job(folder: Path, *, n_threads: int = 1) -> Job:
    """Open a run that has a plan.

    Raises
    ------
    FileNotFoundError
        If there is no plan.
    ValueError
        If another version of flowseg made it.
    """
    plan = read_plan(folder)
    if plan.flowseg != __version__:
        raise ValueError(
            f"flowseg must have the version that the run in {folder} was started with, {plan.flowseg}; it has "
            f"{__version__}."
        )
    return Job(folder, plan, n_threads=n_threads)


def shared_job(folder: Path, n_threads: int) -> Job:
    """As `open_job`, the same object for all tasks of one process."""
    state = (folder / PLAN_NAME).stat() if (folder / PLAN_NAME).is_file() else None
    mark = None if state is None else (state.st_ino, state.st_size, state.st_mtime_ns)
    with OPENING:
        return _cached_job(folder, n_threads, mark)


@lru_cache(maxsize=1)
def _cached_job(folder: Path, n_threads: int, mark: tuple[int, int, int] | None) -> Job:  # noqa: ARG001
    return open_job(folder, n_threads=n_threads)


@contextmanager
def holding_job(
    folder: Path, plan: Plan, *, resume: bool, prepare: Callable[[Path], None] | None = None
) -> Iterator[Job]:
    """Start a run, or continue it, and keep other runs from its work folder meanwhile.

    Parameters
    ----------
    folder : Path
        Work folder; made if it does not exist.
    plan : Plan
        The plan of this run.
    resume : bool
        Whether to continue a run that is in the folder.
    prepare : callable, optional
        Called with the folder of a new run before its plan is written, to put the model there. What an earlier call
        left that was killed is still there.

    Raises
    ------
    FileExistsError
        If there is a run in the folder and ``resume`` is False.
    ValueError
        If there is a run with another plan, or a folder that is none of a run.
    BlockingIOError
        If another process holds the folder.
    """
    files.check_folder_of(folder, "output")
    with locks.holding_file(folder, "flowseg.blockwise", f"work folder {folder}"):
        _remove_leftovers(folder)
        yield start_job(folder, plan, resume=resume, prepare=prepare)


def start_job(folder: Path, plan: Plan, *, resume: bool, prepare: Callable[[Path], None] | None = None) -> Job:
    """Start a run, or continue it; see `holding_job`."""
    if (folder / PLAN_NAME).is_file():
        if not resume:
            raise FileExistsError(
                f"output must have no unfinished run; {folder} holds one. Continue it with resume=True, or delete that "
                "folder."
            )
        difference = compare_plans(read_plan(folder), plan)
        if difference:
            raise ValueError(f"resume must be given what the run in {folder} was started with; {difference}.")
    else:
        _take_folder(folder)
        if prepare is not None:
            prepare(folder)
        write_plan(folder, plan)
    return Job(folder, plan, n_threads=_checks.as_workers(None))


def _take_folder(folder: Path) -> None:
    """Make a work folder, or take one that has no plan because its run was killed as it started."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"work folder {folder} must be a folder or not exist; it is a file.")
    if folder.is_dir() and not (folder / MARK_NAME).exists() and any(folder.iterdir()):
        raise ValueError(f"work folder {folder} must be one of a block-wise run; it has no {PLAN_NAME}.")
    folder.mkdir(exist_ok=True)
    (folder / MARK_NAME).touch()


def remove_work_folder(folder: Path) -> None:
    """Remove the work folder of a finished run; what a kill leaves of it is removed by the next run."""
    _remove_leftovers(folder)
    gone = folder.with_name(folder.name + REMOVED_SUFFIX)
    os.replace(folder, gone)
    _remove_marked(gone)


def _remove_leftovers(folder: Path) -> None:
    _remove_marked(folder.with_name(folder.name + REMOVED_SUFFIX))


def _remove_marked(folder: Path) -> None:
    """Remove a folder that is empty or has the mark, which goes last."""
    with suppress(OSError):
        if (folder / MARK_NAME).exists():
            for path in folder.iterdir():
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                elif path.name != MARK_NAME:
                    path.unlink()
            (folder / MARK_NAME).unlink()
        folder.rmdir()
