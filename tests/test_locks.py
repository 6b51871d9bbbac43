"""Files and folders that one process holds, unfinished files that nobody holds, and links that lead elsewhere."""

import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from cli_tools import contents, differing, invoke, start

from flowseg import io
from flowseg._system import files, locks
from flowseg.cli._batch import run as batch_run

HOLD = """
import sys, time
from pathlib import Path
from flowseg._system import files, locks
def stay(*_):
    print("ready", flush=True)
    time.sleep(600)
if sys.argv[1] == "lock":
    with locks.holding(Path(sys.argv[2]), "a test", "this"):
        stay()
files.write_atomically(Path(sys.argv[2]), stay)
"""


@pytest.fixture
def other():
    """Starts another process that holds a lock, or writes a file, until it is killed."""
    processes = []

    def begin(what, path):
        process = start([sys.executable, "-c", HOLD, what, str(path)], stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield begin
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_lock_is_held_by_a_living_process_only(other, tmp_path):
    lock = tmp_path / "lock"
    process = other("lock", lock)
    for _ in range(2):
        with (
            pytest.raises(BlockingIOError, match=rf"this must not .* in use by a test \(process {process.pid} on "),
            locks.holding(lock, "me", "this"),
        ):
            pass
    process.kill()
    process.wait()
    assert lock.exists()  # nobody was left to remove it
    with locks.holding(lock, "me", "this"):
        assert json.loads(lock.read_bytes())["process"] == os.getpid()
    assert not lock.exists()


def test_a_lock_of_another_thread(tmp_path):
    with (
        locks.holding(tmp_path / "lock", "me", "this"),
        pytest.raises(BlockingIOError),
        locks.holding(tmp_path / "lock", "me", "this"),
    ):
        pass


@pytest.mark.parametrize("same", ["host", "boot", "none"])
def test_a_lock_that_another_machine_left(same, tmp_path):
    """What the kernel says of it may be true of this machine only."""
    lock = tmp_path / "lock"
    said = locks._describe("a test") | {"process": 1}
    lock.write_text(json.dumps(said | {name: "other" for name in ("host", "boot") if name != same}))
    if same != "none":  # another container, another start of the same machine
        with locks.holding(lock, "me", "this"):
            pass
        assert not lock.exists()
        return
    with (
        pytest.raises(BlockingIOError, match=f"may be in use by a test .* If that has ended, delete {lock}"),
        locks.holding(lock, "me", "this"),
    ):
        pass
    lock.unlink()
    with locks.holding(lock, "me", "this"):
        pass


def test_where_there_are_no_locks(tmp_path, monkeypatch):
    """Then a file that is there may be held, and an unfinished one may be written."""
    monkeypatch.setattr(locks, "take", lambda descriptor: None)
    with (
        locks.holding(tmp_path / "lock", "me", "this"),
        pytest.raises(BlockingIOError, match="it may be in use by me .* delete"),
        locks.holding(tmp_path / "lock", "you", "this"),
    ):
        pass
    assert not list(tmp_path.iterdir())
    left = files.unfinished(tmp_path / "a", 0)
    left.touch()
    files.write_atomically(tmp_path / "a", lambda beside: beside.touch())
    assert sorted(tmp_path.iterdir()) == sorted([left, tmp_path / "a"])


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 5000, "\0" * 100, '{"process": {}}'])
def test_a_lock_file_with_other_words(text, tmp_path):
    (tmp_path / "lock").write_text(text)
    with locks.holding(tmp_path / "lock", "me", "this"):
        pass


@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "pipe"])
def test_a_lock_that_is_no_plain_file(kind, tmp_path):
    lock, elsewhere = tmp_path / "lock", tmp_path / "elsewhere"
    if kind == "folder":
        lock.mkdir()
    elif kind == "pipe":
        pytest.importorskip("fcntl")
        os.mkfifo(lock)
    else:
        lock.symlink_to(elsewhere)
    if kind == "link":
        elsewhere.write_text("mine")
    if kind == "pipe":
        with pytest.raises(OSError, match="must not be in use"), locks.holding(lock, "me", "this"):
            pass
        return
    with (
        pytest.raises(ValueError, match=f"{lock} must be a plain file, and is something else"),
        locks.holding(lock, "me", "this"),
    ):
        pass
    assert elsewhere.exists() == (kind == "link")


def test_a_file_is_flushed_before_it_is_renamed_and_its_folder_after(tmp_path, monkeypatch):
    """Else a power cut may leave an empty file under the new name, or the old one."""
    done = []
    fsync, replace = os.fsync, os.replace

    def log_fsync(descriptor):
        done.append(("flushed", os.fstat(descriptor).st_ino))
        fsync(descriptor)

    def log_replace(source, target):
        done.append(("renamed", os.stat(source).st_ino))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", log_fsync)
    monkeypatch.setattr(os, "replace", log_replace)
    file = tmp_path / "a.tif"
    io.write_masks(file, np.eye(3, dtype=int))
    number, folder = file.stat().st_ino, tmp_path.stat().st_ino
    assert done == [("flushed", number), ("renamed", number), *([("flushed", folder)] if os.name != "nt" else [])]


def test_leftovers_of_a_killed_save_are_removed_by_the_next(other, tmp_path):
    file = tmp_path / "a.tif"
    process = other("write", file)
    (left,) = tmp_path.iterdir()
    assert left == files.unfinished(file, 0)
    io.write_masks(file, np.eye(3, dtype=int))  # beside a living process
    assert sorted(tmp_path.iterdir()) == sorted([left, file])
    process.kill()
    process.wait()
    io.write_masks(tmp_path / "b.tif", np.eye(3, dtype=int))  # another file's leftovers are none of its business
    assert left.exists()
    io.write_masks(file, np.eye(3, dtype=int))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.tif", "b.tif"]


def test_leftovers_of_several_processes(tmp_path):
    file = tmp_path / f"{'long ' * 30}é.tif"
    for number in range(files.AT_ONCE):
        files.unfinished(file, number).touch()
    other = files.unfinished(tmp_path / f"{'long ' * 30}e.tif", 0)  # a name that begins as the other does
    other.touch()
    files.write_atomically(file, lambda beside: beside.write_text("x"))
    assert sorted(tmp_path.iterdir()) == sorted([other, file])
    for number in (0, 7, 77):
        files.unfinished(file, number).touch()
    files.remove_leftovers(tmp_path, [file.name])
    assert sorted(tmp_path.iterdir()) == sorted([other, file])


def test_many_write_the_same_file(tmp_path):
    file, errors = tmp_path / "a", []

    def write(number):
        try:
            for _ in range(20):
                files.write_atomically(file, lambda beside: beside.write_bytes(bytes([number]) * 5000))
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert contents(tmp_path).keys() == {"a"}
    assert len(set(file.read_bytes())) == 1


@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "file"])
def test_other_things_with_the_name_of_an_unfinished_file(kind, tmp_path):
    (tmp_path / "mine").write_text("mine")
    beside = files.unfinished(tmp_path / "a", 0)
    if kind == "link":
        beside.symlink_to("mine")
    elif kind == "folder":
        beside.mkdir()
    elif kind == "pipe":
        pytest.importorskip("fcntl")
        os.mkfifo(beside)
    else:
        os.link(tmp_path / "mine", beside)
    files.write_atomically(tmp_path / "a", lambda file: file.write_text("new"))
    assert (tmp_path / "a").read_text() == "new"
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.fixture
def interruptible():
    """Let Ctrl-C raise KeyboardInterrupt also where the tests are a background job, which ignores it by inheritance."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("step", ["open", "flock", "unlink"])
def test_an_interruption_while_a_file_is_made_or_removed(step, tmp_path, monkeypatch):
    """Ctrl-C just when the system has done the step: no file stays, nor is it removed by halves."""
    module = {"open": os, "flock": pytest.importorskip("fcntl"), "unlink": os}[step]
    done = getattr(module, step)

    def interrupted(*arguments, **options):
        result = done(*arguments, **options)
        signal.raise_signal(signal.SIGINT)
        return result

    def hold():
        with locks.holding_file(tmp_path / "a", "me", "this"):
            pass

    def write():
        files.write_atomically(tmp_path / "b", lambda file: file.write_text("new"))

    for act in (hold, write) if step != "unlink" else (hold,):
        monkeypatch.setattr(module, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            act()
        monkeypatch.undo()
        assert not list(tmp_path.iterdir())
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        act()
        (tmp_path / "b").unlink(missing_ok=True)


def test_a_link_that_is_named_stays_one(tmp_path):
    (tmp_path / "there").mkdir()
    link = tmp_path / "a.tif"
    link.symlink_to("there/a.tif")
    io.write_masks(link, np.eye(3, dtype=int))
    assert link.is_symlink()
    assert [file.name for file in (tmp_path / "there").iterdir()] == ["a.tif"]


def test_names_are_not_too_long(tmp_path):
    for name in ("é" * 120 + ".tif", "x" * 255, "a." + "s" * 250):
        file = tmp_path / name
        files.write_atomically(file, lambda beside: beside.write_text("x"))
        assert file.read_text() == "x"
        with locks.holding_file(file, "me", "this"):
            pass


def masks(folder):
    folder.mkdir()
    io.write_masks(folder / "a.tif", np.eye(9, dtype=int))
    return folder


@pytest.mark.parametrize("name", ["flowseg-run.jsonl", ".flowseg-run.lock", "a_masks.tif", "coco.json"])
@pytest.mark.parametrize("dangling", [True, False])
def test_nothing_is_written_through_links_in_an_output_folder(name, dangling, tmp_path):
    """Outside the folder stays what it is; the link is replaced, or the command refuses."""
    source, output, outside = masks(tmp_path / "in"), tmp_path / "out", tmp_path / "outside"
    output.mkdir()
    outside.mkdir()
    if not dangling:
        (outside / "file").write_text("")
    before = contents(outside)
    (output / name).symlink_to(outside / "file")
    arguments = ("convert", source, "--output", output, "--to", "tif,coco", "--overwrite")
    status = 1 if name == ".flowseg-run.lock" else 0
    result = invoke(*arguments, status=status)
    if status:
        assert ".flowseg-run.lock must be a plain file, and is something else" in str(result.exception)
    else:
        assert not (output / name).is_symlink()
    assert contents(outside) == before


def test_a_folder_that_leads_out_of_the_output_folder(tmp_path):
    output, outside = tmp_path / "out", tmp_path / "outside"
    source = tmp_path / "in"
    source.mkdir()
    for name in ("x", "y"):
        masks(source / name)
    output.mkdir()
    outside.mkdir()
    (output / "x").symlink_to(outside)
    result = invoke("convert", source / "*" / "*.tif", "--output", output, status=1)
    assert f"--output must be a folder without links to others; {output / 'x'} leads to {outside}" in str(
        result.exception
    )
    assert not list(outside.iterdir())


def test_an_output_folder_may_be_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to("real")
    invoke("convert", masks(tmp_path / "in"), "--output", tmp_path / "out")
    assert contents(tmp_path / "real").keys() == {"a_masks.tif", "flowseg-run.jsonl"}


COMMANDS = {
    "convert": ("convert",),
    "mend": ("mend",),
    "flows": ("flows",),
    "check": ("check", "--mend"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_folder_in_use_is_refused(name, other, tmp_path):
    source, output = masks(tmp_path / "in"), tmp_path / "out"
    output.mkdir()
    process = other("lock", output / locks.FOLDER_LOCK)
    before = contents(output)
    command, *options = COMMANDS[name]
    result = invoke(command, source, *(options or ["--output"]), output, status=1)
    option = options[0] if options else "--output"
    assert f"{option} {output} must not be in use by another run; it is in use by a test (process {process.pid}" in str(
        result.exception
    )
    assert contents(output) == before


def test_a_model_that_is_being_made(other, tmp_path):
    from flowseg._nets.training.checkpoint import hold_checkpoint

    file = tmp_path / "model.safetensors"
    other("lock", locks.name_beside(file, ".lock"))
    with (
        pytest.raises(BlockingIOError, match=f"checkpoint {file} must not be in use by another run"),
        hold_checkpoint(file),
    ):
        pass
    with hold_checkpoint(None):
        pass


@pytest.mark.sampled(3)
@pytest.mark.parametrize("trial", range(3))
def test_two_runs_at_once(trial, tmp_path):
    """One of them has the folder, the other is refused: whichever comes first, and however late the other."""
    source = tmp_path / "in"
    source.mkdir()
    for k in range(60):
        io.write_masks(source / f"{k}.tif", np.eye(40, dtype=int) * (np.arange(40) % 9 + 1))
    for name in ("tif", "png"):
        invoke("convert", source, "--output", tmp_path / name, "--to", name)
    output = tmp_path / "out"
    both = {}
    for name in ("tif", "png"):
        words = [sys.executable, "-m", "flowseg", "convert", source, "--output", output, "--to", name]
        both[name] = start(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    errors = {name: process.communicate(timeout=120)[1] for name, process in both.items()}
    (won,) = [name for name, process in both.items() if process.returncode == 0]
    (lost,) = both.keys() - {won}
    assert "must not be in use by another run" in errors[lost] or "--resume continues" in errors[lost]
    assert differing(output, tmp_path / won) == []


def test_a_run_that_another_one_came_between_is_refused(tmp_path, monkeypatch):
    """The plan was made before the folder was held."""
    source, output = masks(tmp_path / "in"), tmp_path / "out"
    hold = batch_run.holding_output

    def late(*arguments, **options):
        monkeypatch.setattr(batch_run, "holding_output", hold)
        invoke("convert", source, "--output", output)
        return hold(*arguments, **options)

    monkeypatch.setattr(batch_run, "holding_output", late)
    result = invoke("convert", source, "--output", output, "--to", "png", status=1)
    assert "one has written to it just now" in str(result.exception)
    assert contents(output).keys() == {"a_masks.tif", "flowseg-run.jsonl"}


@pytest.mark.parametrize("held", ["out", "out/plate"])
@pytest.mark.parametrize("output", ["out", "out/plate"])
def test_runs_in_a_folder_and_in_one_below_it_exclude_each_other(held, output, other, tmp_path):
    """Also the other way round, where the run would write to the folder below."""
    (tmp_path / "in").mkdir()
    for name in ("plate", "plate 2"):
        masks(tmp_path / "in" / name)
    pattern = tmp_path / "in" / ("**" if output == "out" else "plate") / "*.tif"
    lock = tmp_path / held / locks.FOLDER_LOCK
    lock.parent.mkdir(parents=True)
    process = other("lock", lock)
    result = invoke("convert", pattern, "--output", tmp_path / output, status=1)
    assert f"--output {tmp_path / output} must not be in use by another run" in str(result.exception)
    process.kill()
    process.wait()
    invoke("convert", pattern, "--output", tmp_path / output)  # what a kill left is removed
    assert not lock.exists()


def test_other_files_survive_a_failure(tmp_path):
    """Only what the command makes is taken back when a file fails."""
    source, output = masks(tmp_path / "in"), tmp_path / "out"
    output.mkdir()
    (output / "a.geojson").write_bytes(b"mine")
    (source / "a.tif").write_bytes(b"broken")
    invoke("convert", source, "--output", output, "--overwrite", status=1)
    assert (output / "a.geojson").read_bytes() == b"mine"
