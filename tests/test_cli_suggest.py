"""`flowseg suggest`."""

import csv
import functools
import json

import numpy as np
import pytest
import tifffile
from cli_tools import contents, run_here

import flowseg
from flowseg import io, synthetic
from flowseg._system.files import unfinished
from flowseg._system.locks import holding_folder
from flowseg.cli._shared.models import load_model
from flowseg.cli._suggestion import result_files

QUICK = ("--views", 2, "--box-size", 40)
SIZES = ((64, 64), (64, 64), (48, 48))


@pytest.fixture(scope="module")
def model(tiny, tmp_path_factory):
    file = tmp_path_factory.mktemp("model") / "model.safetensors"
    tiny["FlowSegmenter"].save(file)
    return file


@pytest.fixture(scope="module")
def load_once():
    return functools.cache(lambda file: load_model(file, [("workers", 1)]))


@pytest.fixture(autouse=True)
def quick(load_once, monkeypatch):
    """Load each model once: most of the time of a run is the first pass of a network that was just loaded."""
    monkeypatch.setattr("flowseg.cli._suggest.load_model", lambda file, parameters: load_once(file))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Three images with the size of a pixel."""
    folder = tmp_path_factory.mktemp("images")
    for k, shape in enumerate(SIZES):
        image = (60 * synthetic.cells(shape, 6, rng=k)[0]).clip(0, 255).astype(np.uint8)
        tifffile.imwrite(folder / f"c{k}.tif", image, resolution=(2e4, 2e4), resolutionunit="CENTIMETER")
    return folder


def test_images_to_correct_and_to_train_on(model, images, load_once, tmp_path):
    pytest.importorskip("roifile")
    output = tmp_path / "next"
    result = run_here("suggest", images, "-m", model, "-o", output, "--number", 2, *QUICK)
    lines = result.stdout.splitlines()
    assert [line.partition(" ")[0] for line in lines[:2]] == ["1.", "2."]
    assert lines[2] == f"2 of 3 images to annotate, written to {output}"
    assert "note: the segmenter has learned no scores" in result.stderr
    with open(output / "suggestions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    assert [row["written"] for row in rows] == ["True", "True", "False"]
    names = [row["file"].rsplit("/", 1)[-1].removesuffix(".tif") for row in rows]
    endings = (".tif", "_masks.tif", "_suggested.geojson", "_suggested.zip", "_rois.zip")
    assert {*contents(output)} == {"suggestions.csv", *(name + end for name in names[:2] for end in endings)}
    expected = flowseg.suggest(
        load_once(model), [io.read_image(images / f"c{k}.tif") for k in range(3)], box_size=40, views=2
    )
    assert names == [f"c{one.index}" for one in expected]
    for name, row, one in zip(names[:2], rows, expected, strict=False):
        image = io.read_image(output / f"{name}.tif")
        np.testing.assert_array_equal(image, io.read_image(images / f"{name}.tif"))
        assert io.read_pixel_size(output / f"{name}.tif") == pytest.approx((0.5, 0.5))
        masks = io.read_masks(output / f"{name}_masks.tif")
        np.testing.assert_array_equal(masks, one.masks)
        assert masks.min() == -1
        box = np.zeros(masks.shape, bool)
        box[int(row["min_row"]) : int(row["max_row"]), int(row["min_col"]) : int(row["max_col"])] = True
        assert box.sum() == 40 * 40
        region = output / f"{name}_suggested.geojson"
        with pytest.warns(UserWarning, match="an object of another class"):
            in_class = io.read_geojson(region, masks.shape, classes="Region*")
        for found in (io.read_roi(output / f"{name}_suggested.zip", masks.shape), in_class):
            np.testing.assert_array_equal(found > 0, box)
        with pytest.warns(UserWarning, match="ignored class"):
            objects = io.read_geojson(region, masks.shape)
        for found in (objects, io.read_roi(output / f"{name}_rois.zip", masks.shape)):
            np.testing.assert_array_equal(found > 0, masks > 0)
            # The way back that the documentation shows.
            found[(found == 0) & ~box] = -1
            np.testing.assert_array_equal(found < 0, masks < 0)
    pairs = io.pair_files(io.find_files(output, kind="images"), io.find_files(output, kind="masks"))
    assert [(x.name, y.name) for x, y in pairs] == [(f"{name}.tif", f"{name}_masks.tif") for name in sorted(names[:2])]


def test_annotations_can_be_edited_in_qupath(model, images, tmp_path):
    run_here("suggest", images / "c0.tif", "-m", model, "-o", tmp_path / "out", *QUICK)
    features = json.loads((tmp_path / "out" / "c0_suggested.geojson").read_text())["features"]
    assert {feature["properties"]["objectType"] for feature in features} == {"annotation"}
    assert [f["properties"].get("classification") for f in features[:2]] == [{"name": "Region*"}, None]


def test_nothing_is_overwritten(model, images, tmp_path):
    output = tmp_path / "out"
    words = ("suggest", images / "c0.tif", images / "c2.tif", "-m", model, "-o", output, "--number", 1, *QUICK)
    run_here(*words)
    before = contents(output)
    refused = run_here(*words, status=1)
    assert refused.stderr.count("\n") == 1
    assert "--output must be a folder without suggestions for these images" in refused.stderr
    assert contents(output) == before
    (output / "c0_masks.tif").write_bytes(b"of another run")
    (output / "c2_masks.tif").write_bytes(b"of another run")
    (output / "mine.txt").write_text("kept")
    unfinished(output / "c2_rois.zip", 0).write_bytes(b"of a run that was killed")
    run_here(*words, "--overwrite")
    assert contents(output) == before | {"mine.txt": b"kept"}


def test_an_interruption_keeps_earlier_suggestions(model, images, tmp_path, monkeypatch):
    words = ("suggest", images / "c0.tif", "-m", model, "-o", tmp_path / "out", *QUICK)
    run_here(*words)
    before = contents(tmp_path / "out")

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(result_files.files, "write_tiff", interrupt)
    run_here(*words, "--overwrite", status=130)
    assert contents(tmp_path / "out") == before


def test_a_file_that_cannot_be_read_is_named(model, images, tmp_path):
    folder, output = tmp_path / "images", tmp_path / "out"
    folder.mkdir()
    (folder / "a.tif").write_bytes((images / "c0.tif").read_bytes())
    (folder / "b.tif").write_bytes(b"no image")
    result = run_here("suggest", folder, "-m", model, "-o", output, "--json", *QUICK, status=1)
    document = json.loads(result.stdout)
    assert [one["file"] for one in document["images"]] == [str(folder / "a.tif")]
    assert all((output / name).is_file() for name in ("a.tif", "a_masks.tif"))
    assert [one["file"] for one in document["failures"]] == [str(folder / "b.tif")]
    assert "1 of 2 files failed" in result.stderr
    assert document["images"][0]["results"][-1] == str(output / "a_masks.tif")
    (folder / "a.tif").write_bytes(b"none either")
    result = run_here("suggest", folder, "-m", model, "-o", tmp_path / "empty", "--json", *QUICK, status=1)
    assert json.loads(result.stdout)["table"] is None
    assert not [*(tmp_path / "empty").iterdir()]


def test_an_image_that_fails_keeps_earlier_results(model, images, tmp_path, monkeypatch):
    folder, output = tmp_path / "images", tmp_path / "out"
    folder.mkdir()
    for name in ("c0.tif", "c2.tif"):
        (folder / name).write_bytes((images / name).read_bytes())
    words = ("suggest", folder, "-m", model, "-o", output, "--number", 2, *QUICK)
    run_here(*words)
    before = contents(output)
    (output / "c0_masks.tif").write_bytes(b"corrected")
    (folder / "c0.tif").write_bytes(b"no image")
    run_here(*words, "--overwrite", status=1)
    table = {"suggestions.csv": (output / "suggestions.csv").read_bytes()}
    assert contents(output) == before | {"c0_masks.tif": b"corrected"} | table

    def refuse(path, *_):
        raise OSError(28, "No space left on device", str(path))

    (folder / "c0.tif").write_bytes((images / "c0.tif").read_bytes())
    monkeypatch.setattr(result_files, "write_to_correct", refuse)
    run_here(*words, "--overwrite", status=1)
    assert (output / "c0_masks.tif").read_bytes() == b"corrected"
    assert not (output / "c0.tif").exists()  # replaced before the failure


def test_nothing_is_left_of_an_image_that_could_not_be_written(model, images, tmp_path, monkeypatch):
    def refuse(path, *_):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(result_files, "write_to_correct", refuse)
    result = run_here("suggest", images / "c0.tif", "-m", model, "-o", tmp_path / "out", *QUICK, status=1)
    assert "No space left on device" in result.stderr
    assert "0 of 1 images to annotate" in result.stdout
    assert {*contents(tmp_path / "out")} == {"suggestions.csv"}
    assert ",False," in (tmp_path / "out" / "suggestions.csv").read_text()


def test_channels_and_several_folders(tiny, tmp_path):
    """The image is written as it was read: the channel that was chosen."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        stack = np.random.default_rng(0).integers(0, 255, (3, 48, 48), dtype=np.uint8)
        tifffile.imwrite(tmp_path / name / "a.ome.tif", stack, metadata={"axes": "CYX"})
    tiny["BoundarySegmenter"].save(tmp_path / "model.safetensors")
    words = ("suggest", tmp_path / "one", tmp_path / "two", "-m", tmp_path / "model.safetensors", *QUICK)
    refused = run_here(*words, "-o", tmp_path / "x", status=1)
    assert "must have as many channels as the model was trained on, 1; got 3" in refused.stderr
    run_here(*words, "-o", tmp_path / "out", "--channel", 1)
    for name in ("one", "two"):
        np.testing.assert_array_equal(io.read_image(tmp_path / "out" / name / "a.tif"), stack[1])
        assert io.read_masks(tmp_path / "out" / name / "a_masks.tif").shape == (48, 48)


def test_an_image_of_several_channels_is_written_with_them(model, images, load_once, tmp_path):
    image = io.read_image(images / "c0.tif")
    with pytest.warns(UserWarning, match="no scores"):
        (one,) = flowseg.suggest(load_once(model), [image], views=2, box_size=40)
    result_files.write_files(tmp_path, "a", np.stack([image, image // 2], axis=-1), None, one)
    found = io.read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(found, np.stack([image, image // 2], axis=-1))


def test_without_roifile_the_rest_is_written(model, images, tmp_path, monkeypatch):
    monkeypatch.setattr(result_files, "find_spec", lambda name: None)
    result = run_here("suggest", images / "c0.tif", "-m", model, "-o", tmp_path / "out", *QUICK)
    assert "note: no files for ImageJ are written; they need: pip install roifile." in result.stderr
    assert {*contents(tmp_path / "out")} == {"c0.tif", "c0_masks.tif", "c0_suggested.geojson", "suggestions.csv"}


def test_a_box_larger_than_the_image(model, images, tmp_path):
    words = ("suggest", images, "-m", model, "-o", tmp_path / "out", "--views", 2, "--box-size", 64, "--json")
    document = json.loads(run_here(*words).stdout)
    assert any("boxes of 64 pixels are larger than 1 of 3 images" in remark for remark in document["remarks"])
    boxes = {one["file"]: one["boxes"] for one in document["images"]}
    assert boxes[str(images / "c2.tif")] == [[0, 0, 48, 48]]


def test_a_folder_in_use_is_left_alone(model, images, tmp_path):
    with holding_folder(tmp_path, "flowseg predict", "it"):
        refused = run_here("suggest", images, "-m", model, "-o", tmp_path, *QUICK, status=1)
    assert "must not be in use" in refused.stderr
    assert contents(tmp_path) == {}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--number", 0), "--number must be an integer of at least 1; got 0."),
        (("--box-size", 0), "--box-size must be an integer of at least 1"),
        (("--boxes-per-image", 0), "--boxes-per-image must be"),
        (("--views", 9), "--views must be from 2 to 4; got 9."),
        (("--workers", 0), "--workers must be"),
        (("--model", "missing"), "--model must be a model file or the name"),
        (("--output", "{images}"), "--output must be another folder than that of"),
    ],
)
def test_bad_options(options, sentence, model, images, tmp_path):
    words = [str(word).format(images=images) for word in options]
    refused = run_here("suggest", images, "-m", model, "-o", tmp_path / "out", *words, status=1)
    assert sentence in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_no_images(model, tmp_path):
    refused = run_here("suggest", tmp_path / "nothing", "-m", model, "-o", tmp_path / "out", status=1)
    assert "must name an image file" in refused.stderr


def test_a_model_of_volumes_is_refused(model, images, tmp_path, monkeypatch):
    monkeypatch.setattr("flowseg.cli._suggest.model_ndim", lambda file: 3)
    refused = run_here("suggest", images, "-m", model, "-o", tmp_path / "out", status=1)
    assert f"--model must be one of images to suggest boxes; got {model}, one of volumes." in refused.stderr
