"""`flowseg predict` over many files: gone on with after an interruption, two runs never mixed, memory flat."""

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from cli_tools import ENVIRONMENT, command, contents, differing, invoke, start
from skimage.io import imsave

from flowseg import __version__, io, synthetic
from flowseg._system.files import unfinished, write_atomically
from flowseg.cli._batch.file_stream import MOST_FINISHING, Failure, Stages, stream_files
from flowseg.cli._batch.run_record import RECORD_NAME, read_record


@pytest.fixture(scope="module")
def model(fitted, tmp_path_factory):
    file = tmp_path_factory.mktemp("model") / "model.safetensors"
    fitted["FlowSegmenter"].save(file)
    return file


def write_images(folder, n):
    folder.mkdir()
    drawn = [synthetic.cells((64, 64), 6, rng=seed)[0] for seed in range(min(n, 10))]
    for k in range(n):
        picture = np.roll((60 * drawn[k % 10]).clip(0, 255).astype(np.uint8), k, axis=1)
        imsave(folder / f"image {k:03d}.png", picture, check_contrast=False)
    return folder


def wait_for_masks(process, folder, n):
    while process.poll() is None and sum(file.name.endswith("_masks.tif") for file in listed(folder)) < n:
        time.sleep(0.002)


def listed(folder):
    return list(folder.iterdir()) if folder.is_dir() else []


def leave_half(path):
    """What a kill may leave of a file."""

    def write(beside):
        beside.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *args, **options: None)  # nobody is left to clear up
        with pytest.raises(KeyboardInterrupt):
            write_atomically(path, write)
    assert unfinished(path, 0).read_bytes() == b"half"


@pytest.mark.sampled(2)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_interrupted_and_gone_on_with(how, model, tmp_path):
    images = write_images(tmp_path / "in", 60)
    arguments = ("predict", images, "--model", model, "--also", "csv,coco,flows", "--resume", "--output")
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    process = start(command(*arguments, broken), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
    wait_for_masks(process, broken, 12)
    process.send_signal(how)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == {signal.SIGKILL: -9, signal.SIGINT: 130}[how], errors
    _, entries = read_record(broken)
    assert 10 <= len(entries) < 60
    times = {name: (broken / f"{name}_masks.tif").stat().st_mtime_ns for name in entries}
    if how == signal.SIGINT:
        assert not [file for file in broken.iterdir() if file.name.startswith(".")]
    leave_half(broken / "image 059_masks.tif")
    again = invoke(*arguments, broken)
    assert f"in 60 images ({len(entries)} of them done before)" in again.stdout
    assert {name: (broken / f"{name}_masks.tif").stat().st_mtime_ns for name in entries} == times
    invoke(*arguments, whole)
    assert differing(broken, whole) == []
    assert len(contents(whole)) == 4 * 60 + 2


def test_flat_memory(model, tmp_path):
    """A hundred and fifty images take the memory of forty."""
    if not os.path.exists("/proc/self/status"):
        pytest.skip("no /proc to read the memory of a process from")
    images = write_images(tmp_path / "in", 150)
    process = subprocess.Popen(
        command("predict", images, "--model", model, "--output", tmp_path / "out", "--also", "csv"),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ENVIRONMENT,
    )  # fmt: skip
    wait_for_masks(process, tmp_path / "out", 40)
    early = last = peak_memory(process.pid)
    while process.poll() is None:
        last = peak_memory(process.pid) or last
        time.sleep(0.02)
    assert process.returncode == 0, process.stderr.read()
    assert early > 50_000
    assert last - early < 16_000, f"{early} kB after 40 files, {last} kB after 150"


def peak_memory(pid):
    """VmHWM in kB; 0 when the process has just ended."""
    try:
        with open(f"/proc/{pid}/status") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("VmHWM")), 0)
    except OSError:
        return 0


def test_two_runs_are_not_mixed(model, tmp_path):
    images, output = write_images(tmp_path / "in", 4), tmp_path / "out"
    first = ("predict", images / "image 00[01].png", "--model", model, "--output", output)
    both = ("predict", images / "image 00[0123].png", "--model", model, "--output", output)
    invoke(*first)
    before = contents(output)
    assert "--output must be a folder without results" in str(invoke(*first, status=1).exception)
    assert "--output must be a folder without results" in str(invoke(*both, status=1).exception)
    assert "must not be given together" in str(invoke(*first, "--resume", "--overwrite", status=1).exception)
    message = str(invoke(*first, "--resume", "--min-size", 3, status=1).exception)
    assert "--min_size was not given, is 3" in message
    others = ("predict", images / "image 002.png", "--model", model, "--output", output, "--min-size", 3)
    for flags in ([], ["--overwrite"]):
        assert "must not hold results of another run" in str(invoke(*others, *flags, status=1).exception)
    assert contents(output) == before
    assert "in 4 images (2 of them done before)" in invoke(*both, "--resume").output
    assert "in 4 images, " in invoke(*both, "--overwrite", "--min-size", 3, "--no-overlay").output
    assert sorted(contents(output)) == [RECORD_NAME, *(f"image 00{k}_masks.tif" for k in range(4))]
    run_said, entries = read_record(output)
    assert dict(run_said.options) == {"min_size": "3", "also": "tif"}
    assert run_said.flowseg == __version__
    assert len(entries) == 4


def test_without_a_record_only_new_results_replace_files(model, tmp_path):
    images, output = write_images(tmp_path / "in", 1), tmp_path / "out"
    output.mkdir()
    mine = {"image 000.geojson": b"mine", "coco.json": b"mine", "image 000_masks.tif": b"old"}
    for name, content in mine.items():
        (output / name).write_bytes(content)
    invoke("predict", images, "--model", model, "--output", output, "--overwrite")
    after = contents(output)
    assert (after["image 000.geojson"], after["coco.json"]) == (b"mine", b"mine")
    assert after["image 000_masks.tif"] != b"old"


def test_more_images_of_the_same_run(model, tmp_path):
    images = write_images(tmp_path / "in", 3)
    for file in sorted(images.iterdir()):
        invoke("predict", file, "--model", model, "--output", tmp_path / "one by one")
    invoke("predict", images, "--model", model, "--output", tmp_path / "at once")
    assert contents(tmp_path / "one by one") == contents(tmp_path / "at once")


def test_incomplete_or_different_files_are_done_again(model, tmp_path):
    images, output = write_images(tmp_path / "in", 4), tmp_path / "out"
    arguments = ("predict", images, "--model", model, "--output", output, "--resume")
    invoke(*arguments)
    before = contents(output)
    (output / "image 000_overlay.png").unlink()
    (output / "image 001_masks.tif").unlink()
    record = output / RECORD_NAME
    record.write_bytes(record.read_bytes()[:-30])  # the line of image 003, cut short
    assert "(1 of them done before)" in invoke(*arguments).output
    assert contents(output) == before
    imsave(images / "image 002.png", np.rot90(io.read_image(images / "image 002.png")), check_contrast=False)
    assert "(3 of them done before)" in invoke(*arguments).output
    assert {name for name, data in contents(output).items() if before[name] != data} >= {"image 002_masks.tif"}
    (images / "image 002.png").write_bytes(b"")  # no longer an image: its old results must not stay
    result = invoke(*arguments, status=1)
    assert "1 of 4 files failed" in result.output
    assert not (output / "image 002_masks.tif").exists()
    assert "image 002" not in read_record(output)[1]


def test_a_damaged_record(model, tmp_path):
    images, output = write_images(tmp_path / "in", 1), tmp_path / "out"
    output.mkdir()
    for text in ("nothing\n", '{"name": 3}\n', "[]\n"):
        (output / RECORD_NAME).write_text(text)
        result = invoke("predict", images, "--model", model, "--output", output, "--resume", status=1)
        assert "must be a readable record of a flowseg command" in str(result.exception)


def test_json(model, tmp_path):
    images = write_images(tmp_path / "in", 3)
    (images / "broken.png").touch()
    arguments = ("predict", images, "--model", model, "--output", tmp_path / "out", "--json")
    result = invoke(*arguments, status=1)
    said = json.loads(result.stdout)
    assert [file["objects"] for file in said["files"]] == [
        int(io.read_masks(tmp_path / "out" / f"image 00{k}_masks.tif").max()) for k in range(3)
    ]
    assert said["objects"] == sum(file["objects"] for file in said["files"])
    assert said["seconds"] > 0
    assert said["files"][1]["results"][-1] == str(tmp_path / "out" / "image 001_masks.tif")
    (failure,) = said["failures"]
    assert failure["file"] == str(images / "broken.png")
    assert "must be a PNG file to match its name" in failure["reason"]
    said = json.loads(invoke(*arguments, "--resume", status=1).stdout)
    assert [file["kept"] for file in said["files"]] == [True] * 3


def test_workers_do_not_matter(model, tmp_path):
    images = write_images(tmp_path / "in", 7)
    (images / "image 005.png").write_bytes(b"broken")
    common = ("predict", images, "--model", model, "--also", "csv,roi,geojson,png,flows,coco", "--output")
    for workers in (1, 2, 5):
        invoke(*common, tmp_path / str(workers), "--workers", workers, status=1)
    assert contents(tmp_path / "1") == contents(tmp_path / "2") == contents(tmp_path / "5")
    message = str(invoke(*common, tmp_path / "0", "--workers", 0, status=1).exception)
    assert "workers" in message
    assert not (tmp_path / "0").exists()


@pytest.mark.parametrize("n_threads", [1, 2, 3, 40])
def test_stream_is_in_order_and_bounded(n_threads):
    lock, alive, most = threading.Lock(), set(), []

    def read(k):
        with lock:
            alive.add(k)
            most.append(len(alive))
        if k % 10 == 3:
            alive.discard(k)
            raise ValueError(f"no {k}")
        return k

    def finish(k, worked):
        time.sleep(0.002 * (k % 3))
        alive.discard(k)
        if k % 10 == 7:
            raise OSError(f"full\n at {k}")
        return 2 * worked

    def work(k):
        assert not working
        working.append(k)
        time.sleep(0.0005)
        return working.pop()

    working = []
    results = list(stream_files(range(50), Stages(read, work, lambda k, worked: worked, finish), n_threads))
    assert [k for k, _ in results] == list(range(50))
    for k, result in results:
        expected = {3: Failure(f"no {k}"), 7: Failure(f"full at {k}")}.get(k % 10, 2 * k)
        assert result == expected
    assert max(most) <= (1 if n_threads == 1 else min(n_threads - 1, MOST_FINISHING) + 2)


def test_stream_lets_our_own_faults_through():
    def work(k):
        raise RuntimeError("a fault of ours")

    for n_threads in (1, 2):
        with pytest.raises(RuntimeError, match="ours"):
            list(stream_files([1, 2], Stages(lambda k: k, work, lambda k, w: w, lambda k, w: 0), n_threads))
