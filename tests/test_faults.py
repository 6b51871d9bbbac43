"""Every file operation fails once: an error in a sentence, old files whole, nothing left over, and the next run is fine."""

import errno
import json
import os
import shutil

import keras
import numpy as np
import pytest
from cli_tools import invoke
from faults import every_fault, hidden
from skimage.io import imsave
from typer.testing import CliRunner

from flowseg import io, synthetic
from flowseg._nets.training.checkpoint import Checkpoint, State
from flowseg._system import files
from flowseg.cli import _predict, app
from flowseg.cli._batch.run_record import RECORD_NAME
from flowseg.cli._shared.errors import FAULTS, sentence_of
from flowseg.cli._shared.rescue_model import save_or_rescue

pytestmark = [
    # what could not be written when it was to be is tried again when Python drops the file
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch):
    """Nobody cuts the power here: what is flushed to the disk need not wait for it."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def contents(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def tries(function):
    """What a call raises, or None."""

    def act():
        try:
            function()
        except FAULTS as error:
            return error
        return None

    return act


def check_one_file(write, file, old):
    """A function that writes one file."""

    def prepare():
        shutil.rmtree(file.parent, ignore_errors=True)
        file.parent.mkdir()
        file.write_bytes(old)

    prepare()
    write()
    new = file.read_bytes()
    assert new != old
    n_failed = 0
    for disk, error in every_fault(prepare, tries(write), file.parent):
        (what, *_) = disk.failed
        if error is not None:
            n_failed += 1
            assert sentence_of(error).count("\n") == 0
            assert str(file) in str(error) or str(file.parent) in str(error)
        # the folder is flushed when the new file is in its place already
        after = contents(file.parent)
        assert after in ({file.name: old}, {file.name: new}) or (what == "unlink" and hidden(file.parent))
        assert (after[file.name] == old) or error is None or what in ("fsync", "open")
        write()
        assert contents(file.parent) == {file.name: new}
    assert n_failed >= 5


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.tif", lambda file: io.write_masks(file, np.eye(9, dtype=int))),
        ("a.png", lambda file: io.write_picture(file, np.zeros((9, 9, 3), np.uint8))),
        ("a.geojson", lambda file: io.write_geojson(file, np.eye(9, dtype=int))),
        ("a.json", lambda file: io.write_coco(file, {"a.png": np.eye(9, dtype=int)})),
        ("a.zip", lambda file: io.write_roi(file, np.eye(9, dtype=int))),
        ("a.csv", lambda file: io.write_table(file, {"label": np.arange(3)})),
        ("a.safetensors", lambda file: files.write_safetensors(file, {"w": np.arange(9.0)}, {"a": "b"})),
    ],
)
def test_writers(name, write, tmp_path):
    file = tmp_path / "out" / name
    check_one_file(lambda: write(file), file, b"old")


def test_save(fitted, tmp_path):
    file = tmp_path / "out" / "model.safetensors"
    check_one_file(lambda: fitted["FlowSegmenter"].save(file), file, b"old")


def test_checkpoint(tmp_path):
    file = tmp_path / "out" / "training.safetensors"
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    network.compile(keras.optimizers.AdamW(), "mse")
    account = Checkpoint(file, State("this", [1, 2, 3]), None)
    account.set_model(network)
    check_one_file(lambda: account._write(file), file, b"old")


def test_the_end_of_a_training(fitted, tmp_path, monkeypatch):
    """A disk that stays full: the model is saved elsewhere."""
    file, elsewhere = tmp_path / "out" / "model.safetensors", tmp_path / "here"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    def prepare():
        shutil.rmtree(file.parent, ignore_errors=True)
        file.parent.mkdir()
        for saved in elsewhere.iterdir():
            saved.unlink()

    save = fitted["FlowSegmenter"].save
    prepare()
    save(file)
    whole = file.read_bytes()
    n_rescued = 0
    for disk, error in every_fault(prepare, tries(lambda: save_or_rescue(save, file)), file.parent):
        saved = [*contents(file.parent).values(), *contents(elsewhere).values()]
        assert whole in saved
        assert not hidden(tmp_path)
        if disk.error == errno.ENOSPC and disk.stays_full and "write" in disk.failed:
            n_rescued += 1
            assert str(error).endswith(f"; the model is saved as {elsewhere / 'model-rescued.safetensors'} instead.")
    assert n_rescued


def draw(folder, n=2):
    folder.mkdir()
    for seed in range(n):
        image, masks = synthetic.cells((48, 48), 4, rng=seed)
        imsave(folder / f"{seed}.png", (60 * image).clip(0, 255).astype(np.uint8), check_contrast=False)
        io.write_masks(folder / f"{seed}_masks.tif", masks)
    return folder


def check_command(arguments, output, again=()):
    """A command that writes into a folder."""

    def prepare():
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir()

    def act():
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, (SystemExit, *FAULTS)), result.exception
        return result

    prepare()
    assert act().exit_code == 0
    expected = contents(output)
    n_failed = 0
    for disk, result in every_fault(prepare, act, output):
        if result.exit_code:
            n_failed += 1
            said = result.stderr or sentence_of(result.exception)
            assert "must" in said or "Errno" in said
        elif not disk.stays_full:  # what could be done without: the order of a record, the words in a lock
            assert {name: sorted(data.split(b"\n")) for name, data in contents(output).items() if name[0] != "."} == {
                name: sorted(data.split(b"\n")) for name, data in expected.items()
            }
        assert not hidden(output) or "unlink" in disk.failed
        for name, data in contents(output).items():
            if name == "coco.json":  # holds what was done
                json.loads(data)
            elif name != RECORD_NAME and not name.startswith("."):
                assert data == expected[name]
        invoke(*arguments, *again)
        assert contents(output) == expected
    assert n_failed >= 5


def test_predict(fitted, tmp_path, monkeypatch):
    model, images = tmp_path / "model.safetensors", draw(tmp_path / "in", 1)
    fitted["FlowSegmenter"].save(model)
    monkeypatch.setattr(_predict, "load_model", lambda file, parameters: fitted["FlowSegmenter"])
    output = tmp_path / "out"
    check_command(
        (
            "predict",
            images / "0.png",
            "--model",
            model,
            "--output",
            output,
            "--no-overlay",
            "--also",
            "coco",
            "--workers",
            "1",
        ),
        output,
        again=["--resume"],
    )


@pytest.mark.sampled(2)
@pytest.mark.parametrize("workers", [2, 1])
def test_convert(workers, tmp_path):
    source, output = draw(tmp_path / "in", workers), tmp_path / "out"
    common = ("convert", source / "*_masks.tif", "--output", output, "--to", "tif,coco", "--workers", workers)
    check_command(common, output, again=["--resume"])


def test_evaluate(tmp_path):
    source, output = draw(tmp_path / "in"), tmp_path / "out"
    check_command(("evaluate", source / "0_masks.tif", source / "1_masks.tif", "--report", output / "a.html"), output)


def test_measure(tmp_path):
    source, output = draw(tmp_path / "in"), tmp_path / "out"
    check_command(("measure", source / "*_masks.tif", "--output", output / "a.csv"), output)
