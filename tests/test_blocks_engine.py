"""Tasks of block-wise runs: the same records for any number of processes, after kills, damage and full disks."""

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import blockwise_dummies as dummies
import numpy as np
import pytest
from blockwise_dummies import PLAN, contents, counts, stages_of, with_settings, words
from cli_tools import start

from flowseg import blockwise
from flowseg._system import files, locks
from flowseg.blockwise._runs import records as _records
from flowseg.blockwise._runs.job import holding_job, open_job, remove_work_folder, shared_job, start_job, work_folder_of
from flowseg.blockwise._runs.plan import PLAN_NAME, compare_plans, read_plan, write_plan
from flowseg.blockwise._runs.records import DamagedRecordError
from flowseg.blockwise._runs.run import check_finished, run_stages
from flowseg.blockwise._runs.runners import parts, processes
from flowseg.blockwise._runs.runners.messages import as_exception, describe_failure
from flowseg.blockwise._runs.runners.progress import StageProgress
from flowseg.blockwise._runs.tasks import run_task

N_TASKS = 63 + 1 + 31
SOON = 60


def do_all(folder, plan=PLAN, *, resume=False, **options):
    with holding_job(folder, plan, resume=resume) as job:
        run_stages(job, stages_of, **options)
    return contents(folder)


def do_here(folder, plan=PLAN):
    """All tasks in this process."""
    job = start_job(folder, plan, resume=False)
    for stage in stages_of(plan):
        for index in range(stage.count(job)):
            run_task(job, stages_of(plan), stage.name, index)
    return job


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("expected") / "out.zarr.blocks"
    do_here(folder)
    return contents(folder)


@pytest.fixture
def folder(tmp_path):
    return work_folder_of(tmp_path / "out.zarr")


@pytest.fixture
def job(folder):
    return start_job(folder, PLAN, resume=False)


# Plans


def test_a_plan_is_read_as_it_was_written(folder):
    folder.mkdir()
    for plan in (PLAN, replace(PLAN, diameters=(3.5, 0.1)), with_settings(normalize=(("limits", 0.1), (1, True)))):
        write_plan(folder, plan)
        assert read_plan(folder) == plan
    assert PLAN.blocks_per_axis == (7, 9)
    assert PLAN.n_blocks == 63


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ('"schema": 2', '"schema": 1', "must be a plan of schema 2, .* got schema 1"),
        ('"schema": 2', '"schemas": 2', "got schema None"),
        ('"block_size": 10', '"block_size": 0', "got: 0 as block_size"),
        ('"block_size": 10', '"block_size": true', "got: True as block_size"),
        ('"block_size": 10', '"block_size": 10, "block_size": 10', "'block_size' more than once"),
        ('"kind"', '"king"', "missing or unknown names in the plan: kind, king"),
        ('"digest": "abc"', '"digest": 3', "got: 3 as digest"),
        ('"dtype": "uint16",', "", "missing or unknown names in the image: dtype"),
        ('"diameters": null', '"diameters": [NaN]', "the number nan"),
        ('"diameters": null', '"diameters": ["a"]', "'a' as a diameter"),
        ("70", '"70"', "'70' as shape"),
        ('"min_size",', "", "as a setting"),
        ("{", "", "no JSON"),
    ],
)
def test_a_plan_is_read_strictly(before, after, sentence, folder):
    folder.mkdir()
    write_plan(folder, PLAN)
    file = folder / PLAN_NAME
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))
    with pytest.raises(ValueError, match=sentence) as caught:
        read_plan(folder)
    assert str(caught.value).startswith(f"{file} must be a ")
    assert "\n" not in str(caught.value)


def test_a_huge_plan_is_not_read(folder):
    folder.mkdir()
    (folder / PLAN_NAME).write_text(" " * (1 << 21))
    with pytest.raises(ValueError, match="more than 1048576 bytes"):
        read_plan(folder)


@pytest.mark.parametrize(
    ("plan", "difference"),
    [
        (replace(PLAN, model="ffff" * 16), "the model was 1234567890ab, is ffffffffffff"),
        (replace(PLAN, block_size=11), "block_size was 10, is 11"),
        (replace(PLAN, diameters=(7.0,)), "diameters was None, is (7.0,)"),
        (replace(PLAN, flowseg="0.0"), "the version of flowseg was 0.1.0, is 0.0"),
        (with_settings(min_size=6, flow_threshold=0.4), "flow_threshold was None, is 0.4; min_size was 5, is 6"),
        (replace(PLAN, image=replace(PLAN.image, digest="abd")), "the image has changed"),
        (replace(PLAN, image=replace(PLAN.image, shape=(70, 91))), "the image's shape was (70, 90), is (70, 91)"),
        (replace(PLAN, settings=PLAN.settings[::-1]), "the plan differs"),
    ],
)
def test_another_plan_is_not_continued(plan, difference, folder, job):
    assert compare_plans(PLAN, plan) == difference
    with pytest.raises(ValueError, match="resume must be given what the run in ") as caught:
        start_job(folder, plan, resume=True)
    assert str(caught.value).endswith(f" was started with; {difference}.")
    assert start_job(folder, PLAN, resume=True).plan == PLAN


def test_a_run_is_not_started_twice(folder, job):
    with pytest.raises(FileExistsError, match=r"output must have no unfinished run; .* resume=True"):
        start_job(folder, PLAN, resume=False)


def test_a_folder_of_somebody_else(folder):
    (folder / "mine").mkdir(parents=True)
    with pytest.raises(ValueError, match="must be one of a block-wise run; it has no plan.json"):
        start_job(folder, PLAN, resume=True)
    shutil.rmtree(folder)
    folder.touch()
    with pytest.raises(ValueError, match="must be a folder or not exist; it is a file"):
        start_job(folder, PLAN, resume=False)
    with pytest.raises(FileNotFoundError, match="output must lie in a folder that exists"):
        do_all(folder.parent / "nowhere" / "x.blocks")


def test_a_kill_before_there_is_a_plan(folder):
    """The model is put into the folder first: a folder with a plan is complete."""

    def prepare(place):
        (place / "model.safetensors").write_text("model")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start_job(folder, PLAN, resume=False, prepare=prepare)
    start_job(folder, PLAN, resume=False, prepare=lambda place: (place / "model.safetensors").write_text("whole"))
    assert (folder / "model.safetensors").read_text() == "whole"


def test_two_runs_at_once(folder):
    with (
        holding_job(folder, PLAN, resume=False),
        pytest.raises(BlockingIOError, match="must not be in use by another run; it is in use by flowseg.blockwise"),
        holding_job(folder, PLAN, resume=True),
    ):
        pass
    assert [file.name for file in folder.parent.iterdir()] == [folder.name]


def test_another_version(folder, job):
    (folder / PLAN_NAME).unlink()
    write_plan(folder, replace(PLAN, flowseg="9.9"))
    with pytest.raises(ValueError, match=r"flowseg must have the version that the run in .*, 9\.9; it has 0"):
        open_job(folder)


def test_a_work_folder_is_removed(folder, job):
    remove_work_folder(folder)
    assert not list(folder.parent.iterdir())
    (folder.parent / f"{folder.name}.removed").mkdir()  # as a kill leaves it
    do_all(folder, workers=1)
    assert sorted(file.name for file in folder.parent.iterdir()) == ["log", folder.name]


# Records


def test_records(job):
    arrays = {"a": np.arange(5), "b": np.array("text"), "c": np.zeros((0, 3), np.float32)}
    large = {"x": np.arange(12.0).reshape(3, 4).T, "empty": np.zeros((0, 2), np.int32)}
    job.write_record("numbers", 3, arrays, large)
    read = job.read_record("numbers", 3)
    assert read.keys() == arrays.keys()
    for name in arrays:
        assert read[name].dtype == arrays[name].dtype
        np.testing.assert_array_equal(read[name], arrays[name])
    for name in large:
        np.testing.assert_array_equal(job.read_large("numbers", 3, name), large[name])
    assert not job.read_large("numbers", 3, "x").flags.writeable
    assert job.is_done("numbers", 3)
    assert not job.is_done("numbers", 4)
    before = contents(job.folder)
    job.write_record("numbers", 3, arrays, large)
    assert contents(job.folder) == before
    job.remove_record("numbers", 3)
    assert not job.is_done("numbers", 3)


def test_records_hold_no_objects(job):
    for arrays, large in (({"a": np.array([None])}, {}), ({}, {"a": np.array([None])})):
        with pytest.raises(TypeError, match="must be an array of numbers or text; got dtype object"):
            job.write_record("numbers", 0, arrays, large)
    with pytest.raises(ValueError, match="must not have the name 'about'"):
        job.write_record("numbers", 0, {"about": np.zeros(1)})
    assert not contents(job.folder)


def test_every_cut_and_every_changed_byte_is_noticed(job):
    job.write_record("numbers", 0, {"a": np.arange(3)}, {"x": np.arange(4)})
    record, large = job.record_path("numbers", 0), job.large_path("numbers", 0, "x")
    whole = record.read_bytes()
    n_silent = 0
    for k in range(0, len(whole), 3):
        changed = (whole[:k] + bytes([whole[k] ^ bits]) + whole[k + 1 :] for bits in (0x5A, 1, 2, 8, 64))
        for damaged in (whole[:k], *changed):
            record.write_bytes(damaged)
            done = job.is_done("numbers", 0)
            if done:  # dates and system fields of the archive, which nobody reads
                n_silent += 1
                assert job.read_record("numbers", 0)["a"].tolist() == [0, 1, 2]
            else:
                with pytest.raises(DamagedRecordError, match="must be a whole record"):
                    job.read_record("numbers", 0)
    assert n_silent < 5 * len(whole) // 8
    record.write_bytes(whole)
    whole = large.read_bytes()
    for damaged in (whole[:-1], whole + b"x", whole[:-1] + b"\x01", b""):
        large.write_bytes(damaged)
        os.utime(large, ns=(0, len(damaged) + damaged[-1] if damaged else 0))
        assert job.is_done("numbers", 0) == (len(damaged) == len(whole))
        with pytest.raises(DamagedRecordError, match=f"{large} must be a whole record"):
            job.read_large("numbers", 0, "x")
    large.unlink()
    assert not job.is_done("numbers", 0)


def test_records_of_another_schema_or_run_are_refused(job, monkeypatch):
    about = _records.About(PLAN.digest, "numbers", 0, schema=1)
    (job.folder / "numbers").mkdir()
    _records.write_arrays(job.record_path("numbers", 0), about, {})
    _records.write_arrays(job.record_path("numbers", 1), replace(about, schema=2, plan="other", index=1), {})
    for index, sentence in enumerate(("record of schema 2, .* got schema 1", "record of this run; it is one of task")):
        for look in (job.is_done, job.read_record):
            with pytest.raises(ValueError, match=sentence) as caught:
                look("numbers", index)
            assert not isinstance(caught.value, DamagedRecordError)


@pytest.mark.parametrize("what", ["1.npz", "1.large.npy"])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_damaged_records_are_made_again_where_they_are_read(what, damage, folder, expected):
    job = do_here(folder)
    job.remove_record("pairs", 0)  # of blocks 0 and 1
    job.remove_record("total", 0)
    file = folder / "numbers" / what
    whole = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        at = whole.rindex(b"'descr'") + 3
        file.write_bytes(whole[:-5] if damage == "cut" else whole[:at] + b"?" + whole[at + 1 :])
    fresh = open_job(folder)
    run_task(fresh, dummies.STAGES, "total", 0)
    run_task(fresh, dummies.STAGES, "pairs", 0)
    assert contents(folder) == expected
    assert counts(folder)["numbers-1"] == 2
    assert counts(folder)["numbers-0"] == 1


def test_damage_of_the_own_stage_is_an_error(job, monkeypatch):
    monkeypatch.setattr(dummies.Total, "make", lambda self, job, index: job.read_record("pairs", 0))
    with pytest.raises(DamagedRecordError):
        run_task(job, dummies.STAGES, "total", 0)


def test_a_stage_that_writes_no_record_is_a_bug(job, monkeypatch):
    monkeypatch.setattr(dummies.Numbers, "make", lambda self, job, index: None)
    with pytest.raises(RuntimeError, match="stage numbers must write a record for block 0"):
        run_task(job, dummies.STAGES, "numbers", 0)


def test_a_model_is_loaded_once_per_process(folder, job):
    assert shared_job(folder, 1) is shared_job(folder, 1)
    loaded = []
    threads = [threading.Thread(target=lambda: job.keep("model", lambda: loaded.append(1) or 5)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loaded == [1]
    assert job.keep("model", lambda: 6) == 5


def error_of(job, stage, index):
    try:
        run_task(job, dummies.STAGES, stage, index)
    except OSError as error:
        return error
    return None


def test_a_full_disk_leaves_nothing_that_is_trusted(folder, expected, monkeypatch):
    """Whichever write fails, and wherever in it."""
    job = start_job(folder, PLAN, resume=False)
    fsync, n_writes = os.fsync, [0]
    failing = {4, 9, 10, 30, 77}

    def full(descriptor):
        n_writes[0] += 1
        if n_writes[0] in failing:
            os.truncate(descriptor, 20)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    n_failed = 0
    for stage in dummies.STAGES:
        index = 0
        while index < stage.count(job):
            error = error_of(job, stage.name, index)
            if error is None:
                index += 1
                continue
            n_failed += 1
            assert error.errno == errno.ENOSPC
            assert str(folder) in str(error)
            assert error.__notes__ == [f"stage {stage.name}, block {index}"]
            assert not [file for file in folder.rglob("*") if files.UNFINISHED in file.name]
            assert all(expected[name] == data for name, data in contents(folder).items())
            assert not job.is_done(stage.name, index)
    assert n_failed >= 3
    assert contents(folder) == expected


# Processes of this machine


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_processes(workers, folder, expected):
    assert do_all(folder, workers=workers) == expected
    assert set(counts(folder).values()) == {1}
    assert len(counts(folder)) == N_TASKS
    assert do_all(folder, resume=True, workers=1) == expected
    assert set(counts(folder).values()) == {1}


def test_a_script_needs_no_guard(folder, tmp_path, expected):
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path[:0] = [{str(Path(dummies.__file__).parent)!r}]\n"
        "from blockwise_dummies import *; from flowseg.blockwise._runs.job import *; from flowseg.blockwise._runs.run import *\n"
        f"with holding_job(Path({str(folder)!r}), PLAN, resume=False) as job: run_stages(job, stages_of, workers=2)\n"
    )
    subprocess.run([sys.executable, script], check=True, timeout=SOON)
    assert contents(folder) == expected


@pytest.mark.skipif(os.name == "nt", reason="signals of this kind are POSIX")
def test_a_killed_worker_costs_its_task_only(folder, expected):
    plan = with_settings(kills_once="numbers 20")
    made = do_all(folder, plan, workers=2)
    assert made.keys() == expected.keys()
    assert set(counts(folder).values()) == {1}
    begun = {file.name: file.read_text().count("begun") for file in (folder.parent / "log").iterdir()}
    assert [name for name, n in begun.items() if n > 1] == ["numbers-20"]


@pytest.mark.skipif(os.name == "nt", reason="signals of this kind are POSIX")
def test_a_task_whose_workers_are_all_killed(folder):
    plan = with_settings(kills_always="numbers 5")
    with pytest.raises(
        ChildProcessError, match="block 5 of stage numbers must be done by one of 3 worker processes; all .* by SIGKILL"
    ):
        do_all(folder, plan, workers=2)
    begun = (folder.parent / "log" / "numbers-5").read_text().count("begun")
    assert begun == processes.MOST_ATTEMPTS


@pytest.mark.parametrize(
    ("setting", "kind", "sentence"),
    [
        ("fails", ValueError, "cellprob must be finite; got NaN."),
        ("runs_out", MemoryError, "there is not enough memory."),
    ],
)
def test_an_error_of_a_task(setting, kind, sentence, folder):
    plan = with_settings(**{setting: "pairs 3"})
    with pytest.raises(kind) as caught:
        do_all(folder, plan, workers=2)
    assert str(caught.value) == sentence
    assert caught.value.__notes__ == ["stage pairs, block 3"]
    assert "in make" in str(caught.value.__cause__) or "in run" in str(caught.value.__cause__)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "/a/b"),
        PermissionError(errno.EACCES, "Permission denied", "/a"),
        OSError("a sentence"),
        KeyError("name"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"),
        DamagedRecordError("a sentence", "numbers", 3),
        np.linalg.LinAlgError("singular"),
        MemoryError(),
        np.exceptions.AxisError(3, 2),
        KeyboardInterrupt(),
        type("OwnError", (Exception,), {})("mine"),
    ],
)
def test_errors_cross_processes(error):
    error.add_note("stage numbers, block 3")
    copy = as_exception(describe_failure(error))
    assert str(copy) == str(error)
    assert copy.__notes__ == error.__notes__
    assert isinstance(error, type(copy)) or type(copy) is RuntimeError
    if type(error).__module__ == "builtins" and not isinstance(error, UnicodeError):
        assert type(copy) is type(error)
        assert copy.args == error.args


def test_processes_that_do_not_start(folder, monkeypatch):
    monkeypatch.setattr(processes, "PROGRAM", "import sys; sys.exit(7)")
    with pytest.raises(
        ChildProcessError, match="worker processes must start with .*; 3 in a row ended with exit statu"
    ):
        do_all(folder, workers=2)


def test_a_process_that_cannot_import_the_stages(folder, job, monkeypatch):
    monkeypatch.setattr(dummies.stages_of, "__module__", "no_such_module")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        run_stages(job, stages_of, workers=2)


def test_bad_arguments(job):
    with pytest.raises(ValueError, match="workers must be an integer of at least 1"):
        run_stages(job, stages_of, workers=0)
    with pytest.raises(ValueError, match="workers must be None with a client"):
        run_stages(job, stages_of, workers=1, client="x")


@pytest.mark.skipif(os.name == "nt", reason="signals of this kind are POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left(number, tmp_path):
    process = start(words(dummies.RUN, tmp_path, 3, 0.3), stderr=subprocess.PIPE)
    log = tmp_path / "log"
    while not log.is_dir() or len(list(log.iterdir())) < 6:
        time.sleep(0.02)
    workers = {int(file.read_text().split()[1]) for file in log.iterdir()}
    process.send_signal(number)
    errors = process.communicate(timeout=SOON)[1]
    assert errors == b"" or number == signal.SIGINT
    assert len(workers) == 3
    end = time.monotonic() + 10
    while any(map(is_running, workers)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(map(is_running, workers))


def is_running(number):
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{number}/stat")
    return not (stat.exists() and ") Z " in stat.read_text())


@pytest.mark.skipif(os.name == "nt", reason="signals of this kind are POSIX")
def test_kills_at_random_moments(tmp_path, expected):
    """Every kill costs the tasks that were being done; records that were there are not made again."""
    rng = random.Random(5)
    folder = work_folder_of(tmp_path / "out.zarr")
    n_kills = 0
    for _ in range(5):
        process = start(words(dummies.RUN, tmp_path, 2, 0.01), stderr=subprocess.PIPE)
        before = counts(folder)
        while process.poll() is None and counts(folder) == before:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.15))
        n_kills += process.poll() is None
        done = set(contents(folder))
        process.kill()
        process.communicate()
        time.sleep(0.1)  # its workers see that it is gone
        assert done <= set(contents(folder))
    assert n_kills > 2
    subprocess.run(words(dummies.RUN, tmp_path, 2, 0.01), check=True, timeout=SOON)
    final = contents(folder)
    assert final.keys() == expected.keys()
    assert set(counts(folder).values()) <= {0, 1}  # 0: killed between the record and the note of it
    begun = sum(file.read_text().count("begun") for file in (tmp_path / "log").iterdir())
    assert begun <= N_TASKS + 2 * n_kills
    left = [file.name for file in folder.rglob("*") if files.UNFINISHED in file.name]
    assert not left


def test_a_folder_that_vanishes(folder):
    plan = with_settings(seconds=0.02)

    def remove():
        while not (folder / "numbers" / "9.npz").exists():
            time.sleep(0.01)
        os.replace(folder, folder.with_name("gone"))

    thread = threading.Thread(target=remove)
    thread.start()
    with pytest.raises(
        FileNotFoundError, match=rf"work folder {folder} must stay while the run lasts; it has vanished"
    ):
        do_all(folder, plan, workers=2)
    thread.join()


# Parts of job arrays


def plan_parts(top, plan=PLAN):
    return start_job(work_folder_of(top / "out.zarr"), plan, resume=False)


def test_one_part(tmp_path, expected):
    job = plan_parts(tmp_path)
    assert blockwise.run_part(tmp_path / "out.zarr", 1, 1, stages=stages_of) == PLAN
    assert contents(job.folder) == expected
    check_finished(job, stages_of)
    assert blockwise.finish(tmp_path / "out.zarr", keep=True, stages=stages_of) == PLAN
    assert job.folder.is_dir()
    blockwise.finish(tmp_path / "out.zarr", stages=stages_of)
    assert [file.name for file in tmp_path.iterdir()] == ["log"]


def test_two_parts_at_once(tmp_path, expected):
    job = plan_parts(tmp_path)
    running = [start(words(dummies.PART, tmp_path, part, 2, 60)) for part in (1, 2)]
    assert [process.wait(timeout=SOON) for process in running] == [0, 0]
    assert contents(job.folder) == expected
    assert set(counts(job.folder).values()) == {1}
    by_part = {(tmp_path / "log" / f"numbers-{k}").read_text().split()[1] for k in range(0, 63, 2)}
    assert len(by_part) == 1


def test_the_same_part_twice_at_once(tmp_path, expected):
    job = plan_parts(tmp_path)
    running = [start(words(dummies.PART, tmp_path, 1, 1, 60)) for _ in range(3)]
    assert [process.wait(timeout=SOON) for process in running] == [0, 0, 0]
    assert contents(job.folder) == expected


def test_a_part_that_never_comes(tmp_path, expected, monkeypatch):
    """As in a cluster that has room for two of three: the others do its blocks after a while."""
    job = plan_parts(tmp_path)
    running = [start(words(dummies.PART, tmp_path, part, 3, 1)) for part in (2, 3)]
    assert [process.wait(timeout=SOON) for process in running] == [0, 0]
    assert contents(job.folder) == expected
    assert set(counts(job.folder).values()) <= {1, 2}
    assert sum(counts(job.folder).values()) < 1.1 * N_TASKS
    by = {(tmp_path / "log" / f"numbers-{k}").read_text().split()[1] for k in range(0, 63, 3)}
    assert len(by) == 2  # shared out


@pytest.mark.skipif(os.name == "nt", reason="signals of this kind are POSIX")
def test_parts_are_killed_and_started_again(tmp_path, expected):
    rng = random.Random(1)
    plan = with_settings(seconds=0.01)
    job = plan_parts(tmp_path, plan)
    for _ in range(3):
        running = [start(words(dummies.PART, tmp_path, part, 2, 60)) for part in (1, 2)]
        time.sleep(rng.uniform(0.4, 0.7))
        done = set(contents(job.folder))
        for process in running:
            process.kill()
            process.wait()
        assert done <= set(contents(job.folder))
    running = [start(words(dummies.PART, tmp_path, part, 2, 60)) for part in (1, 2)]
    assert [process.wait(timeout=SOON) for process in running] == [0, 0]
    check_finished(job, stages_of)
    assert sum(counts(job.folder).values()) <= N_TASKS + 6
    whole = tmp_path / "whole"
    whole.mkdir()
    do_here(whole / "x.blocks", plan)
    assert contents(job.folder) == contents(whole / "x.blocks")


@pytest.mark.parametrize(
    ("part", "n_parts", "sentence"),
    [
        (0, 2, "part must be an integer of at least 1; got 0"),
        (3, 2, "part must be an integer from 1 to n_parts, 2; got 3"),
        (1, 0, "n_parts must be an integer of at least 1; got 0"),
        ("x", 2, "part must be an integer of at least 1; got 'x'"),
    ],
)
def test_parts_that_there_are_not(part, n_parts, sentence, tmp_path):
    plan_parts(tmp_path)
    with pytest.raises((ValueError, TypeError), match=sentence):
        blockwise.run_part(tmp_path / "out.zarr", part, n_parts, stages=stages_of)


def test_parts_of_nothing(tmp_path):
    for call in (lambda: blockwise.run_part(tmp_path / "x", 1, 2), lambda: blockwise.finish(tmp_path / "x")):
        with pytest.raises(FileNotFoundError, match=r"work folder .*x\.blocks must hold a plan, plan\.json"):
            call()
    plan_parts(tmp_path)
    with pytest.raises(ValueError, match="timeout must be a number above 0"):
        blockwise.run_part(tmp_path / "out.zarr", 1, 2, timeout=0, stages=stages_of)


def test_a_run_is_finished_when_all_is_done(tmp_path):
    job = plan_parts(tmp_path)
    for index in range(60):
        run_task(job, dummies.STAGES, "numbers", index)
    with pytest.raises(
        ValueError, match="must be done before it is finished; 3 of 63 blocks of stage numbers are left, "
    ):
        blockwise.finish(tmp_path / "out.zarr", stages=stages_of)
    with (
        locks.holding_file(job.folder, "a test", "this"),
        pytest.raises(BlockingIOError, match="must not be in use by another run"),
    ):
        blockwise.finish(tmp_path / "out.zarr", stages=stages_of)


def test_an_error_ends_a_part(tmp_path):
    plan_parts(tmp_path, with_settings(fails="numbers 2"))
    with pytest.raises(ValueError, match="cellprob must be finite") as caught:
        blockwise.run_part(tmp_path / "out.zarr", 1, 2, stages=stages_of)
    assert caught.value.__notes__ == ["stage numbers, block 2"]
    assert "x" not in [thread.name for thread in threading.enumerate()]


def test_who_takes_over():
    at_work = [2, 3, 5]
    for index in range(40):
        deputy = parts._deputy(index, at_work, 5)
        assert deputy in at_work
        if index % 5 + 1 in at_work:
            assert deputy == index % 5 + 1
    assert {parts._deputy(5 * k, at_work, 5) for k in range(3)} == set(at_work)


# Progress


def test_progress_by_lines(capsys, monkeypatch):
    monkeypatch.setattr("flowseg.blockwise._runs.runners.progress.INTERVAL", -1.0)
    for by_lines in (False, True):
        progress = StageProgress(by_lines=by_lines)
        progress.begin("outputs", 4, 1)
        progress.advance()
        progress.begin("total", 1, 1)
        progress.end()
        progress.end()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("outputs: 2 of 4 blocks, ")
    assert lines[1:] == ["outputs: 2 of 4 blocks", "total: 1 of 1 blocks"]
