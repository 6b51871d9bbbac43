"""What `flowseg train` takes, shows while it runs, and says in the end."""

import json
import os
import select
import subprocess
import sys
import time
from io import StringIO

import numpy as np
import pytest
import tifffile
from cli_tools import invoke, run, run_here

from flowseg import BoundarySegmenter, FlowSegmenter
from flowseg._nets.training.progress import ProgressBar
from flowseg.cli._shared.progress import FEW_TILES, TileBar

TINY = ("--filters", "8", "--crop-size", 64, "--batch-size", 2, "--steps-per-epoch", 2)


@pytest.fixture(scope="module")
def folders(pairs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    for k, (image, masks) in enumerate(pairs):
        tifffile.imwrite(folder / "images" / f"{k}.tif", image.astype(np.float32))
        tifffile.imwrite(folder / "masks" / f"{k}.tif", masks.astype(np.uint8))
    return folder / "images", folder / "masks"


def test_every_parameter_has_an_option(folders, tmp_path):
    file = tmp_path / "m.safetensors"
    options = {
        "epochs": 1,
        "learning_rate": 2e-3,
        "augment": False,
        "validation_fraction": 0.25,
        "patience": 3,
        "cellprob_threshold": -1,
        "flow_threshold": None,
        "min_size": 7,
        "score_threshold": None,
        "n_iter": 30,
        "precision": "bfloat16",
    }
    given = ["--estimate", "--tta", "--no-augment"]
    for name, value in options.items():
        if name != "augment":
            given += ["--" + name.replace("_", "-"), "none" if value is None else value]
    given += ["--normalize", "limits:0,255"]
    run_here("train", *folders, "-o", file, *TINY, *given, "--seed", 5)
    parameters = FlowSegmenter.load(file).get_params()
    expected = options | {"crop_size": 64, "batch_size": 2, "steps_per_epoch": 2, "filters": (8,), "random_state": 5}
    expected |= {"estimate_diameters": True, "test_time_augmentation": True, "normalize": ("limits", (0.0, 255.0))}
    assert {name: parameters[name] for name in expected} == expected
    left = set(parameters) - set(expected)
    assert left == {
        "network",
        "ndim",
        "n_channels",
        "diameter",
        "warm_start",
        "workers",
        "verbose",
    }  # the first four: test_cli, test_cli_volumes
    again = tmp_path / "again.safetensors"
    run_here("train", folders[0] / "[0-3].tif", folders[1] / "[0-3].tif", "-o", again, "--from", file, "--epochs", 1)
    parameters |= {"learning_rate": "auto", "warm_start": True, "random_state": 0}
    assert FlowSegmenter.load(again).get_params() == parameters


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--learning-rate", 0), "--learning-rate must be a number above 0; got 0."),
        (("--learning-rate", "-1e-3"), "--learning-rate must be a number above 0; got -0.001."),
        (("--learning-rate", "nan"), "--learning-rate must be a number above 0; got nan."),
        (("--learning-rate", "fast"), "--learning-rate must be a number or 'auto'; got 'fast'."),
        (("--learning-rate", "1e30", "--epochs", 1), "--learning-rate must be small enough for the training to conv"),
        (("--crop-size", 0), "--crop-size must be "),
        (("--batch-size", 0), "--batch-size must be an integer of at least 1; got 0."),
        (("--patience", 0), "--patience must be "),
        (("--validation-fraction", 2), "--validation-fraction must be "),
        (("--min-size", "1.5"), "--min-size must be an integer of at least 0; got 1.5."),
        (("--flow-threshold", "off"), "--flow-threshold must be a number or 'auto' or 'none'; got 'off'."),
        (("--boundary", "--tta"), "--tta is not for a BoundarySegmenter; got True."),
    ],
)
def test_what_cannot_be_is_one_sentence_about_the_option(options, sentence, folders, tmp_path):
    result = run_here("train", *folders, "-o", tmp_path / "m.safetensors", *TINY, *options, status=1)
    assert f"flowseg: {sentence}" in result.stderr
    assert not (tmp_path / "m.safetensors").exists()


def test_training_further_from_the_shell(fitted, folders, pairs, tmp_path):
    for name, segmenter in fitted.items():
        segmenter.save(tmp_path / f"{name}.safetensors")
    held_out = ("--validation-images", folders[0] / "[67].tif", "--validation-masks", folders[1] / "[67].tif")
    for name, cls in {"FlowSegmenter": FlowSegmenter, "BoundarySegmenter": BoundarySegmenter}.items():
        file = tmp_path / "further.safetensors"
        arguments = (
            "train",
            *folders,
            *held_out,
            "--from",
            tmp_path / f"{name}.safetensors",
            "-o",
            file,
            "--epochs",
            1,
        )
        said = json.loads(run_here(*arguments, "--learning-rate", 5, "--json").stdout)
        history = cls.load(file).history_
        assert list(said["validation_ap"].values()) == history["val_ap_after"]
        assert list(said["before"]["validation_ap"].values()) == history["val_ap_before"]
        assert said["before"]["val_loss"] == history["val_loss_before"][0]
        assert said["start_kept"] == (history["val_ap_after"] == history["val_ap_before"])
        assert set(said["thresholds"]) == (set() if "Boundary" in name else set(said["thresholds"]))
    color = tmp_path / "color"
    color.mkdir()
    for k in range(2):
        tifffile.imwrite(color / f"{k}.tif", np.stack([pairs[k][0]] * 3, axis=-1).astype(np.float32), photometric="rgb")
    arguments = ("train", color, folders[1] / "[01].tif", "--from", tmp_path / "FlowSegmenter.safetensors", "-o", file)
    result = run_here(*arguments, status=1)
    assert (
        "0.tif must have as many channels as the model was trained on, 1; got 3. Choose with --channel."
        in result.stderr
    )


def test_without_a_terminal_a_line_per_epoch(folders, tmp_path):
    arguments = ("train", *folders, "-o", tmp_path / "m.safetensors", *TINY, "--epochs", 2)
    checkpoint = ("--checkpoint", tmp_path / "state")
    result = run(*arguments, *checkpoint)
    assert "\r" not in result.stderr
    lines = result.stderr.splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 1 of 2", "epoch 2 of 2"]
    assert ": loss " in lines[0]
    assert ", validation loss " in lines[0]
    assert lines[-1].endswith(", 0 s left")
    assert "validation images: loss " in result.stdout
    assert "; diameters are not estimated" in result.stdout
    assert run_here(*arguments, *checkpoint, "--json").stderr == ""  # nothing was left to train


class Steps(ProgressBar):
    """Driven by hand."""

    def drive(self, first, epochs, steps):
        self.set_params({"epochs": epochs, "steps": steps})
        for epoch in range(first, epochs):
            self.on_epoch_begin(epoch)
            for step in range(steps):
                self.on_train_batch_end(step)
            self.on_epoch_end(epoch, {"loss": 0.5, "val_loss": 0.25, "other": 3.0})
        self.on_train_end()


class Terminal(StringIO):
    def isatty(self):
        return True


def test_the_bar_of_a_training_that_goes_on_begins_where_it_is(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    Steps(by_lines=True).drive(6, 8, 10)
    frames = screen.getvalue().split("\r")
    assert "60/80 [00:00<" in frames[1]
    assert "80/80" in frames[-1]
    assert "epoch 7" not in screen.getvalue()


def test_time_left_is_that_of_the_epochs_of_this_run(monkeypatch):
    file = StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    clock = iter([0.0, 100.0, 200.0, 300.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    Steps(by_lines=True).drive(7, 10, 1)
    expected = [
        f"epoch {n} of 10: loss 0.500, validation loss 0.250, {left} left"
        for n, left in ((8, "3 min"), (9, "2 min"), (10, "0 s"))
    ]
    assert file.getvalue().splitlines() == expected


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_bar_over_tiles_only_on_a_terminal_and_of_many(is_terminal, monkeypatch):
    screen = Terminal() if is_terminal else StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    for n_tiles in (FEW_TILES, 20):
        bar = TileBar()
        for n in range(n_tiles):
            bar(n + 1, n_tiles)
    assert ("20" in screen.getvalue()) == is_terminal
    assert f"/{FEW_TILES}" not in screen.getvalue()


@pytest.mark.parametrize("checkpoint", [True, False])
def test_ctrl_c_prints_advice(checkpoint, folders, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(FlowSegmenter, "fit", interrupt)
    options = ("--checkpoint", tmp_path / "state") if checkpoint else ()
    result = run_here("train", *folders, "-o", tmp_path / "m.safetensors", *options, status=130)
    advice = (
        "the same command continues after the last complete epoch in"
        if checkpoint
        else "with --checkpoint FILE the next one can continue"
    )
    assert advice in result.stderr
    assert result.stderr.endswith("flowseg: interrupted\n")


def test_ctrl_c_in_many_files_names_resume(folders, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("flowseg.io.read_masks", interrupt)
    result = run_here("flows", folders[1], "--output", tmp_path / "flows", "--workers", 1, status=130)
    assert "the same command with --resume continues\nflowseg: interrupted\n" in result.stderr


def test_tune_reports_before_and_after(fitted, folders, tmp_path):
    fitted["FlowSegmenter"].save(tmp_path / "m.safetensors")
    arguments = ("tune", *folders, "--model", tmp_path / "m.safetensors", "--output", tmp_path / "t.safetensors")
    before, after, last = invoke(*arguments).stdout.splitlines()
    assert before.startswith("before: cellprob_threshold ")
    assert after.startswith("after: cellprob_threshold ")
    assert all(" at IoU 0.5 / 0.75" in line for line in (before, after))
    assert last.startswith("chosen on ")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_a_terminal_of_unknown_size_has_a_bar(tmp_path):
    """Those of containers and of `script` have no size."""
    import pty

    ours, theirs = pty.openpty()
    code = "from flowseg._system.bars import bar\nfor _ in bar(range(3), 'reading'): pass"
    subprocess.run([sys.executable, "-c", code], stderr=theirs, check=True)
    assert select.select([ours], [], [], 10)[0]
    shown = os.read(ours, 65536)  # before the other end is closed, or it is lost
    os.close(theirs)
    os.close(ours)
    assert b"reading:   0%" in shown
