"""What decides between two ways on a few images: the jackknife and the rule of one standard error."""

import sys
import types
import warnings
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest

from flowseg._nets.lattice import PixelShape
from flowseg._nets.sizes import Sizes
from flowseg._nets.tiles import Grid
from flowseg._nets.training.known_objects import KnownObjects
from flowseg._segmenters.codecs.codec import Codec, Outputs
from flowseg._segmenters.fitted import Fitted, FixedParameters
from flowseg._segmenters.fitting import choose_decoding as choices
from flowseg._segmenters.fitting import train_and_choose as training
from flowseg._segmenters.fitting.choose_decoding import choose_decoding
from flowseg._segmenters.fitting.compare_models import REPORTED_THRESHOLDS, keep_the_better, warn_of_no_comparison
from flowseg._segmenters.fitting.pairs import Pairs
from flowseg._segmenters.fitting.train_and_choose import Plan
from flowseg._segmenters.learned_decoding import choose_thresholds as thresholds
from flowseg._segmenters.learned_decoding.choose_thresholds import (
    SCORE_FOLDS,
    SCORE_THRESHOLDS,
    _nearest_of_the_best,
    choose_score_threshold,
    choose_thresholds,
)
from flowseg._segmenters.learned_decoding.find_objects import Decoding
from flowseg._segmenters.learned_decoding.jackknife_scores import best_iou, is_judged, score_found, standard_error
from flowseg._segmenters.learned_decoding.learn_decoding import LEAST_OBJECTS
from flowseg._segmenters.learned_decoding.thresholds import (
    GivenThresholds,
    Thresholds,
    check_thresholds,
    read_thresholds,
)
from flowseg._segmenters.pipeline import Pipeline, PredictionSettings


def with_each_left_out(values):
    """A `Score` that is the mean of one value per image."""
    values = np.asarray(values, float)
    return np.array([values.mean(), *((values.sum() - values) / (values.size - 1))])


class TestStandardError:
    @pytest.mark.parametrize("n", [2, 3, 10])
    def test_of_a_mean_it_is_the_usual_one(self, n):
        values = np.random.default_rng(n).normal(size=n)
        expected = values.std(ddof=1) / np.sqrt(n)
        assert standard_error(with_each_left_out(values)) == pytest.approx(expected)

    def test_about_the_mean_of_what_is_left(self):
        scores = np.array([0.9, 0.1, 0.2, 0.6])  # not a mean of anything
        assert standard_error(scores) == pytest.approx(np.sqrt(2 / 3 * np.sum((scores[1:] - 0.3) ** 2)))

    def test_of_rows(self):
        rows = np.stack([with_each_left_out([1, 2, 4]), with_each_left_out([5, 5, 5])])
        assert standard_error(rows) == pytest.approx([np.std([1, 2, 4], ddof=1) / np.sqrt(3), 0])

    def test_of_one_image(self):
        found = standard_error(np.array([[0.5, 0.0], [0.6, 0.0], [0.7, 0.0]]))
        assert np.isinf(found).all()
        assert found.shape == (3,)
        assert np.isinf(standard_error(np.array([0.5, 0.0])))
        assert standard_error(np.array([0.5, 0.0])).shape == ()


class TestScores:
    def test_of_all_and_without_each(self):
        iou = [np.array([0.95, 0.8, 0.1]), np.array([0.5]), np.array([])]
        n_true = np.array([2, 3, 1])

        def plain(chosen):
            found = np.concatenate([iou[k] for k in chosen])
            n = n_true[chosen].sum()
            return np.mean([(h := np.sum(found >= t)) / (n + found.size - h) for t in (0.5, 0.75, 0.9)])

        expected = [plain([0, 1, 2]), plain([1, 2]), plain([0, 2]), plain([0, 1])]
        assert score_found(iou, n_true) == pytest.approx(expected)

    def test_of_nothing(self):
        assert score_found([np.array([])] * 2, np.array([0, 0])).tolist() == [0, 0, 0]

    def test_of_one_object(self):
        assert score_found([np.array([0.95])], np.array([1])).tolist() == [1, 0]

    def test_best_iou_of_three_quarters(self):
        true, found = np.array([[1, 1, 1, 1, 2, 2]]), np.array([[1, 1, 1, 2, 2, 2]])
        assert best_iou(true, found).tolist() == [0.75, 2 / 3]

    def test_halves_of_two_objects(self):
        true, found = np.array([[1, 1, 2, 2]]), np.array([[1, 2, 3, 4]])
        below = np.nextafter(0.5, 0)
        assert best_iou(true, found).tolist() == [0.5, below, 0.5, below]

    def test_objects_on_pixels_to_ignore(self):
        true = np.array([[-1, -1, -1, 0, 1, 1]])
        assert is_judged(true, np.array([[1, 1, 2, 2, 3, 3]])).tolist() == [False, True, True]


class TestRule:
    """The choice nearest to the default of those within one standard error of the best."""

    @staticmethod
    def choose(lead):
        """Default and best, ahead by ``lead`` standard errors."""
        gain = np.random.default_rng(0).normal(size=8)
        gain += lead * gain.std(ddof=1) / np.sqrt(8) - gain.mean()
        scores = np.stack([with_each_left_out(np.zeros(8)), with_each_left_out(gain)])
        return _nearest_of_the_best([(0, "default"), (1, "best")], scores)

    @pytest.mark.parametrize(
        ("lead", "chosen"), [(0.5, "default"), (0.95, "default"), (1.05, "best"), (1.5, "best"), (3.0, "best")]
    )
    def test_one_standard_error(self, lead, chosen):
        assert self.choose(lead) == chosen

    def test_the_best_is_that_of_all_images(self):
        default, best = np.full(11, 0.5), np.full(11, 0.9)
        default[1], best[1] = 0.9, 0.89  # not that without the first
        default[2:] = 0.49
        assert _nearest_of_the_best([(0, "default"), (1, "best")], np.stack([default, best])) == "best"

    def test_a_default_that_is_as_good(self):
        assert _nearest_of_the_best([(2, "b"), (0, "a"), (1, "c")], np.ones((3, 4))) == "a"


class FakeCodec(Codec):
    """A codec whose outputs are masks, and that notes what it is to learn on top of."""

    n_outputs, vectors, loss_name, output_names = 1, None, "none", ("masks",)

    def __init__(self):
        self.learned = []

    def encode(self, masks, *, workers):
        return masks

    def no_objects(self, shape):
        return np.zeros(shape, np.float32)

    def foreground(self, outputs):
        return outputs

    def decode(self, outputs, learned):
        return outputs.array

    def learn(self, outputs, masks, before, *, diameter):
        self.learned.append(before)
        return LEARNED


KNOWN, LEARNED = Decoding(Thresholds(min_size=1)), Decoding(Thresholds(min_size=2))


def trained(name="network", *, sizes=None, **changes):
    """What might have been learned, with a name for a network."""
    fitted = Fitted(
        network=name,
        grid=Grid((2, 2), (8, 8)),
        sizes=sizes or Sizes(24.0, False, 10.0, 40.0),
        diameter=12.0,
        history={"loss": [3.0]},
        least_sharpness=1.5,
        fixed=FixedParameters("unet", 1, (8, 16), "auto"),
    )
    return replace(fitted, **changes)


def settings(codec=None, estimate="auto"):
    return PredictionSettings(codec or FakeCodec(), None, estimate, False)


def pairs_of(images, masks):
    return Pairs(images, masks, [KnownObjects(m) for m in masks], [None] * len(masks))


def many(n):
    return np.arange(n).reshape(1, n) + 1


class TestChooseDecoding:
    @staticmethod
    def choose(monkeypatch, gain, masks, *, keep=False, estimate="auto"):
        """What is chosen where estimates gain so much, and what was known when decoding was learned."""
        monkeypatch.setattr(choices, "gain_of_estimates", lambda *_: gain)
        codec = FakeCodec()
        pipeline = Pipeline(trained(decoding=KNOWN), settings(codec, estimate))
        chosen = choose_decoding(pipeline, pairs_of([None] * len(masks), masks), keep=keep)
        assert chosen.decoding is (LEARNED if codec.learned else KNOWN)
        assert pipeline.fitted.decoding is KNOWN
        return chosen, codec.learned

    @pytest.mark.parametrize(("lead", "used"), [(-3.0, False), (0.9, False), (1.1, True), (1.9, True)])
    def test_estimates_need_one_standard_error(self, lead, used, monkeypatch):
        gain = np.random.default_rng(1).normal(size=6)
        gain += lead * gain.std(ddof=1) / np.sqrt(6) - gain.mean()
        chosen, learned = self.choose(monkeypatch, with_each_left_out(gain), [many(LEAST_OBJECTS)] * 2)
        assert chosen.sizes == Sizes(24.0, used, 10.0, 40.0)
        assert learned == [KNOWN]

    def test_it_is_the_gain_on_all_images_that_counts(self, monkeypatch):
        gain = np.array([-0.1, 9.0, -0.1, -0.1])
        assert not self.choose(monkeypatch, gain, [many(LEAST_OBJECTS)] * 2)[0].sizes.estimate

    def test_what_is_off_is_not_tried(self, monkeypatch):
        chosen, learned = self.choose(monkeypatch, np.ones(3), [many(LEAST_OBJECTS)], estimate=False)
        assert not chosen.sizes.estimate
        assert len(learned) == 1

    @pytest.mark.parametrize(("n", "keep", "learned"), [(50, False, 1), (49, False, 0), (50, True, 0), (49, True, 0)])
    def test_fifty_objects_in_one_image(self, n, keep, learned, monkeypatch):
        assert len(self.choose(monkeypatch, np.zeros(3), [many(n)], keep=keep)[1]) == learned

    def test_what_was_learned_before(self, monkeypatch):
        chosen, learned = self.choose(monkeypatch, np.zeros(3), [many(25)] * 2, keep=True)
        assert learned == [KNOWN]
        assert not chosen.sizes.estimate  # no gain, not even by chance


@pytest.mark.parametrize(
    ("start_ap", "end_ap", "before", "after", "kept"),
    [
        ((0.5, 0.4), (0.6, 0.4), [1.0], [2.0], "end"),
        ((0.5, 0.4), (0.4, 0.4), [1.0], [0.5], "start"),
        ((0.5, 0.4), (0.5, 0.4), [1.0], [0.5], "end"),  # a lower loss decides between equals
        ((0.5, 0.4), (0.5, 0.4), [1.0], [2.0], "start"),
        ((0.5, 0.4), (0.4, 0.5), [1.0], [2.0], "start"),
        ((0.5, 0.4), None, [1.0], [0.5], "start"),
        ((0.5, 0.4), (0.5, 0.4), [], [], "start"),
    ],
)
def test_what_a_training_started_from_is_kept_unless_it_is_beaten(start_ap, end_ap, before, after, kept):
    history = {"loss": [1.0], "val_loss": after, "val_loss_before": before}
    start = trained("start", trained_with={"keras": "2"})
    end = trained("end", history=history, validation_ap=end_ap, trained_with={"keras": "3"})
    better = keep_the_better(start, start_ap, end)
    assert better.network == kept
    assert better.trained_with == {"keras": "2" if kept == "start" else "3"}
    assert better.validation_ap == (start_ap if kept == "start" else end_ap)
    assert better.history["loss"] == [1.0]  # of the last training, whatever came of it
    assert better.history["val_ap_before"] == [0.5, 0.4]
    assert better.history["val_ap_after"] == list(better.validation_ap)
    if before:
        assert better.history["val_loss_after"] == (before if kept == "start" else [min(before + after)])
    assert (start.history, end.validation_ap) == ({"loss": [3.0]}, end_ap)  # neither is changed


@pytest.mark.parametrize(("warm_start", "n", "warned"), [(True, 0, True), (True, 1, False), (False, 0, False)])
def test_a_further_training_without_validation_images(warm_start, n, warned):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_no_comparison(warm_start, n)
    assert len(caught) == warned


def test_average_precision_is_reported_at_these():
    assert REPORTED_THRESHOLDS == (0.5, 0.75)


def tables(scores_by_image):
    """Tables of objects whose logits tell how good they are."""
    return [
        {
            "cellprob": np.asarray(logits, float),
            "flow_error": np.zeros(len(logits)),
            "touches_border": np.zeros(len(logits), bool),
            "diameter": np.full(len(logits), 20.0),
        }
        for logits in scores_by_image
    ]


class TestScoreThreshold:
    @pytest.mark.parametrize("right", [0.95, 0.5])
    def test_false_positives_with_low_logits(self, right):
        logits = [[4.0] * 10 + [-4.0] * 10] * 6
        iou = [np.array([right] * 10 + [0.0] * 10)] * 6
        chosen = choose_score_threshold(tables(logits), iou, np.full(6, 10), 20.0)
        assert chosen == SCORE_THRESHOLDS[1] == 0.1

    def test_too_few_images(self):
        n = SCORE_FOLDS - 1
        assert choose_score_threshold(tables([[4.0, -4.0]] * n), [np.array([0.95, 0.0])] * n, np.ones(n), 20.0) is None

    def test_every_object_is_scored_by_other_images(self):
        # In one image good objects look bad: what it says of itself would keep them.
        logits = [[4.0] * 10 + [-4.0] * 10] * 4 + [[-4.0] * 10]
        iou = [np.array([0.95] * 10 + [0.0] * 10)] * 4 + [np.full(10, 0.95)]
        assert choose_score_threshold(tables(logits), iou, np.full(5, 10), 20.0) is None


class TestThresholds:
    def test_defaults(self):
        assert vars(Thresholds()) == {
            "cellprob_threshold": 0.0, "flow_threshold": 0.4, "min_size": 15, "score_threshold": None,
        }  # fmt: skip

    @pytest.mark.parametrize(
        "values",
        [(0.0, 0.4, 15, None), ("auto",) * 4, (-1e9, None, 0, 0.0), (3.0, 0.0, 1, 1.0)],
    )
    def test_what_they_may_be(self, values):
        check_thresholds(*values)

    @pytest.mark.parametrize(
        ("values", "sentence"),
        [
            (("low", 0.4, 15, None), "cellprob_threshold must be a number or 'auto'; got 'low'"),
            ((np.inf, 0.4, 15, None), "cellprob_threshold must be a number"),
            ((0.0, -0.1, 15, None), "flow_threshold must be a number of at least 0 or None"),
            ((0.0, 0.4, -1, None), "min_size must be an integer of at least 0"),
            ((0.0, 0.4, 15, 1.1), "score_threshold must be a number of at least 0 and at most 1"),
            ((0.0, 0.4, 15, -0.1), "score_threshold must be a number of at least 0 and at most 1"),
        ],
    )
    def test_what_they_may_not(self, values, sentence):
        with pytest.raises(ValueError, match=sentence):
            check_thresholds(*values)

    @pytest.mark.parametrize("change", [{"min_size": "auto"}, {"more": 1}, {"flow_threshold": "0.4"}, {"min_size": -1}])
    def test_those_of_a_file(self, change):
        assert read_thresholds(vars(Thresholds())) == Thresholds()
        with pytest.raises(ValueError, match="thresholds must be|min_size must be"):
            read_thresholds(vars(Thresholds()) | change)


def test_each_threshold_is_chosen_where_it_counts():
    import flowseg

    masks, outputs = [], []
    for seed in range(4):
        true = flowseg.synthetic.cells((100, 100), 12, diameter=18, rng=seed)[1]
        found, cellprob = true.copy(), np.where(true > 0, 5, -5).astype(np.float32)
        free = [
            (r, c) for r in range(2, 98, 8) for c in range(2, 98, 8) if not true[r - 2 : r + 7, c - 2 : c + 7].any()
        ]
        for k, (r, c) in enumerate(free[:6]):
            found[r : r + 4, c : c + 5] = true.max() + 1 + k  # 20 pixels: more than the usual 15
            cellprob[r : r + 4, c : c + 5] = 5
        masks.append(true)
        outputs.append((flowseg.masks_to_flows(found), cellprob))
    chosen, kept = choose_thresholds(outputs, masks, GivenThresholds(), n_iter=None, workers=1)
    median = np.median(np.concatenate([np.unique(m[m > 0], return_counts=True)[1] for m in masks]))
    assert chosen.min_size > 15
    assert chosen.min_size in {int(0.05 * median), int(0.1 * median)}
    assert (chosen.cellprob_threshold, chosen.flow_threshold) == (0.0, 0.4)
    assert [values.size for values in kept.iou] == [m.max() for m in masks]


def test_what_is_tried():
    assert thresholds.CELLPROB_THRESHOLDS == (-3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3)
    assert (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1, np.inf) == thresholds.FLOW_THRESHOLDS
    assert thresholds.SIZE_SHARES == (0, 0.05, 0.1)
    assert SCORE_THRESHOLDS == (None, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    assert SCORE_FOLDS == 5
    assert LEAST_OBJECTS == 50


def test_those_nearest_to_the_default_are_tried_first():
    tried = thresholds._choices("auto", thresholds.CELLPROB_THRESHOLDS, 0.0)
    assert tried == [0, -0.5, 0.5, -1, 1, -1.5, 1.5, -2, 2, -3, 3]
    assert thresholds._choices(None, (0.1,), 0.4) == [np.inf]
    assert thresholds._choices(0.7, (0.1,), 0.4) == [0.7]


class Image(NamedTuple):
    """An image whose masks with the typical and with the estimated diameter are known."""

    typical: np.ndarray
    estimated: np.ndarray | None
    factor: float
    pixel: PixelShape


def test_the_gain_of_estimates(monkeypatch):
    """Passes return given masks; the second is not scored where it equals the first."""
    true = np.array([[1, 1, 1, 0, 2, 2, 2]])
    poor = np.array([[1, 1, 0, 0, 2, 2, 0]])

    def estimate(pipeline, image, *, bounded):
        assert bounded
        assert pipeline.fitted.decoding == Decoding()
        typical, estimated, factor, _ = image
        return Outputs(typical if estimated is None else estimated, factor)

    monkeypatch.setattr(choices, "estimate_outputs", estimate)
    monkeypatch.setattr(
        Pipeline, "prepare", lambda _, image, spacing: Image(*image, PixelShape((1.0,) * 2, 1.0, (0, 0)))
    )
    monkeypatch.setattr(Pipeline, "run_at", lambda _, image, size: Outputs(image.typical, 2.0))
    images = [(poor, true, 1.0), (true, None, 2.0), (poor, true, 2.0)]
    pairs = pairs_of(images, [true] * 3)
    gain = choices.gain_of_estimates(Pipeline(trained(decoding=KNOWN), settings()), pairs)
    scores = [
        score_found([best_iou(true, m) for m in found], np.full(3, 2))
        for found in ([true, true, poor], [poor, true, poor])
    ]
    assert gain == pytest.approx(scores[0] - scores[1])
    assert gain[0] > 0


class TestTrain:
    """All that is learned besides the weights, with a network that nobody trains."""

    PAIRS = pairs_of([np.array([[1, 1, 0, 2]])], [np.array([[1, 1, 0, 2]])])

    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch):
        machine = types.SimpleNamespace(describe_machine=lambda: {"keras": "3"})  # the real ones load Keras
        monkeypatch.setitem(sys.modules, "flowseg._nets.training.machine", machine)
        forgetting = types.SimpleNamespace(forget_training=lambda network: None)
        monkeypatch.setitem(sys.modules, "flowseg._nets.network_copies", forgetting)
        monkeypatch.setattr(training, "_train_network", lambda *_: ("new", {"loss": [1.0]}))
        monkeypatch.setattr(training, "find_grid", lambda fixed, network, lattice: f"grid of {network}")
        monkeypatch.setattr(training, "learn_least_sharpness", lambda *_: 1.8)
        monkeypatch.setattr(training, "image_diameters", lambda *_: np.array([5.0, 20.0, 30.0]))
        monkeypatch.setattr(training, "choose_working", lambda *_: 30.0)
        monkeypatch.setattr(training, "bounds_of", lambda *_: (5.0, 30.0))
        monkeypatch.setattr(training, "choose_decoding", self.choose)
        # Only the new network finds anything.
        found = {"new": 1, "old": 0}
        monkeypatch.setattr(Pipeline, "run", lambda self, image, *_: Outputs(image * found[self.fitted.network], 1.0))

    @staticmethod
    def choose(pipeline, pairs, *, keep):
        assert keep is (pipeline.fitted.decoding is KNOWN)
        return replace(pipeline.fitted, decoding=LEARNED)

    def train(self, held_out=PAIRS, start=None, codec=None):
        fixed = FixedParameters("unet", 1, (8, 16), "auto")
        return training.train(Plan(fixed, settings(codec), None, [1, 2, 3], (), None), self.PAIRS, held_out, start)

    def test_all_of_it(self):
        end = self.train()
        assert (end.network, end.grid, end.diameter) == ("new", "grid of new", 20.0)
        assert (end.sizes, end.least_sharpness) == (Sizes(30.0, False, 5.0, 30.0), 1.8)
        assert (end.decoding, end.validation_ap, end.trained_with) == (LEARNED, (1.0, 1.0), {"keras": "3"})
        assert end.history == {"loss": [1.0]}

    def test_of_a_training_further(self):
        start = trained("old", sizes=Sizes(24.0, True, 10.0, 40.0), decoding=KNOWN, trained_with={"keras": "2"})
        end = self.train(start=start)
        assert (end.network, end.sizes, end.least_sharpness) == ("new", Sizes(24.0, True, 5.0, 40.0), 1.5)
        assert (end.history["val_ap_before"], end.history["val_ap_after"]) == ([0.0, 0.0], [1.0, 1.0])
        assert (end.decoding, end.trained_with) == (LEARNED, {"keras": "3"})

    def test_without_validation_nothing_is_measured(self):
        end = self.train(pairs_of([], []), trained("old", decoding=KNOWN))
        assert end.validation_ap is None
        assert end.history == {"loss": [1.0]}

    def test_where_predict_would_refuse_nothing_is_measured(self):
        class Refusing(FakeCodec):
            def check_learned(self, learned):
                raise ValueError

        assert self.train(codec=Refusing()).validation_ap is None
