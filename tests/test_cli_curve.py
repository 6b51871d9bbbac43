"""`flowseg curve`."""

import json

import numpy as np
import pytest
from cli_tools import run_here
from test_cli_compare import data  # noqa: F401 (a fixture: four images of two fields)
from test_learning_curve import Learner

import flowseg
from flowseg._nets.training.progress import StepProgress
from flowseg.cli._comparison.inputs import make_curve_segmenters

CURVE = ("--cv", 2, "--group-by", "field[0-9]")


class SteppingLearner(Learner):
    """As it, with steps that can be measured."""

    def fit(self, images, masks, *, callbacks=()):
        for callback in callbacks:
            for k in range(6 if isinstance(callback, StepProgress) else 0):
                callback.on_train_batch_end(k)
        return super().fit(images, masks)


@pytest.fixture
def learners(data, monkeypatch):  # noqa: F811
    """Segmenters without networks take the place of those that the options ask for."""
    asked = []
    files = sorted((data / "images").iterdir())
    images = [flowseg.io.read_image(file)[..., None] for file in files]
    masks = [flowseg.io.read_masks(data / "masks" / file.name) for file in files]
    Learner.truth = {np.ascontiguousarray(x).tobytes(): m for x, m in zip(images, masks, strict=True)}
    Learner.n_fits, Learner.stop_at = 0, None

    def make(parameters, n_channels, *, further):
        asked.append((parameters, n_channels, further))
        return {"slow": SteppingLearner(diameter=30.0 + parameters["random_state"], epochs=parameters["epochs"])}

    monkeypatch.setattr("flowseg.cli._curve.make_curve_segmenters", make)
    return asked


def test_a_curve_and_the_same_again(data, learners, tmp_path):  # noqa: F811
    output = tmp_path / "out"
    words = ("curve", data / "images", data / "masks", "-o", output, *CURVE)
    first = run_here(*words)
    assert learners == [({"epochs": 3, "batch_size": 4, "crop_size": 96, "random_state": 0}, 1, True)]
    assert "expected time: " in first.stderr
    assert "fold 2 of 2, slow, 1 image: trained in 0 s, segmented 2 images in 0 s, 0 s left" in first.stderr
    assert first.stdout.startswith("The data are too few to know: 2 independent")
    assert f"page: {output / 'curve.html'}" in first.stdout
    n_fits = Learner.n_fits
    again = json.loads(run_here(*words, "--json").stdout)
    assert Learner.n_fits == n_fits == 4
    assert json.loads((output / "curve.json").read_text()) == again
    (curve,) = again["curves"]
    assert [size["images"] for size in curve["sizes"]] == [1, 2]
    assert curve["predicted"] is None
    assert len(again["per_image"]) == 4 * 2
    assert (output / "curve.html").read_text(encoding="utf-8").count("The data are too few to know") == 1
    other = run_here(*words, "--seed", 1, status=1)
    assert "the segmenter 'slow' is not the same" in other.stderr


def test_a_prediction_in_text_and_document(data, learners, tmp_path):  # noqa: F811
    words = ("curve", data / "images", data / "masks", "--cv", 4, "--train-sizes", "0.1,2,3")
    text = run_here(*words, "-o", tmp_path / "text").stdout.splitlines()
    assert [line.split()[:2] for line in text if line.startswith("slow")] == [["slow", n] for n in "1236"]
    assert [line.endswith("predicted") for line in text if line.startswith("slow")] == [False, False, False, True]
    predicted = json.loads(run_here(*words, "-o", tmp_path / "json", "--json").stdout)["curves"][0]["predicted"]
    assert predicted["images"] == 6
    assert predicted["curve"][-1]["images"] == 6
    assert {"0.5", "0.75", "0.9"} == {*predicted["gain"]} == {*predicted["gain_interval"]}


def test_an_interruption_says_how_to_go_on(data, learners, tmp_path):  # noqa: F811
    Learner.stop_at = 3
    words = ("curve", data / "images", data / "masks", "-o", tmp_path / "out", *CURVE)
    stopped = run_here(*words, status=None)
    assert stopped.returncode != 0
    assert "the same command continues after the last finished training in " in stopped.stderr
    assert len(list((tmp_path / "out").glob("fold-*"))) == 2
    Learner.stop_at = None
    assert "2 of 4 results are there already and are used" in run_here(*words).stderr


def test_segmenters_of_the_options():
    parameters = {"epochs": 3, "batch_size": 4, "random_state": 0, "filters": [4, 8]}
    found = make_curve_segmenters(parameters, 1, further=True)
    assert [*found] == ["flows from scratch", "nuclei without training", "nuclei trained further"]
    further = found["nuclei trained further"]
    assert further.warm_start
    assert (further.epochs, further.batch_size) == (3, 4)
    assert len(further.filters) == 5  # those of the model
    assert [*make_curve_segmenters(parameters, 1, further=False)] == ["flows from scratch", "nuclei without training"]
    names = ["flows from scratch", "tissue without training", "tissue trained further"]
    assert [*make_curve_segmenters(parameters, 3, further=True)] == names
    assert [*make_curve_segmenters(parameters, 2, further=True)] == ["flows from scratch"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--group-by", "field"), "--group-by must name at least 2 fields of view"),
        (("--cv", 5), "--cv must be at most the number of groups of images, 4; got 5."),
        (("--train-sizes", "1,3", "--cv", 2), "--train-sizes must be at most 2, the images that every fold has"),
        (("--train-sizes", "few"), "--train-sizes must be numbers with commas between, such as 4,8,16 or 0.5,1.0; got"),
        (("--train-sizes", "0"), "--train-sizes must be an integer of at least 1; got 0."),
        (("--train-sizes", "0.0"), "--train-sizes must be a number above 0 and at most 1; got 0.0."),
        (("--seed", -1), "--seed must be "),
    ],
)
def test_bad_input(data, learners, tmp_path, words, sentence):  # noqa: F811
    result = run_here("curve", data / "images", data / "masks", "-o", tmp_path / "out", *words, status=1)
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
