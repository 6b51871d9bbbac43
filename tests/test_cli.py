"""The command, run as a process where that matters."""

import json
import os
import signal
import subprocess
import sys
from filecmp import cmp

import numpy as np
import pytest
import tifffile
from cli_tools import invoke, run, run_here, start
from skimage.io import imread, imsave

from flowseg import FlowSegmenter, masks_to_flows, synthetic

# A training that is a matter of seconds.
SHORT = ("--epochs", 1, "--steps-per-epoch", 8)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Folders of images and masks whose names have a space and an umlaut."""
    folder = tmp_path_factory.mktemp("some data")
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    for k in range(6):
        image, masks = synthetic.cells((96, 96 + 8 * k), 9, rng=k)
        imsave(folder / "images" / f"Zelle ä {k}.png", (60 * image).clip(0, 255).astype(np.uint8), check_contrast=False)
        tifffile.imwrite(folder / "masks" / f"Zelle ä {k}_masks.tif", masks.astype(np.uint16))
    return folder


@pytest.fixture(scope="module")
def model(data):
    file = data / "model.safetensors"
    result = run("train", data / "images", data / "masks", "--output", file, *SHORT, "--filters", "8,16", "--seed", 1)
    assert "6 images, 54 objects" in result.stdout
    assert f"saved as {file}" in result.stdout
    return file


def test_predict(data, model, tmp_path):
    result = run_here(
        "predict", data / "images" / "*.png", "--model", model, "--output", tmp_path / "out", "--min-size", 5
    )
    assert "objects in 6 images" in result.stdout
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert len(names) == 13
    assert names[:2] == ["Zelle ä 0_masks.tif", "Zelle ä 0_overlay.png"]
    assert names[-1] == "flowseg-run.jsonl"
    first = tifffile.imread(tmp_path / "out" / names[0])
    image = imread(data / "images" / "Zelle ä 0.png")
    expected = FlowSegmenter.load(model).set_params(min_size=5).predict(image)
    assert np.array_equal(first, expected)


def test_thresholds_switched_off(data, model, tmp_path):
    image = data / "images" / "Zelle ä 0.png"
    off = ("--flow-threshold", "none", "--score-threshold", "none", "--min-size", 0, "--cellprob-threshold", -1)
    run_here("predict", image, "--model", model, "--output", tmp_path / "all", "--no-overlay", *off)
    kept = FlowSegmenter.load(model).set_params(
        flow_threshold=None, score_threshold=None, min_size=0, cellprob_threshold=-1
    )
    expected = kept.predict(imread(image))
    assert expected.max() > kept.set_params(flow_threshold=0.05).predict(imread(image)).max()
    assert np.array_equal(tifffile.imread(tmp_path / "all" / "Zelle ä 0_masks.tif"), expected)
    wrong = ("--flow-threshold", "off")
    result = run_here("predict", image, "--model", model, "--output", tmp_path / "x", *wrong, status=1)
    assert "--flow-threshold must be a number or 'none'; got 'off'" in result.stderr


def test_boundary_baseline(data, tmp_path):
    model = tmp_path / "b.safetensors"
    run_here("train", data / "images", data / "masks", "-o", model, "--boundary", *SHORT, "--filters", "8")
    assert json.loads(run_here("info", model, "--json").stdout)["estimator"] == "BoundarySegmenter"
    run_here("predict", data / "images" / "Zelle ä 1.png", "-m", model, "-o", tmp_path)
    assert tifffile.imread(tmp_path / "Zelle ä 1_masks.tif").shape == (96, 104)


def test_validation_folder_and_same_seed_same_file(data, model, tmp_path):
    again = tmp_path / "again.safetensors"
    common = (*SHORT, "--filters", "8,16", "--seed", 1)
    run_here("train", data / "images", data / "masks", "--output", again, *common)
    assert cmp(again, model, shallow=False)
    held_out = (
        "--validation-images",
        data / "images" / "*0.png",
        "--validation-masks",
        data / "masks" / "*0_masks.tif",
    )
    run_here("train", data / "images", data / "masks", "--output", again, *common, *held_out)
    assert not cmp(again, model, shallow=False)
    result = run_here("train", data / "images", data / "masks", "-o", again, *held_out[:2], status=1)
    assert "must be given together" in result.stderr


def test_flows(data, tmp_path):
    result = run_here("flows", data / "masks", "--output", tmp_path / "flows")
    assert "flows of 54 objects in 6 images" in result.stdout
    stack = tifffile.imread(tmp_path / "flows" / "Zelle ä 2_masks_flows.tif")
    masks = tifffile.imread(data / "masks" / "Zelle ä 2_masks.tif")
    assert stack.dtype == np.float32
    assert np.array_equal(stack[0], masks)
    assert np.array_equal(stack[2:], masks_to_flows(masks))
    assert imread(tmp_path / "flows" / "Zelle ä 2_masks_flows.png").shape == (*masks.shape, 3)


def test_flows_of_colored_annotations(tmp_path):
    from flowseg import plot

    _, masks = synthetic.cells((64, 64), 6, rng=0)
    imsave(tmp_path / "a.png", plot.mask_colors(masks), check_contrast=False)
    run_here("flows", tmp_path / "a.png", "--output", tmp_path / "out")
    assert np.array_equal(tifffile.imread(tmp_path / "out" / "a_flows.tif")[2:], masks_to_flows(masks))


def test_info(model):
    document = json.loads(run_here("info", model, "--json").stdout)
    assert document["estimator"] == "FlowSegmenter"
    assert document["epochs_trained"] == 1
    assert document["parameters"]["filters"] == [8, 16]


def test_files_that_fail_are_named_and_the_others_done(data, model, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    imsave(folder / "good.png", imread(data / "images" / "Zelle ä 0.png"), check_contrast=False)
    (folder / "broken.png").write_bytes(b"nothing")
    imsave(folder / "rgb.png", np.tile(np.arange(3, dtype=np.uint8), (20, 20, 1)), check_contrast=False)
    result = run_here("predict", folder, "--model", model, "--output", tmp_path / "out", status=1)
    assert "broken.png must be a PNG file to match its name" in result.stderr
    assert "rgb.png must have as many channels as the model was trained on, 1; got 3" in result.stderr
    assert "2 of 3 files failed" in result.stderr
    assert len([line for line in result.stderr.splitlines() if not line.startswith("flowseg: note: ")]) == 3
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["flowseg-run.jsonl", "good_masks.tif", "good_overlay.png"]


def test_annotations_beside_images_are_not_overwritten(data, model, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    imsave(folder / "a.png", imread(data / "images" / "Zelle ä 0.png"), check_contrast=False)
    (folder / "a_masks.tif").write_bytes(b"by hand")
    for command in (("predict", folder / "a.png", "--model", model), ("flows", folder / "a.png")):
        result = run_here(*command, "--output", folder, status=1)
        assert "--output must be another folder than that of" in result.stderr
    assert (folder / "a_masks.tif").read_bytes() == b"by hand"


def test_options_of_the_other_class(data, tmp_path):
    model = tmp_path / "b.safetensors"
    run_here("train", data / "images", data / "masks", "-o", model, "--boundary", *SHORT, "--filters", "4")
    result = run_here("predict", data / "images", "-m", model, "-o", tmp_path / "x", "--flow-threshold", 1, status=1)
    assert "--flow-threshold is not for a BoundarySegmenter" in result.stderr
    result = run_here("predict", data / "images", "-m", model, "-o", tmp_path / "x", "--diameter", "nan", status=1)
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_help_teaches():
    assert "demo" in run_here("--help").stdout
    for command in (
        "check",
        "mend",
        "convert",
        "train",
        "tune",
        "predict",
        "evaluate",
        "compare",
        "curve",
        "suggest",
        "measure",
        "flows",
        "export",
        "info",
        "demo",
        "blocks",
        "blocks plan",
        "blocks run",
        "blocks finish",
    ):
        text = run_here(*command.split(), "--help").stdout
        assert len(text) > 300
    assert "flowseg train images masks --output model.safetensors" in run_here("train", "--help").stdout
    assert run_here("--version").stdout.startswith("flowseg 0.")


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["predict", "{images}", "--model", "missing", "-o", "{out}"], 1, "--model must be a model file or the name"),
        (
            ["predict", "{images}", "--model", "{masks}/Zelle ä 0_masks.tif", "-o", "{out}"],
            1,
            "must be a flowseg model",
        ),
        (["predict", "nowhere", "--model", "{model}", "-o", "{out}"], 1, "'nowhere' must name an image file"),
        (
            ["predict", "{images}", "--model", "{model}", "-o", "{out}", "--min-size", "-3"],
            1,
            "--min-size must be an integer",
        ),
        (["predict", "{images}", "--model", "{model}"], 2, "Missing option"),
        (["predict", "{images}", "--model", "{model}", "-o", "{out}", "--min-size", "x"], 2, "Invalid value"),
        (
            ["train", "{images}", "{masks}/*1_masks.tif", "-o", "{out}/m.safetensors"],
            1,
            "every file must have a partner",
        ),
        (
            ["train", "{images}", "{masks}", "-o", "{out}/deep/m.safetensors"],
            1,
            "--output must lie in a folder that exists",
        ),
        (["train", "{images}", "{masks}", "-o", "{out}"], 1, "--output must be a file"),
        (
            ["train", "{images}", "{masks}", "-o", "{out}/m.safetensors", "--filters", "a,b"],
            1,
            "--filters must be whole numbers",
        ),
        (
            ["train", "{images}", "{masks}", "-o", "{out}/m.safetensors", "--network", "vnet"],
            1,
            "network must be one of 'unet', 'resunet'",
        ),
        (["train", "{images}", "{masks}", "-o", "{out}/m.safetensors", "--filters", ""], 1, "--filters must be whole"),
        (
            ["train", "{images}", "{masks}", "-o", "{out}/m.safetensors", "--steps-per-epoch", "0"],
            1,
            "--steps-per-epoch must be an integer of at least 1; got 0",
        ),
        (["train", "{images}", "{masks}", "-o", "{out}/m"], 1, "--output must end in .safetensors; got"),
        (["train", "{images}", "{masks}", "-o", "/dev/null"], 1, "/dev/null must be a file or not exist"),
        (
            ["train", "{images}", "{masks}", "-o", "{out}/m.safetensors", "--checkpoint", "{out}/deep/c"],
            1,
            "--checkpoint must lie in a folder that exists",
        ),
        (
            [
                "train",
                "{images}",
                "{masks}",
                "-o",
                "{out}/m.safetensors",
                "--validation-images",
                "",
                "--validation-masks",
                "",
            ],
            1,
            "must name an image file, a folder or a pattern of them; got an empty string",
        ),
        (["info", "{images}/Zelle ä 1.png"], 1, "must be a flowseg model"),
        (["nonsense"], 2, "No such command"),
    ],
)
def test_errors_are_one_line(arguments, status, sentence, data, model, tmp_path):
    import re

    places = {"images": data / "images", "masks": data / "masks", "model": model, "out": tmp_path}
    start = run if "--min-size" in arguments else run_here  # TensorFlow's libraries must be silent when they are loaded
    result = start(*(a.format(**places) for a in arguments), status=status, cwd=tmp_path)
    text = result.stderr
    assert re.search(sentence, text), text
    if status == 1:
        assert text.count("\n") == 1
        assert text.startswith("flowseg: ")


def test_a_model_does_not_replace_what_is_read(data, model, tmp_path):
    folders = {"images": data / "images", "masks": data / "masks"}
    new, checkpoint, link = tmp_path / "new.safetensors", tmp_path / "c.safetensors", tmp_path / "link.safetensors"
    image, masks = (sorted(folder.iterdir())[0] for folder in folders.values())
    link.symlink_to(masks)
    held_out = ("--validation-images", image, "--validation-masks", masks)
    for command in (
        ("tune", *folders.values(), "-m", model, "-o", model),
        ("tune", *folders.values(), "-m", model, "-o", masks),
        ("train", *folders.values(), "-o", image),
        ("train", *folders.values(), "-o", link),
        ("train", data / "images" / "*1.png", data / "masks" / "*1_masks.tif", *held_out, "-o", masks),
        ("train", *folders.values(), "-o", model, "--from", model),
        ("train", *folders.values(), "-o", checkpoint, "--checkpoint", checkpoint),
        ("train", *folders.values(), "-o", new, "--checkpoint", masks),
    ):
        before = [file.read_bytes() for file in (model, image, masks)]
        message = str(invoke(*command, status=1).exception)
        assert " must be another file than those that are read; got " in message
        assert [file.read_bytes() for file in (model, image, masks)] == before
    assert not checkpoint.exists()


def test_memory_that_runs_out_is_one_line():
    code = (
        "import sys, flowseg.io, flowseg.cli\n"
        "def fail(where, kind=None): raise MemoryError\n"
        "flowseg.io.find_files = fail\n"
        "sys.argv = ['flowseg', 'flows', 'x', '--output', 'y']\n"
        "flowseg.cli.main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr == "flowseg: the file and its results must fit into memory; they do not.\n"


def test_an_output_folder_that_cannot_be_made(data, model, tmp_path):
    (tmp_path / "file").touch()
    result = run_here("predict", data / "images", "--model", model, "--output", tmp_path / "file" / "sub", status=1)
    assert result.stderr.count("\n") == 1


def test_ctrl_c(tmp_path):
    process = start(
        [sys.executable, "-m", "flowseg", "demo", "--output", tmp_path],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout.readline().startswith("Training")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors == "flowseg: interrupted\n"
    assert not list(tmp_path.iterdir())


def test_pretrained_from_the_shell(data, tmp_path):
    file = tmp_path / "tuned.safetensors"
    checkpoint = tmp_path / "state.safetensors"
    images, masks = data / "images" / "*[01].png", data / "masks" / "*[01]_masks.tif"
    result = run_here("predict", images, "-m", "nuclei", "-o", tmp_path / "found", "--diameter", "estimate", "--tta")
    assert "objects in 2 images" in result.stdout
    passes = {}
    for option in ("--estimate", "--no-estimate"):
        invoke("predict", images, "-m", "nuclei", "-o", tmp_path / option, option, "--also", "flows", "--no-overlay")
        passes[option] = tifffile.imread(sorted((tmp_path / option).glob("*_flows.tif"))[0])
    assert not np.array_equal(*passes.values())
    small = ("--epochs", 1, "--steps-per-epoch", 2, "--crop-size", 64, "--batch-size", 2)
    options = ["--from", "nuclei", "-o", file, *small, "--checkpoint", checkpoint]
    run_here("train", images, masks, *options)
    assert checkpoint.is_file()
    assert json.loads(run_here("info", file, "--json").stdout)["parameters"]["warm_start"]
    said = run_here("info", "nuclei").stdout
    assert "CC0" in said
    assert "typical diameter 17.0 pixels" in said
    assert "score_threshold 0.5" in said
    result = run_here("train", images, masks, *options, "--filters", "8,16", status=1)
    assert "flowseg: --filters must not be given together with --from" in result.stderr
    result = run_here("predict", images, "-m", "nucleus", "-o", tmp_path / "x", status=1)
    sentence = "--model must be a model file or the name of a pretrained model, 'nuclei', 'tissue'; got nucleus, which does not"
    assert sentence in result.stderr
    assert "MODEL must be a model file" in run_here("info", "nucleus", status=1).stderr
    result = run_here("train", images, masks, "--from", "nucleus", "-o", file, status=1)
    assert "--from must be a model file" in result.stderr
    result = run_here("predict", images, "-m", "nuclei", "-o", tmp_path / "x", "--diameter", "guess", status=1)
    assert "--diameter must be a number or 'estimate'; got 'guess'" in result.stderr


def test_thresholds_chosen_again(fitted, pairs, tmp_path):
    fitted["FlowSegmenter"].save(tmp_path / "model.safetensors", card={"license": "CC0"})
    fitted["BoundarySegmenter"].save(tmp_path / "b.safetensors")
    for k, (image, masks) in enumerate(pairs):
        for kind, array in (("images", image.astype(np.float32)), ("masks", masks.astype(np.uint8))):
            (tmp_path / kind).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / kind / f"{k}.tif", array)
    arguments = ("tune", tmp_path / "images", tmp_path / "masks", "--output", tmp_path / "tuned.safetensors", "--model")
    said = json.loads(invoke(*arguments, tmp_path / "model.safetensors", "--json").stdout)
    tuned = FlowSegmenter.load(tmp_path / "tuned.safetensors")
    again = FlowSegmenter.load(tmp_path / "model.safetensors").fit_thresholds(
        [image.astype(np.float32) for image, _ in pairs], [masks for _, masks in pairs]
    )
    for name in ("cellprob_threshold", "flow_threshold", "min_size"):
        assert getattr(tuned, f"{name}_") == getattr(again, f"{name}_") == said[name]
    assert json.loads(invoke("info", tmp_path / "tuned.safetensors", "--json").stdout)["card"] == {"license": "CC0"}
    result = invoke(*arguments, tmp_path / "b.safetensors", status=1)
    assert "--model must be a FlowSegmenter" in str(result.exception)
