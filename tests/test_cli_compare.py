"""`flowseg compare`."""

import json

import numpy as np
import pytest
import tifffile
from cli_tools import run_here

from flowseg import synthetic
from flowseg._segmenters.pretrained import pretrained_file
from flowseg.cli._comparison.inputs import find_groups, make_segmenters

TINY = ("--epochs", 1, "--steps-per-epoch", 2, "--filters", "8", "--batch-size", 1, "--crop-size", 32, "--cv", 2)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four images of two fields."""
    folder = tmp_path_factory.mktemp("compared")
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    for k in range(4):
        image, masks = synthetic.cells((64, 64), 6, rng=k)
        tifffile.imwrite(folder / "images" / f"field{k // 2}_{k}.tif", image.astype(np.float32))
        tifffile.imwrite(folder / "masks" / f"field{k // 2}_{k}.tif", masks.astype(np.uint16))
    return folder


def test_a_comparison_and_the_same_again(data, tmp_path):
    output = tmp_path / "out"
    words = ("compare", data / "images", data / "masks", "--group-by", "field[0-9]", "-o", output, *TINY)
    first = run_here(*words)
    assert "expected time: " in first.stderr
    assert "fold 2 of 2, three classes: trained in " in first.stderr
    assert first.stdout.startswith("The data are too few to know: 2 independent")
    assert f"page: {output / 'comparison.html'}" in first.stdout
    results = {file.name: file.stat().st_mtime_ns for file in output.glob("fold-*")}
    assert len(results) == 6
    again = json.loads(run_here(*words, "--json").stdout)
    assert {file.name: file.stat().st_mtime_ns for file in output.glob("fold-*")} == results
    assert json.loads((output / "comparison.json").read_text()) == again
    assert sorted(one["name"] for one in again["segmenters"]) == ["flows", "nuclei", "three classes"]
    assert again["pairs"][0]["wins"] + again["pairs"][0]["losses"] + again["pairs"][0]["ties"] == 4
    assert {row["group"] for row in again["per_image"]} == {0, 1}
    other = run_here(*words, "--seed", 1, status=1)
    assert "the segmenter 'flows' is not the same" in other.stderr


def test_segmenters_of_the_options():
    file = pretrained_file("nuclei")
    parameters = {"epochs": 3, "random_state": 0, "filters": [4, 8]}
    found = make_segmenters(parameters, [("a.safetensors", file)], 1, further=True, resunet=True)
    assert [*found] == [
        "flows", "three classes", "flows with resunet", "nuclei", "nuclei trained further",
        "a.safetensors",
    ]  # fmt: skip
    assert found["nuclei trained further"].warm_start
    assert found["nuclei trained further"].epochs == 3
    names = ["flows", "three classes", "tissue", "tissue trained further"]
    assert [*make_segmenters(parameters, [], 3, further=True, resunet=False)] == names
    assert [*make_segmenters(parameters, [], 2, further=False, resunet=False)] == ["flows", "three classes"]
    with pytest.raises(ValueError, match="--further must come with images of one channel.*or of three.*; got 2"):
        make_segmenters(parameters, [], 2, further=True, resunet=False)
    for twice in ("a.safetensors", "nuclei"):
        models = [(name, file) for name in ("a.safetensors", twice)]
        with pytest.raises(ValueError, match=f"--model must name different models, .*; got {twice} twice"):
            make_segmenters(parameters, models, 1, further=False, resunet=False)


def test_groups_by_names(tmp_path):
    files = [tmp_path / name for name in ("a1_x.tif", "a1_y.tif", "b2_x.tif")]
    assert find_groups(files, "[a-z][0-9]") == ["a1", "a1", "b2"]
    assert find_groups(files, "([a-z])([0-9])") == ["a/1", "a/1", "b/2"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--group-by", "["), "--group-by must be a regular expression; got '['"),
        (("--group-by", "plate"), "--group-by must match the name of every image; 'plate' is not in field0_0.tif."),
        (("--group-by", "field"), "--group-by must name at least 2 fields of view"),
        (("--cv", 5), "--cv must be at most the number of groups of images, 4; got 5."),
        (("--cv", 1), "--cv must be an integer of at least 2; got 1."),
        (("--model", "none.safetensors"), "--model must be a model file or the name of a pretrained model"),
        (("--model", "tissue"), "models for images of as many channels as these have, 1; tissue is for 3. Choose with"),
        (("--epochs", 0), "--epochs must be an integer of at least 1; got 0."),
    ],
)
def test_bad_input(data, tmp_path, words, sentence):
    result = run_here("compare", data / "images", data / "masks", "-o", tmp_path / "out", *words, status=1)
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_output_is_another_folder(data):
    result = run_here("compare", data / "images", data / "masks", "-o", data / "images", status=1)
    assert "--output must be another folder than that of" in result.stderr
