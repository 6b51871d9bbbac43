"""`flowseg.learning_curve`: training sets, the fit and its intervals, resuming, the page, and bad input."""

import re
from dataclasses import replace

import numpy as np
import pytest
from test_compare import SMALL, Page

import flowseg
from flowseg import FlowSegmenter, synthetic
from flowseg._compare.candidates import AS_IS, Candidate
from flowseg._compare.differences import Difference
from flowseg._compare.inputs import make_plan
from flowseg._compare.run import run
from flowseg._curve.chart import draw_chart
from flowseg._curve.estimates import FURTHEST, Prediction, estimate_curve, measure_scatter
from flowseg._curve.plan import extend_plan
from flowseg._curve.power_law import fit_power_law
from flowseg._curve.result import SegmenterCurve, make_curve
from flowseg._curve.sentence import DEFAULT_STEPS, FEWEST_TO_HOLD_OUT, answer, describe_gain, expected_at, remarks
from flowseg._curve.train_sizes import as_train_sizes, order_images
from flowseg._segmenters.fitting.annotation_checks import warn_of_components
from flowseg._segmenters.fitting.compare_models import warn_of_no_comparison

SIZES = np.array([2, 4, 8, 16])


class Learner(FlowSegmenter):
    """A segmenter without a network: it finds a share of the true objects that grows with its training images."""

    truth = {}  # masks by image
    n_fits = 0
    stop_at = None  # fit that is interrupted

    def fit(self, images, masks, *, callbacks=()):
        Learner.n_fits += 1
        if Learner.n_fits == Learner.stop_at:
            raise KeyboardInterrupt
        assert any((labels > 0).any() for labels in masks)
        self.n_seen = len(images)
        return self

    def predict(self, images):
        share = 0.95 - 0.6 * self.n_seen ** -(self.diameter / 100)
        found = []
        for image in images:
            masks = Learner.truth[image.tobytes()]
            kept = np.random.default_rng(masks.sum()).random(masks.max() + 1) < share
            found.append(np.where(kept[masks], masks, 0).astype(np.int32))
        return found


@pytest.fixture(scope="module")
def data():
    """Twenty-four images, two of each field."""
    images, masks = zip(*[synthetic.cells((64, 64), 12, diameter=9, rng=seed) for seed in range(24)], strict=True)
    Learner.truth = {np.asarray(x)[..., None].tobytes(): m for x, m in zip(images, masks, strict=True)}
    return list(images), list(masks), [f"field {k // 2}" for k in range(24)]


@pytest.fixture
def learners():
    Learner.n_fits, Learner.stop_at = 0, None
    return {"slow": Learner(diameter=30.0), "quick": Learner(diameter=70.0)}


def make(data, segmenters, train_sizes=None, seed=0, **options):
    images, masks, groups = data
    return extend_plan(make_plan(segmenters, images, masks, groups, options.get("cv", 3), None), train_sizes, seed)


def test_default_sizes_are_halves():
    assert as_train_sizes(None, 26) == [3, 6, 13, 26]
    assert as_train_sizes(None, 4) == [1, 2, 4]
    assert as_train_sizes(None, 1) == [1]
    assert as_train_sizes([8, 2, 8], 9) == [2, 8]
    assert as_train_sizes(np.array([0.1, 0.5, 1.0]), 26) == [3, 13, 26]


def test_training_sets_are_nested_and_never_share_a_group_with_the_test(data, learners):
    plan = make(data, learners)
    groups = np.array(plan.groups)
    assert plan.train_sizes == [2, 4, 8, 16]
    by_key = {trial.key: trial for trial in plan.trials()}
    assert len(by_key) == len(plan.trials()) == 3 * 4 * 2
    for fold, test in enumerate(plan.folds):
        sets = [[*by_key[plan.key(fold, n, k)].train] for n in plan.train_sizes for k in range(2)]
        assert sets[::2] == sets[1::2]
        for small, large in zip(sets[:-2:2], sets[2::2], strict=True):
            assert large[: len(small)] == small
        assert {*groups[sets[-1]]}.isdisjoint(groups[test])
        assert len({*groups[sets[2]]}) == 2  # four images: both of each field
        assert len({*sets[-1]}) == 16
    assert [*make(data, learners, seed=1).orders[0]] != [*plan.orders[0]]
    assert [*make(data, learners).orders[0]] == [*plan.orders[0]]


def test_the_first_training_image_has_objects():
    groups, has_objects = np.repeat(np.arange(8), 3), np.arange(24) == 13
    for seed in range(5):
        order = order_images(np.arange(24), groups, has_objects, np.random.default_rng(seed))
        assert order[0] == 13
        assert {*order[:3]} == {12, 13, 14}
        assert sorted(order) == [*range(24)]
        assert all(len({*groups[order[k : k + 3]]}) == 1 for k in range(0, 24, 3))


def test_each_trial_trains_on_its_images_and_tests_on_its_fold(data, learners, monkeypatch):
    plan, fits, tests = make(data, learners), [], []
    monkeypatch.setattr(Learner, "fit", lambda self, images, masks, callbacks=(): fits.append((images, masks)))
    monkeypatch.setattr(Learner, "predict", lambda self, images: tests.append(images) or [np.zeros((64, 64), int)] * 8)
    monkeypatch.setattr(Candidate, "copy_to_fit", lambda self: self.segmenter)
    run(plan, None, None)
    for trial, (images, masks), tested in zip(plan.trials(), fits, tests, strict=True):
        assert [*map(id, images)] == [id(plan.images[i]) for i in trial.train]
        assert [*map(id, masks)] == [id(plan.masks[i]) for i in trial.train]
        assert [*map(id, tested)] == [id(plan.images[i]) for i in trial.test]


def test_a_result_of_learners(data, learners):
    images, masks, groups = data
    result = flowseg.learning_curve(learners, images, masks, groups=groups)
    quick, slow = result.curves
    assert (quick.name, slow.name) == ("quick", "slow")
    assert quick.train_sizes.tolist() == [2, 4, 8, 16]
    assert quick.train_objects.shape == (4, 3)
    assert np.all(np.diff(quick.train_objects, axis=0) > 0)
    assert quick.test_scores.shape == (4, 3, 3)
    assert np.all((quick.interval[..., 0] < quick.precision) & (quick.precision < quick.interval[..., 1]))
    for curve, exponent in ((quick, 0.7), (slow, 0.3)):
        expected = 0.95 - 0.6 * 32.0**-exponent
        low, high = curve.prediction.interval[-1, 0]
        assert curve.prediction.n_images[-1] == 32
        assert low <= expected <= high
        assert abs(curve.prediction.precision[-1, 0] - expected) < 0.06
    assert "wice as many annotated images (32 instead of 16)" in result.sentence
    assert any("With all of them, the curve gives about" in line for line in result.remarks)
    table = result.per_image
    assert {len(column) for column in table.values()} == {24 * 4 * 2}
    chosen = [k for k, (n, name) in enumerate(zip(table["train_images"], table["segmenter"], strict=True))
              if (n, name) == (8, "slow")]  # fmt: skip
    tp, fp, fn = (sum(table[name][k] for k in chosen) for name in ("tp", "fp", "fn"))
    assert slow.precision[2, 0] == tp / (tp + fp + fn)


def test_a_segmenter_that_is_used_as_it_is_has_no_sizes(data, learners):
    plan = make(data, learners)
    fitted = Learner(diameter=70.0)
    fitted.n_seen = 3
    plan = replace(plan, candidates=[Candidate("ready", fitted, AS_IS), plan.candidates[0]])
    assert len(plan.trials()) == 3 * (1 + 4)
    found = make_curve(plan, run(plan, None, None))
    as_it_is = next(curve for curve in found.curves if curve.name == "ready")
    assert as_it_is.train_sizes.tolist() == [0]
    assert as_it_is.train_objects.tolist() == [[0, 0, 0]]
    assert as_it_is.prediction is None
    assert as_it_is.n_steps == 0
    assert any(line.startswith("ready is a model that was trained before") for line in found.remarks)
    assert found.sentence.startswith("No training on up to 16 images was clearly better than ready")
    assert draw_chart([as_it_is]) == ""
    assert draw_chart(found.curves).count('<line class="line ') == 1


def test_it_continues_after_an_interruption(data, learners, tmp_path):
    images, masks, groups = data
    whole = flowseg.learning_curve(learners, images, masks, groups=groups)
    Learner.n_fits, Learner.stop_at = 0, 6
    with pytest.raises(KeyboardInterrupt):
        flowseg.learning_curve(learners, images, masks, groups=groups, folder=tmp_path)
    assert len(list(tmp_path.glob("fold-1-images-*"))) == 5
    result = flowseg.learning_curve(learners, images, masks, groups=groups, folder=tmp_path)
    assert Learner.n_fits == 6 + 24 - 5
    assert result.sentence == whole.sentence
    assert result.per_image == whole.per_image
    for change in ({"train_sizes": [4, 8]}, {"random_state": 1}):
        with pytest.raises(ValueError, match=r"same learning curve; the sizes of training sets are not the same\.$"):
            flowseg.learning_curve(learners, images, masks, groups=groups, folder=tmp_path, **change)


@pytest.mark.parametrize("exponent", [0.0, 0.3, 1.0, 2.0])
def test_a_power_law_is_found_again(exponent):
    x = SIZES / 16
    grown = np.log(x) if exponent == 0 else (1 - x**-exponent) / exponent
    slopes = np.array([0.05, 0.01])
    law = fit_power_law(SIZES, 0.6 + slopes[:, None] * grown)
    assert np.allclose(law.exponent, exponent)
    assert np.allclose(law.slope, slopes)
    twice = np.log(2) if exponent == 0 else (1 - 2.0**-exponent) / exponent
    assert np.allclose(law.predict(np.array([16.0, 32.0])), np.stack([np.full(2, 0.6), 0.6 + slopes * twice], axis=1))


def test_the_fit_is_the_best_of_all_curves():
    rng = np.random.default_rng(0)
    values = 0.5 + 0.1 * np.log(SIZES) + rng.normal(0, 0.05, (50, 4))
    weights = np.array([1, 2, 3, 4]) / 10

    def errors(curves):
        return ((values - curves) ** 2) @ weights

    law = fit_power_law(SIZES, values)
    fitted = law._replace(at_largest=law.at_largest - 0.3)  # no value is cut off at 1
    least = errors(fitted.predict(SIZES.astype(float)) + 0.3)
    for _ in range(20):
        other = fitted._replace(
            at_largest=fitted.at_largest + rng.normal(0, 0.01, 50),
            slope=np.abs(fitted.slope + rng.normal(0, 0.01, 50)),
            exponent=np.round(rng.uniform(0, 2, 50), 1),
        )
        assert np.all(errors(other.predict(SIZES.astype(float)) + 0.3) >= least - 1e-12)


def test_a_falling_curve_is_level_and_none_leaves_0_to_1():
    law = fit_power_law(SIZES, np.array([[0.8, 0.7, 0.6, 0.5], [0.1, 0.4, 0.7, 0.98]]))
    assert law.slope[0] == 0
    assert np.isclose(law.at_largest[0], (0.8 + 1.4 + 1.8 + 2.0) / 10)
    assert law.predict(np.array([32.0]))[1, 0] == 1


def test_scatter_is_what_fold_and_size_do_not_explain():
    rng = np.random.default_rng(0)
    fold, size = rng.random((1, 3, 3)), rng.random((4, 1, 3))
    assert np.allclose(measure_scatter(fold + size), 0)
    scatter = [measure_scatter(fold + size + rng.normal(0, 0.1, (4, 3, 3))) ** 2 for _ in range(400)]
    assert np.isclose(np.mean(scatter), 0.1**2 / 3, rtol=0.1)


def simulate(curve, rng, n_images=40, n_folds=3, noise=0.02):
    """Counts of trainings whose true average precision is known, of objects that are hard in some images."""
    difficulty, n_objects = rng.normal(0, 0.5, n_images), rng.poisson(20, n_images) + 1
    folds = [np.arange(k, n_images, n_folds) for k in range(n_folds)]
    counts = np.zeros((len(SIZES), n_images, 3, 3), dtype=np.int64)
    for s, n in enumerate(SIZES):
        for test in folds:
            odds = np.log(curve(n) / (1 - curve(n))) + difficulty[test] + rng.normal(0, noise) / 0.2
            tp = rng.binomial(n_objects[test], 1 / (1 + np.exp(-odds)))
            counts[s, test] = np.stack([tp, 0 * tp, n_objects[test] - tp], axis=-1)[:, None]
    return counts, folds


@pytest.mark.parametrize("curve", [lambda n: 0.9 - 0.6 * n**-0.5, lambda n: 0.4 + 0.09 * np.log(n), lambda n: 0.7])
def test_intervals_hold_the_true_gain(curve, monkeypatch):
    monkeypatch.setattr("flowseg._report.bootstrap.RESAMPLES", 300)
    rng, n_held, n_trials = np.random.default_rng(0), 0, 25
    spread = 1 / (1 + np.exp(-(np.log(1 / (1 / np.array([curve(16), curve(32)]) - 1))[:, None]
                              + rng.normal(0, 0.5, 20000))))  # fmt: skip
    gain = np.diff(spread.mean(axis=1))[0]
    for _ in range(n_trials):
        counts, folds = simulate(curve, rng)
        found = estimate_curve(SIZES, counts, np.arange(40), folds)
        low, high = found.prediction.gain_interval[0]
        n_held += low - 1e-9 <= gain <= high
    assert n_held >= 0.84 * n_trials  # of 95 %, fewer happen once in a hundred times


def curve_of(gain, low, high, name="flows", way="trained on each fold", sizes=SIZES):
    points = np.array([2.0, 16.0, FURTHEST * 16])
    values = np.array([0.4, 0.7, 0.7 + gain])[:, None].repeat(3, axis=1)
    ends = np.stack([values - 0.05, values + 0.05], axis=-1)
    prediction = Prediction(
        points, values, ends, np.full(3, 0.5), np.full(3, gain), np.array([[low, high]]).repeat(3, axis=0)
    )
    n = len(sizes)
    scores = np.linspace(0.4, 0.7, n)[:, None, None] + np.zeros((n, 3, 3))
    interval = np.stack([scores[:, 0] - 0.05, scores[:, 0] + 0.05], axis=-1)
    objects = np.array(sizes)[:, None].repeat(3, axis=1) * 10
    return SegmenterCurve(
        name,
        way,
        np.array(sizes),
        objects,
        scores,
        scores[:, 0],
        interval,
        prediction if n > 2 else None,
        200,
        9.0,
        1.0,
    )


def test_the_answer_in_words():
    clear = curve_of(0.05, 0.02, 0.08)
    assert answer([clear], [], 20) == (
        "Twice as many annotated images (32 instead of 16) would raise average precision at IoU 0.5 with flows from "
        "0.70 to about 0.75; the gain is 0.02 to 0.08."
    )
    assert answer([clear], [], 5).startswith("The data are too few to know: 5 independent images or fields of view")
    for low, high in ((0.0, 0.08), (0.02, 0.15)):
        assert describe_gain(curve_of(0.05, low, high)) == (
            "The data are too few to know what twice as many annotated images (32 instead of 16) would give: average "
            f"precision at IoU 0.5 with flows is about 0.70, and the gain may be {low:.2f} to {high:.2f}."
        )
    assert describe_gain(curve_of(0.01, 0.0, 0.03)) == (
        "Twice as many annotated images (32 instead of 16) would raise average precision at IoU 0.5 with flows by 0.03 "
        "at most; it is about 0.70."
    )
    assert describe_gain(curve_of(0.05, 0.02, 0.08, sizes=[8, 16])).startswith("The data are too few to know: a curve")
    as_it_is = curve_of(0.0, 0.0, 0.0, "nuclei", "used as it is", sizes=[0])
    assert answer([as_it_is], [], 20) == "Nothing was trained: average precision at IoU 0.5 with nuclei is 0.40."
    pair = Difference("flows", "nuclei", np.full(3, 0.3), np.array([[0.2, 0.4]] * 3), 9, 1, 0)
    assert answer([clear, as_it_is], [pair], 20) == answer([clear], [], 20)
    unclear, worse = pair._replace(interval=-np.array([[0.4, -0.1]] * 3)), pair._replace(first="nuclei", second="flows")
    for other in (unclear, worse):
        assert answer([as_it_is, clear], [other], 20) == (
            "No training on up to 16 images was clearly better than nuclei: average precision at IoU 0.5 is 0.40, and "
            "0.70 with flows."
        )
        assert describe_gain(clear) in remarks([as_it_is, clear], [other], 20, 24, 3)
    assert np.isclose(expected_at(clear.prediction, 16), 0.7)


def test_what_to_know_beside_the_answer():
    clear, further = curve_of(0.05, 0.02, 0.08), curve_of(0.01, 0.0, 0.02, "nuclei", "trained further on each fold")
    pair = Difference("flows", "nuclei", np.full(3, 0.1), np.array([[0.05, 0.15]] * 3), 9, 1, 0)
    lines = remarks([clear, further], [pair], 20, 24, 3)
    assert lines[0] == describe_gain(further)
    assert "With 16 training images, flows is better than nuclei by 0.10, 0.05 to 0.15." in lines
    assert "Of the 24 images, a training had at most 16, as the others are for testing. With all of them" in lines[2]
    assert any("took 200 steps, however many images it had" in line for line in lines)
    assert "Trainings were shorter than by default (2000 steps). Longer ones may gain more from more images." in lines
    assert not any("shorter" in line for line in remarks([clear._replace(n_steps=2000)], [], 20, 24, 3))
    default = FlowSegmenter()
    assert default.epochs * default.steps_per_epoch == DEFAULT_STEPS
    assert next(n for n in range(1, 20) if round(default.validation_fraction * n)) == FEWEST_TO_HOLD_OUT
    assert any("nuclei is a model that was trained before." in line for line in lines)
    assert any(line.startswith("With fewer than 6 images there are no validation images") for line in lines)
    assert not any("no validation images" in line for line in remarks([clear], [], 20, 24, 3))
    unclear = pair._replace(interval=np.array([[-0.05, 0.15]] * 3))
    assert "flows and nuclei are not clearly different: 0.10, -0.05" in " ".join(remarks([clear], [unclear], 20, 40, 3))
    assert "With all of them" not in " ".join(remarks([clear], [], 20, 40, 3))  # beyond twice the largest


def test_the_page(data, tmp_path):
    images, masks, groups = data
    named = {"<b>slow": Learner(diameter=30.0), "quick": Learner(diameter=70.0)}
    result = flowseg.learning_curve(named, images, masks, groups=groups, names=[f"<i>{k}&" for k in range(24)])
    result.save_report(tmp_path / "page.html")
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    page = Page()
    page.EMPTY = (*Page.EMPTY, "line", "polyline", "polygon", "circle")
    page.feed(text)
    assert page.open == []
    assert page.text[0] == result.sentence
    assert page.addresses
    assert all(address.startswith("data:") for address in page.addresses)
    assert not re.search(r"<script|<b>slow|<i>|\{\{|nan", text)
    quick = result.curves[0]
    row = page.text.index("quick")  # in the legend
    assert page.text[row + 1] == "<b>slow"
    start = page.text.index("Predicted")
    row = page.text.index("quick", start)
    assert page.text[row + 1] == "32"
    assert page.text[row + 2].startswith(f"{quick.prediction.precision[-1, 0]:.3f} (")
    row = page.text.index("quick (trained on each fold)")
    assert page.text[row + 1] == "2"
    assert page.text[row + 3].startswith(f"{quick.precision[0, 0]:.3f} (")
    points = [tuple(map(float, p.split(","))) for line in re.findall(r'points="([^"]*)"', text) for p in line.split()]
    assert all(-8 <= x <= 720 and -8 <= y <= 400 for x, y in points)
    assert text.count('class="fold ') == 2 * 4 * 3


def test_points_of_the_chart_are_where_the_scores_are():
    chart = draw_chart([curve_of(0.05, 0.02, 0.08)])
    rows = dict(re.findall(r'y="([\d.]+)" text-anchor="end">([\d.]+)<', chart))
    places = sorted((float(value), float(row) - 4) for row, value in rows.items())
    (low, bottom), (high, top) = places[0], places[-1]
    scores = np.array([0.4, 0.5, 0.6, 0.7])
    drawn = [float(y) for y in re.findall(r'class="fold s0" cx="[\d.]+" cy="([\d.]+)"', chart)][::3]
    assert np.allclose(drawn, bottom + (scores - low) / (high - low) * (top - bottom), atol=0.2)
    columns = [float(x) for x in re.findall(r'class="fold s0" cx="([\d.]+)"', chart)][::3]
    assert np.allclose(np.diff(columns), columns[1] - columns[0], atol=0.2)  # doublings are equally far apart
    assert ">about 320<" in chart


ONE = FlowSegmenter(**SMALL)
ARGUMENTS = ("segmenters", "groups", "cv", "train_sizes", "random_state", "verbose", "folder")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"n": 1}, "images must be at least 2, to train on some and to test on others; got 1."),
        ({"groups": ["a"] * 4}, "groups must name at least 2 fields of view"),
        ({"groups": list("aabb"), "cv": 3}, "cv must be at most the number of groups of images, 2; got 3."),
        ({"n": 2}, "cv must be at most the number of groups of images, 2; got 3."),
        ({"train_sizes": [2, 3]}, "train_sizes must be at most 2, the images that every fold has for training; got 3."),
        ({"train_sizes": [0]}, "train_sizes must be an integer of at least 1; got 0."),
        ({"train_sizes": [1.5]}, "train_sizes must be a number above 0 and at most 1; got 1.5."),
        ({"train_sizes": [True]}, "train_sizes must be a number above 0 and at most 1; got True."),
        ({"train_sizes": ["2"]}, "train_sizes must be a number above 0 and at most 1; got '2'."),
        ({"train_sizes": []}, "train_sizes must be a sequence of numbers of images (integers)"),
        ({"train_sizes": 4}, "train_sizes must be a sequence of numbers of images (integers)"),
        ({"random_state": -1}, "random_state must be an integer of at least 0; got -1."),
        ({"segmenters": {}}, "segmenters must be at least one segmenter with its name; got none."),
        ({"verbose": -1}, "verbose must be an integer of at least 0; got -1."),
        ({"folder": 3}, "folder must be a path; got 3."),
        ({"empty": [0, 1, 2, 3]}, "masks must hold an object in every fold; the test images of fold 1 (image "),
        ({"constant": True, "cv": 2}, "images[2] must not be constant where masks[2] holds objects; got 1.0 in all"),
        ({"binary": True, "cv": 2}, "masks must number the objects of each image 1, 2, 3, ...; got one label only"),
        ({"empty": [0, 3]}, "masks must hold an object in every fold; the test images of fold "),
    ],
)  # fmt: skip
def test_bad_input(data, change, sentence):
    n = change.get("n", 4)
    images, masks = (list(part[:n]) for part in data[:2])
    for k in change.get("empty", ()):
        masks[k] = np.zeros_like(masks[k])
    if change.get("constant"):
        images[2] = np.ones_like(images[2])
    if change.get("binary"):
        masks = [(labels > 0).astype(int) if k else labels for k, labels in enumerate(masks)]
    arguments = {"segmenters": {"a": ONE}} | {k: v for k, v in change.items() if k in ARGUMENTS}
    with pytest.raises((TypeError, ValueError)) as error:
        flowseg.learning_curve(arguments.pop("segmenters"), images, masks, **arguments)
    assert sentence in str(error.value)


def test_warnings_of_trainings_are_given_once(data, learners, monkeypatch):
    images, masks = list(data[0][:4]), list(data[1][:4])
    masks[0] = masks[0].copy()
    masks[0][:6, :6] = masks[0][-6:, -6:] = masks[0].max() + 1

    def fit(self, images, masks, callbacks=()):
        warn_of_components(masks, stacklevel=2)
        warn_of_no_comparison(warm_start=True, n_held_out=0)
        self.n_seen = len(images)

    monkeypatch.setattr(Learner, "fit", fit)
    monkeypatch.setattr(Learner, "predict", lambda self, images: [np.zeros((64, 64), np.int32) for _ in images])
    with pytest.warns(UserWarning, match="of several connected components") as found:
        flowseg.learning_curve({"slow": learners["slow"]}, images, masks, cv=2)
    assert len(found) == 1
