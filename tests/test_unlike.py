import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from safetensors.numpy import load_file
from typer.testing import CliRunner

from flowseg import FlowSegmenter, datasets, load_segmenter
from flowseg._intensities import find_limits
from flowseg._nets.lattice import PixelShape
from flowseg._segmenters.codecs.boundary_codec import BoundaryCodec
from flowseg._segmenters.codecs.codec import Outputs
from flowseg._segmenters.codecs.flow_codec import FlowCodec
from flowseg._segmenters.fitting import learn_ranges as fitting
from flowseg._segmenters.fitting.pairs import make_pairs
from flowseg._segmenters.likeness import statistics as measuring
from flowseg._segmenters.likeness.image_check import ImageCheck
from flowseg._segmenters.likeness.ranges import Ranges, learn_ranges, read_ranges
from flowseg._segmenters.likeness.statistics import measure_image
from flowseg._segmenters.model_files.reading import read_document
from flowseg._segmenters.model_files.writing import write_document
from flowseg._segmenters.pretrained import pretrained_file
from flowseg.cli import app
from flowseg.cli._batch.run_record import RECORD_NAME, read_record

RANGES = Ranges(25, {"median_intensity": (0.1, 0.3), "object_size": (0.9, 1.1)})


def warned(function):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = function()
    return result, [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]


def outputs_of(image, masks, ndim, factor=1.0, ratios=None):
    """Flows of half a pixel, and a foreground of logit 2 in objects."""
    array = np.zeros((*masks.shape, ndim + 1), np.float32)
    array[..., 0] = 0.5
    array[..., ndim] = np.where(masks > 0, 2.0, -2.0)
    pixel = None if ratios is None else PixelShape(ratios, 1.0, (0,) * ndim)
    return Outputs(array, factor, None, pixel, find_limits(image[..., np.newaxis], ("limits", 0, 10)))


@pytest.fixture(scope="module")
def nuclei():
    return FlowSegmenter.from_pretrained("nuclei")


@pytest.fixture(scope="module")
def crops():
    """Parts of three images of other fields than those that the model was trained on."""
    return [image[:128, :128] for image in datasets.nuclei().images[:3]]


@pytest.mark.parametrize("ndim", [2, 3])
def test_statistics(ndim):
    shape = (8,) * ndim
    masks, image = np.zeros(shape, int), np.full(shape, 3.0)
    masks[(slice(0, 4),) * ndim] = 1
    image[0] = 8
    ratios = (2.0, *[1.0] * (ndim - 1))
    found = measure_image(FlowCodec(ndim=ndim), 16.0, image, outputs_of(image, masks, ndim, 2.0, ratios), masks)
    size = 4**ndim * 2  # in pixels of the finest axis
    diameter = 2 * np.sqrt(size / np.pi) if ndim == 2 else 2 * np.cbrt(0.75 * size / np.pi)
    expected = {
        "median_intensity": 0.3,
        "object_size": diameter * 2 / 16,
        "object_share": 0.5**ndim,
        "object_probability": 1 / (1 + np.exp(-2)),
        "flow_length": 0.5,
    }
    assert found == {name: pytest.approx(value, rel=1e-3) for name, value in expected.items()}
    assert measure_image(FlowCodec(ndim=ndim), 16.0, image, outputs_of(image, 0 * masks, ndim), 0 * masks) == {
        "median_intensity": 0.3,
        "object_share": 0.0,
    }


def test_three_classes_have_no_flows():
    masks, image = np.eye(8, dtype=int), np.ones((8, 8))
    array = np.log(np.full((8, 8, 3), (0.25, 0.5, 0.25), np.float32))
    outputs = replace(outputs_of(image, masks, 2), array=array)
    found = measure_image(BoundaryCodec(), 16.0, image, outputs, masks)
    assert found["object_probability"] == 0.75
    assert "flow_length" not in found


def test_padding_and_channels():
    masks = np.zeros((64, 64), int)
    image = np.random.default_rng(0).uniform(100, 200, (64, 64, 2))
    image[:, 40:, 0] = 0
    limits = find_limits(image)
    outputs = Outputs(np.zeros((64, 64, 3), np.float32), 1.0, None, None, limits)
    found = measure_image(FlowCodec(), 16.0, image, outputs, masks)
    assert found["median_intensity[0]"] == pytest.approx(0.5, abs=0.1)
    assert found["median_intensity[1]"] == pytest.approx(0.5, abs=0.1)
    assert measure_image(FlowCodec(), 16.0, image, replace(outputs, limits=None), masks) == {}


def test_large_images_are_sampled(monkeypatch):
    rng = np.random.default_rng(0)
    masks, image = (rng.random((300, 200)) < 0.3).astype(int), rng.random((300, 200)) * 10
    whole = measure_image(FlowCodec(), 16.0, image, outputs_of(image, masks, 2), masks)
    monkeypatch.setattr(measuring, "MOST_PIXELS", 10_000)
    part = measure_image(FlowCodec(), 16.0, image, outputs_of(image, masks, 2), masks)
    assert part != whole
    assert part == {name: pytest.approx(value, rel=0.1) for name, value in whole.items()}


def test_ranges_leave_out_odd_images():
    images = [{"object_size": 1 + k / 100} for k in range(24)]
    assert learn_ranges(images) == Ranges(24, {"object_size": (1.0, 1.23)})
    assert learn_ranges([*images, {"object_size": 9.0}]) == Ranges(25, {"object_size": (1.01, 1.23)})
    assert learn_ranges(images[:2]) is None
    assert learn_ranges([*images, {"flow_length": 0.5}]).ends.keys() == {"object_size"}
    both = RANGES.widened(Ranges(5, {"object_size": (0.5, 1.0), "flow_length": (0.8, 0.9)}))
    assert both == Ranges(30, {"median_intensity": (0.1, 0.3), "object_size": (0.5, 1.1), "flow_length": (0.8, 0.9)})
    assert RANGES.widened(None) is RANGES


def test_fewer_training_images_give_wider_margins():
    few, many = (replace(RANGES, n_images=n) for n in (4, 400))
    assert RANGES.find_outlier({"median_intensity": 0.2, "flow_length": 0.0}).distance == 0
    assert RANGES.find_outlier({"flow_length": 0.0}) is None
    odd = {"object_size": 1.0, "median_intensity": 0.5}
    assert many.find_outlier(odd).name == "median_intensity"
    assert many.find_outlier(odd).is_unlike
    assert not few.find_outlier(odd).is_unlike


def test_sentences():
    image, masks = np.zeros((9, 9)), np.zeros((9, 9), int)
    outputs = outputs_of(image, masks, 2)
    measured = iter([{"median_intensity": 0.95}, {"object_size": 1.0}, {"object_size": 3.0, "median_intensity": 0.2}])
    check = ImageCheck(1.8, RANGES, lambda *_: next(measured))
    check.look(image, outputs, masks)
    assert check.sentences() == [
        "the image is unlike the training images: the median of the normalized intensities is 0.95 (usual: 0.10 to "
        "0.30)."
    ]
    check.look(image, outputs, masks)
    assert check.sentences() == [
        "1 of 2 images (images[0]) is unlike the training images: the median of the normalized intensities is 0.95 "
        "(usual: 0.10 to 0.30)."
    ]
    check.look(image, outputs, masks)
    assert check.sentences("plane {}".format) == [
        "2 of 3 images (plane 0, plane 2) are unlike the training images: in plane 2 the network sees objects at 3.00 "
        "times the expected diameter (usual: 0.90 to 1.10)."
    ]
    assert check.statistics == {"object_size": 3.0, "median_intensity": 0.2}
    with pytest.warns(UserWarning, match="2 of 3 images") as caught:
        check.warn(stacklevel=1)
    assert caught[0].filename == __file__


def test_images_of_other_fields_are_alike(nuclei, crops):
    masks, said = warned(lambda: nuclei.predict(crops))
    assert said == []
    assert all(found.any() for found in masks)


def test_inverted_and_empty_images_are_unlike(nuclei, crops):
    empty = np.random.default_rng(0).poisson(9, (96, 96)).astype(np.uint8)
    masks, said = warned(lambda: nuclei.predict([crops[0], 255 - crops[0], empty]))
    (sentence,) = said
    assert sentence.startswith("2 of 3 images (images[1], images[2]) are unlike the training images: in images[1] ")
    assert np.array_equal(masks[0], nuclei.predict(crops[0]))
    with pytest.warns(UserWarning, match="the image is unlike the training images: the median") as caught:
        nuclei.predict_objects(255 - crops[1])
    assert caught[0].filename == __file__


def test_objects_of_another_size_than_given_are_unlike(nuclei, crops):
    with pytest.warns(UserWarning, match=r"sees objects at \S+ times the expected diameter \(usual: 0.97 to"):
        nuclei.predict(crops[0], diameters=60)


def test_files_without_ranges_give_no_warning(nuclei, crops, tmp_path):
    file = pretrained_file("nuclei")
    document = read_document(file)
    del document["learned"]["ranges"]
    write_document(tmp_path / "old.safetensors", document, load_file(file))
    old = load_segmenter(tmp_path / "old.safetensors")
    assert old.fitted_.ranges is None
    masks, said = warned(lambda: old.predict(255 - crops[0]))
    assert said == []
    assert np.array_equal(masks, warned(lambda: nuclei.predict(255 - crops[0]))[0])


@pytest.mark.parametrize("kind", ["FlowSegmenter", "BoundarySegmenter"])
def test_fit_learns_ranges_and_files_keep_them(kind, fitted, pairs, tmp_path):
    ranges = fitted[kind].fitted_.ranges
    assert ranges.n_images == len(pairs)  # one validation image and seven training images
    assert ("flow_length" in ranges.ends) == (kind == "FlowSegmenter")
    low, high = ranges.ends["median_intensity"]
    assert -0.5 < low < high < 0.5
    fitted[kind].save(tmp_path / "model.safetensors")
    assert load_segmenter(tmp_path / "model.safetensors").fitted_.ranges == ranges


def test_training_images_are_few(pairs, monkeypatch):
    images, masks = zip(*pairs)
    many = make_pairs(images, masks, None, n_channels=1, ndim=2)
    assert fitting._choose_images(many, 3) == [0, 4, 7]
    assert fitting._choose_images(many, 99) == list(range(8))
    assert fitting._choose_images(many, -1) == []
    monkeypatch.setattr(fitting, "MOST_PIXELS", 2 * 96 * 96)
    assert fitting._choose_images(many, 3) == [0, 4]


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ([], "ranges must be an object with n_images and ends"),
        ({"n_images": 3, "ends": []}, "ranges must be an object with n_images and ends"),
        ({"n_images": 0, "ends": {}}, "n_images must be an integer of at least 1"),
        ({"n_images": 3, "ends": {"size": [0, 1]}}, "ranges must be pairs of numbers for median_intensity, "),
        ({"n_images": 3, "ends": {"object_size": [0]}}, "ranges must be pairs of numbers"),
        ({"n_images": 3, "ends": {"object_size": [0, "1"]}}, "the range of object_size must be a number"),
        ({"n_images": 3, "ends": {"object_size": [2, 1]}}, "must not end below its start; got 2 and 1"),
    ],
)
def test_ranges_that_are_none(document, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        read_ranges(document)


def test_command_line(crops, tmp_path):
    folder, output = tmp_path / "images", tmp_path / "results"
    folder.mkdir()
    for name, image in (("a", crops[0]), ("b", 255 - crops[0])):
        tifffile.imwrite(folder / f"{name}.tif", image)
    command = ["predict", str(folder), "--model", "nuclei", "--output", str(output), "--no-overlay", "--json"]
    for more in ([], ["--resume"]):
        done = CliRunner().invoke(app, [*command, *more])
        assert done.exit_code == 0, done.output
        first, second = json.loads(done.stdout)["files"]
        assert first["note"] is None
        assert first["statistics"]["median_intensity"] < 0.2 < 0.8 < second["statistics"]["median_intensity"]
        assert f"flowseg: note: {folder / 'b.tif'}: the image is unlike the training images: " in done.stderr
        lines = (output / "flowseg-run.jsonl").read_text().splitlines()
        assert [json.loads(line)["statistics"] for line in lines[1:]] == [first["statistics"], second["statistics"]]
    said = CliRunner().invoke(app, ["info", "nuclei"]).stdout
    assert "usual images: flow length 0.816 to 0.927, median intensity 0.0127 to 0.0952, " in said


def test_records_with_and_without_statistics(tmp_path):
    run = {"command": "predict", "model": "ab", "options": [], "flowseg": "0.1.0"}
    entry = {"name": "a", "file": "a.tif", "sha256": "ab", "objects": 3}

    def read(entry):
        (tmp_path / RECORD_NAME).write_text(f"{json.dumps(run)}\n{json.dumps(entry)}\n")
        return read_record(tmp_path)[1]["a"].statistics

    assert read(entry) == {}
    assert read(entry | {"statistics": {"object_size": 1.5}}) == {"object_size": 1.5}
    for wrong in ([], {"object_size": "1.5"}, {"object_size": True}):
        with pytest.raises(ValueError, match="a finished file whose statistics are no numbers"):
            read(entry | {"statistics": wrong})
