"""What decides between two ways on a few images: the jackknife and the rule of one standard error."""

import warnings

import numpy as np
import pytest

from flowseg._nets.sizes import Sizes
from flowseg._segmenters import choices, thresholds
from flowseg._segmenters.choices import LEAST_OBJECTS, Choosing, warn_of_no_comparison
from flowseg._segmenters.selection import best_iou, is_judged, score_found, standard_error
from flowseg._segmenters.thresholds import (
    SCORE_FOLDS,
    SCORE_THRESHOLDS,
    Thresholds,
    _nearest_of_the_best,
    check_thresholds,
    choose_score_threshold,
    choose_thresholds,
    read_thresholds,
)


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
        """Default and best, whose lead is so many standard errors."""
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


class Fake(Choosing):
    """A segmenter that is told what its estimates would gain."""

    def __init__(self, gain, estimate="auto"):
        self.gain, self.estimate_diameters, self._sizes = gain, estimate, Sizes(24.0, False, 10.0, 40.0)
        self.learned = []

    def _gain_of_estimates(self, images, masks):
        return self.gain

    def _fit_thresholds(self, images, masks, before):
        self.learned.append(before)

    def _reset_decoding(self):
        return "before"


def many(n):
    return np.arange(n).reshape(1, n) + 1


class TestFitDecoding:
    @pytest.mark.parametrize(("lead", "used"), [(-3.0, False), (0.9, False), (1.1, True), (1.9, True)])
    def test_estimates_need_one_standard_error(self, lead, used):
        gain = np.random.default_rng(1).normal(size=6)
        gain += lead * gain.std(ddof=1) / np.sqrt(6) - gain.mean()
        fake = Fake(with_each_left_out(gain))
        fake._fit_decoding([None] * 2, [many(LEAST_OBJECTS)] * 2)
        assert fake._sizes.estimate is used
        assert fake.learned == [None]

    def test_it_is_the_gain_on_all_images_that_counts(self):
        fake = Fake(np.array([-0.1, 9.0, -0.1, -0.1]))
        fake._fit_decoding([None] * 2, [many(LEAST_OBJECTS)] * 2)
        assert not fake._sizes.estimate

    def test_what_is_off_is_not_tried(self):
        fake = Fake(np.array([1.0, 1.0, 1.0]), estimate=False)
        fake._fit_decoding([None], [many(LEAST_OBJECTS)])
        assert not fake._sizes.estimate

    @pytest.mark.parametrize(("n", "keep", "learned"), [(50, False, 1), (49, False, 0), (50, True, 0), (49, True, 0)])
    def test_fifty_objects_in_one_image(self, n, keep, learned):
        fake = Fake(np.zeros(3))
        fake._fit_decoding([None], [many(n)], keep=keep)
        assert len(fake.learned) == learned

    def test_what_was_learned_before(self):
        fake = Fake(np.zeros(3))
        fake._fit_decoding([None] * 2, [many(25)] * 2, keep=True)
        assert fake.learned == ["before"]


class Kept:
    def __init__(self, before, now, old_losses, new_losses):
        self.history_ = {"val_loss": new_losses, "val_loss_before": old_losses, "loss": [1.0]}
        self.validation_ap_, self.name, self.extra = now, "new", 1
        Choosing._keep_the_better(self, {"history_": {"loss": [3.0]}, "name": "old"}, before)


class TestKeepTheBetter:
    @pytest.mark.parametrize(
        ("before", "now", "old", "new", "name"),
        [
            ((0.5, 0.4), (0.6, 0.4), [1.0], [2.0], "new"),
            ((0.5, 0.4), (0.4, 0.4), [1.0], [0.5], "old"),
            ((0.5, 0.4), (0.5, 0.4), [1.0], [0.5], "new"),
            ((0.5, 0.4), (0.4, 0.5), [1.0], [2.0], "old"),
            ((0.5, 0.4), None, [1.0], [0.5], "old"),
            ((0.5, 0.4), (0.5, 0.4), [], [], "old"),
        ],
    )
    def test_which(self, before, now, old, new, name):
        kept = Kept(before, now, old, new)
        assert kept.name == name
        assert hasattr(kept, "extra") is (name == "new")
        assert kept.validation_ap_ == (before if name == "old" else now)
        assert kept.history_["val_ap_before"] == [0.5, 0.4]
        if old:
            assert kept.history_["val_loss_after"] == (old if name == "old" else [min(old + new)])


@pytest.mark.parametrize(("goes_on", "n", "warned"), [(True, 0, True), (True, 1, False), (False, 0, False)])
def test_a_training_further_that_nobody_looks_at(goes_on, n, warned):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_no_comparison(goes_on, n)
    assert len(caught) == warned


def test_average_precision_is_told_at_these():
    assert choices.TOLD_THRESHOLDS == (0.5, 0.75)


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
    def test_false_objects_that_can_be_told(self, right):
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
    chosen, kept = choose_thresholds(outputs, masks, {}, n_iter=None, workers=1)
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
    tried = thresholds._choices({}, "cellprob_threshold", thresholds.CELLPROB_THRESHOLDS, 0.0)
    assert tried == [0, -0.5, 0.5, -1, 1, -1.5, 1.5, -2, 2, -3, 3]
    assert thresholds._choices({"flow_threshold": None}, "flow_threshold", (0.1,), 0.4) == [np.inf]
    assert thresholds._choices({"flow_threshold": 0.7}, "flow_threshold", (0.1,), 0.4) == [0.7]


class Seeing(Choosing):
    """A segmenter whose passes find what they are told."""

    def __init__(self):
        self._sizes, self.diameter_ = Sizes(24.0, False, 10.0, 40.0), 12.0

    def _estimate(self, image, *, bounded, look):
        assert bounded
        first, second, factor = image
        look(first, 2.0)
        return (first if second is None else second), factor

    def _decode(self, outputs, factor):
        assert factor in (2.0, 1.0)
        return outputs


def test_the_gain_of_estimates():
    true = np.array([[1, 1, 1, 0, 2, 2, 2]])
    poor = np.array([[1, 1, 0, 0, 2, 2, 0]])
    images = [(poor, true, 1.0), (true, None, 2.0), (poor, None, 2.0)]
    gain = Seeing()._gain_of_estimates(images, [true] * 3)
    scores = [
        score_found([best_iou(true, m) for m in found], np.full(3, 2))
        for found in ([true, true, poor], [poor, true, poor])
    ]
    assert gain == pytest.approx(scores[0] - scores[1])
    assert gain[0] > 0


class Taking(Choosing):
    """A segmenter that learns nothing but what it is told, and fails if asked to."""

    def __init__(self, fails=False):
        self._sizes, self._least_sharpness, self.fails, self.mark = Sizes(24.0, True, 10.0, 40.0), 1.5, fails, "old"

    def _find_grid(self, network):
        return f"grid of {network}"

    def _set_fitted(self, network, grid, diameter, history):
        self.network_, self._grid, self.diameter_, self.history_ = network, grid, diameter, history
        self.validation_ap_ = None

    def _check_decoding(self):
        pass

    def _fit_decoding(self, images, masks, *, keep):
        self.mark = f"new, keep {keep}"
        if self.fails:
            raise KeyboardInterrupt

    def _run(self, image, diameter, decode):
        return image if self.mark.startswith("new") else np.zeros_like(image)

    def _decode(self, outputs, factor):
        return outputs


class TestTake:
    NEW = ("network", 20.0, {"loss": [1.0]}, Sizes(30.0, False, 5.0, 30.0), 1.8)
    SEEN = ([np.array([[1, 1, 0, 2]])], [np.array([[1, 1, 0, 2]])])

    @pytest.fixture(autouse=True)
    def machine(self, monkeypatch):
        import sys
        import types

        said = types.SimpleNamespace(describe_machine=lambda: {"keras": "3"})  # the real one loads Keras
        monkeypatch.setitem(sys.modules, "flowseg._nets.machine", said)

    def test_all_of_it(self):
        taking = Taking()
        taking._take(*self.NEW, self.SEEN, goes_on=False)
        assert (taking.network_, taking._grid, taking.diameter_) == ("network", "grid of network", 20.0)
        assert (taking._sizes, taking._least_sharpness, taking.mark) == (self.NEW[3], 1.8, "new, keep False")
        assert (taking.validation_ap_, taking._trained_with) == ((1.0, 1.0), {"keras": "3"})
        assert taking.history_ == {"loss": [1.0]}

    def test_of_a_training_further(self):
        taking = Taking()
        taking._take(*self.NEW, self.SEEN, goes_on=True)
        assert (taking._sizes, taking._least_sharpness) == (Sizes(24.0, True, 5.0, 40.0), 1.5)
        assert (taking.history_["val_ap_before"], taking.history_["val_ap_after"]) == ([0.0, 0.0], [1.0, 1.0])
        assert taking.mark == "new, keep True"

    def test_without_validation_nothing_is_measured(self):
        taking = Taking()
        taking._take(*self.NEW, ([], []), goes_on=True)
        assert taking.validation_ap_ is None
        assert taking.history_ == {"loss": [1.0]}

    def test_where_predict_would_refuse_nothing_is_measured(self, monkeypatch):
        def refuse(self):
            raise ValueError

        monkeypatch.setattr(Taking, "_check_decoding", refuse)
        taking = Taking()
        taking._take(*self.NEW, self.SEEN, goes_on=False)
        assert taking.validation_ap_ is None

    def test_an_interruption_leaves_it_as_it_was(self):
        taking = Taking(fails=True)
        before = dict(taking.__dict__)
        with pytest.raises(KeyboardInterrupt):
            taking._take(*self.NEW, self.SEEN, goes_on=False)
        assert taking.__dict__ == before
