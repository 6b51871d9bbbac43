"""`flowseg evaluate`."""

import json
import shutil

import numpy as np
import pytest
import tifffile
from cli_tools import invoke, run
from skimage.io import imread, imsave

from flowseg import synthetic


@pytest.fixture
def data(tmp_path):
    """Six images with true and predicted masks, in which one object is missing."""
    for kind in ("images", "masks", "found"):
        (tmp_path / kind).mkdir()
    for k in range(6):
        image, masks = synthetic.cells((96, 96 + 8 * k), 9, rng=k)
        found = np.where(masks == 1 + k, 0, masks)
        name = f"Zelle ä {k}"
        imsave(tmp_path / "images" / f"{name}.png", (60 * image).clip(0, 255).astype(np.uint8), check_contrast=False)
        tifffile.imwrite(tmp_path / "masks" / f"{name}_masks.tif", masks.astype(np.uint16))
        tifffile.imwrite(tmp_path / "found" / f"{name}_masks.tif", found.astype(np.int32))
        (tmp_path / "found" / f"{name}_overlay.png").write_bytes(b"to be looked at")
    return tmp_path


def test_scores(data):
    table = invoke("evaluate", data / "masks", data / "found").stdout
    assert "6 images, 54 true and 48 predicted objects" in table
    assert "all objects (pooled)" in table
    assert "interval" in table
    scores = json.loads(invoke("evaluate", data / "masks", data / "found", "--json").stdout)
    assert scores["images"] == 6
    assert scores["average_precision_pooled"] == [0.8889] * 6
    assert [row["fn"] for row in scores["per_image"]] == [1] * 6
    assert scores["per_image"][0]["name"] == "Zelle ä 0_masks"
    assert scores["intervals"]["average_precision_pooled"][0] == [0.8889, 0.8889]
    shutil.copytree(data / "masks", data / "copies")
    perfect = json.loads(invoke("evaluate", data / "masks", data / "copies", "--json").stdout)
    assert perfect["average_precision_pooled"] == [1.0] * 6
    assert perfect["at_0.5"]["f1"] == perfect["aggregated_jaccard_mean"] == 1.0


def test_pixels_to_ignore(data):
    for file in sorted((data / "masks").iterdir()):
        masks = tifffile.imread(file).astype(np.int16)
        masks[(np.arange(masks.shape[1]) >= 60) & ~np.isin(masks, masks[:, :60])] = -1  # objects to the right
        masks[:, 60:][masks[:, 60:] == 0] = -1
        tifffile.imwrite(file, masks)
    command = ("evaluate", data / "masks", data / "found", "--json")
    scores = json.loads(invoke(*command).stdout)
    assert scores["at_0.5"]["precision"] == 1.0
    assert 6 < scores["predicted_objects"] < 48
    assert scores["true_objects"] - scores["predicted_objects"] <= 6
    report = data / "report.html"
    assert json.loads(invoke(*command, "--report", report).stdout) == scores
    assert report.stat().st_size > 10000


def test_report(data):
    report = data / "report.html"
    command = ("evaluate", data / "masks", data / "found", "--report", report)
    with_images = invoke(*command, "--images", data / "images").stdout
    assert with_images == invoke(*command).stdout == invoke(*command[:3]).stdout
    without = report.read_bytes()
    invoke(*command, "--images", data / "images")
    again = report.read_bytes()
    assert again.count(b"data:image/webp;base64,") == 6
    assert without.count(b"data:image/webp;base64,") == 0
    invoke(*command, "--images", data / "images")
    assert report.read_bytes() == again  # the same files give the same page
    assert sorted(p.name for p in data.iterdir()) == ["found", "images", "masks", "report.html"]


def fails(*arguments):
    """The sentences that say why."""
    result = invoke(*arguments, status=1)
    assert not result.stdout
    if not isinstance(result.exception, SystemExit):
        return [str(result.exception)]
    lines = result.stderr.splitlines()
    assert all(line.startswith("flowseg: ") for line in lines)
    return lines


def test_every_file_that_cannot_be_compared_is_named_once(data):
    report = data / "report.html"
    tifffile.imwrite(data / "found" / "Zelle ä 1_masks.tif", np.ones((5, 5), np.uint8))
    (data / "found" / "Zelle ä 2_masks.tif").write_bytes(b"nothing")
    tifffile.imwrite(data / "masks" / "Zelle ä 3_masks.tif", np.full((96, 120), 0.5, np.float32))
    imsave(data / "images" / "Zelle ä 4.png", np.ones((96, 5), np.uint8), check_contrast=False)
    (data / "images" / "Zelle ä 5.png").write_bytes(b"nothing")
    options = ("--images", data / "images", "--report", report)
    one, two, three, four, five = fails("evaluate", data / "masks", data / "found", *options)
    assert "found/Zelle ä 1_masks.tif must have the shape of" in one
    assert "found/Zelle ä 2_masks.tif must be a TIFF file to match its name" in two
    assert "masks/Zelle ä 3_masks.tif must be an integer label image" in three
    assert "images/Zelle ä 4.png must have the rows and columns of" in four
    assert "images/Zelle ä 5.png must be a PNG file to match its name" in five
    assert not report.exists()
    assert run("evaluate", data / "masks", data / "found", status=1).stderr.count("\n") == 3
    assert len(fails("evaluate", data / "masks", data / "found")) == 3


def test_memory_that_runs_out(data, monkeypatch):
    def fail(file):
        raise MemoryError

    monkeypatch.setattr("flowseg.io.read_masks", fail)
    lines = fails("evaluate", data / "masks", data / "found")
    assert len(lines) == 6
    assert lines[0].endswith("Zelle ä 0_masks.tif: the file and its results must fit into memory; they do not.")


def test_missing_partners_are_named(data):
    (data / "images" / "Zelle ä 3.png").unlink()
    (line,) = fails(
        "evaluate", data / "masks", data / "found", "--images", data / "images", "--report", data / "report.html"
    )
    assert "these have none" in line
    assert "Zelle ä 3_masks.tif" in line
    (data / "found" / "Zelle ä 2_masks.tif").unlink()
    (line,) = fails("evaluate", data / "masks", data / "found")
    assert "Zelle ä 2_masks.tif" in line


def test_inputs_are_not_overwritten(data):
    (data / "link.html").symlink_to(data / "masks" / "Zelle ä 0_masks.tif")
    for file in ("masks/Zelle ä 0_masks.tif", "found/Zelle ä 1_masks.tif", "images/Zelle ä 2.png", "link.html"):
        before = (data / file).read_bytes()
        options = ("--images", data / "images", "--report", data / file)
        (line,) = fails("evaluate", data / "masks", data / "found", *options)
        assert "--report must be another file than those that are read" in line
        assert (data / file).read_bytes() == before


def test_options_that_cannot_be(data):
    (line,) = fails("evaluate", data / "masks", data / "found", "--images", data / "images")
    assert "--images must come with --report" in line
    (line,) = fails("evaluate", data / "masks", data / "found", "--channel", "0")
    assert "must come with --images" in line
    (line,) = fails("evaluate", data / "masks", data / "found", "--report", data / "no" / "report.html")
    assert "must lie in a folder that exists" in line
    (line,) = fails("evaluate", data / "masks", data / "found", "--report", data / "masks")
    assert "--report must be a file" in line
    (data / "link.html").symlink_to(data / "no" / "report.html")
    (line,) = fails("evaluate", data / "masks", data / "found", "--report", data / "link.html")
    assert "--report must lie in a folder that exists" in line


def test_channels_of_the_images(data):
    for file in (data / "images").iterdir():
        gray = imread(file)
        tifffile.imwrite(file.with_suffix(".tif"), np.stack([np.zeros_like(gray), gray]), metadata={"axes": "CYX"})
        file.unlink()
    report = data / "report.html"
    command = ("evaluate", data / "masks", data / "found", "--images", data / "images", "--report", report)
    invoke(*command)
    first = report.read_bytes()
    assert b"channel 1 of 2" in first
    invoke(*command, "--channel", "1")
    assert b"channel 1 of 2" not in report.read_bytes()
    assert len(report.read_bytes()) > len(first)  # the second channel is not black


def test_volumes_have_scores_and_a_report(tmp_path):
    masks = np.zeros((5, 20, 20), np.uint16)
    masks[1:3, 3:9, 3:9] = 1
    for name in "ab":
        tifffile.imwrite(tmp_path / f"{name}.tif", masks, photometric="minisblack")
    assert "1 images, 1 true" in invoke("evaluate", tmp_path / "a.tif", tmp_path / "b.tif").stdout
    report = tmp_path / "report.html"
    invoke("evaluate", tmp_path / "a.tif", tmp_path / "b.tif", "--report", report)
    assert b'"shape":[5,20,20]' in report.read_bytes()
