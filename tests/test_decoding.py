from copy import copy
from dataclasses import replace

import numpy as np
import pytest

import flowseg
from flowseg import FlowSegmenter
from flowseg._segmenters.learned_decoding.choose_thresholds import SCORE_THRESHOLDS, choose_score_threshold
from flowseg._segmenters.learned_decoding.find_objects import Decoding, find_masks, find_objects, read_decoding
from flowseg._segmenters.learned_decoding.learn_decoding import learn_decoding
from flowseg._segmenters.learned_decoding.object_scores import Calibration
from flowseg._segmenters.learned_decoding.thresholds import GivenThresholds, Thresholds

# Of the features only the mean logit counts: the score is 0 where it is 0, 1 where it is 5.
BY_CELLPROB = Calibration(10.0, (1.0, 0.0, 0.0, 0.0, 0.0, 0.0), (0.0, 1.0), (0.0, 1.0))


@pytest.fixture(scope="module")
def outputs(voronoi):
    """Flows of true objects, with a logit of their own each, and the masks."""
    masks = voronoi((60, 60), 12)
    logits = np.concatenate([[-5.0], np.linspace(0.5, 4.5, 12)])
    return flowseg.masks_to_flows(masks), logits[masks].astype(np.float32), masks


def test_objects_below_the_score_are_dropped_and_the_others_numbered_again(outputs):
    flows, cellprob, masks = outputs
    decoding = Decoding(Thresholds(flow_threshold=None), BY_CELLPROB)
    all_masks, all_objects = find_objects(flows, cellprob, decoding, n_iter=None, workers=1)
    assert all_masks.max() == 12
    assert np.allclose(np.sort(all_objects["score"]), np.linspace(0.1, 0.9, 12))
    some = replace(decoding, thresholds=replace(decoding.thresholds, score_threshold=0.5))
    kept, objects = find_objects(flows, cellprob, some, n_iter=None, workers=1)
    assert np.array_equal(kept > 0, cellprob >= 2.5)
    assert objects["label"].tolist() == [1, 2, 3, 4, 5, 6] == np.unique(kept[kept > 0]).tolist()
    assert np.array_equal(np.bincount(kept.ravel())[1:], objects["area"])
    assert all(column.size == 6 for column in objects.values())
    assert np.array_equal(find_masks(flows, cellprob, some, n_iter=None, workers=1), kept)


def test_without_a_score_nothing_is_dropped(outputs):
    flows, cellprob, _ = outputs
    decoding = Decoding(Thresholds(score_threshold=0.9), None)
    masks, objects = find_objects(flows, cellprob, decoding, n_iter=None, workers=1)
    assert masks.max() == 12
    assert np.isnan(objects["score"]).all()


def table(cellprob):
    n = len(cellprob)
    return {
        "label": np.arange(1, n + 1),
        "area": np.full(n, 80),
        "diameter": np.full(n, 10.0),
        "flow_error": np.full(n, 0.1),
        "cellprob": np.asarray(cellprob, float),
        "touches_border": np.zeros(n, bool),
    }


class TestChoice:
    def draw(self, informative, n_images=20):
        rng = np.random.default_rng(0)
        tables, iou = [], []
        for _ in range(n_images):
            real = rng.random(40) < 0.6
            center = np.where(real, 4.0, 1.0) if informative else 3.0
            tables.append(table(rng.normal(center, 0.8, 40)))
            iou.append(np.where(real, 0.9, 0.0))
        return tables, iou, np.array([np.count_nonzero(v) for v in iou])

    def test_informative_scores_are_used(self):
        chosen = choose_score_threshold(*self.draw(informative=True), 10.0)
        assert chosen in SCORE_THRESHOLDS[1:]

    def test_uninformative_scores_drop_no_object(self):
        assert choose_score_threshold(*self.draw(informative=False), 10.0) is None

    def test_few_images_are_not_enough(self):
        assert choose_score_threshold(*self.draw(informative=True, n_images=4), 10.0) is None

    def test_given_ones_are_not_chosen(self, outputs):
        flows, cellprob, masks = outputs
        given = GivenThresholds(0.25, None, 3, 0.7)
        learned = learn_decoding([(flows, cellprob)], [masks], given, diameter=10.0, n_iter=None, workers=1)
        assert learned.thresholds == Thresholds(0.25, None, 3, 0.7)
        assert learned.calibration is not None


class TestSegmenter:
    def test_by_hand(self, pairs, small):
        images, masks = zip(*pairs)
        model = FlowSegmenter(**small).fit(images[:2], masks[:2], validation=(images[2:], masks[2:]))
        everything = model.set_params(score_threshold=None).predict_objects(images[0])[1]["score"]
        level = float(np.median(everything))
        masks_found, objects = model.set_params(score_threshold=level).predict_objects(images[0])
        assert sorted(objects["score"]) == sorted(everything[everything >= level])
        assert masks_found.max() == objects["score"].size
        assert np.array_equal(model.predict(images[0]), masks_found)

    def test_attributes_are_the_values_that_predict_uses(self, fitted, pairs):
        model = copy(fitted["FlowSegmenter"]).set_params(cellprob_threshold=2.5, flow_threshold=None)
        assert (model.cellprob_threshold_, model.flow_threshold_) == (2.5, None)
        before = model.set_params(cellprob_threshold="auto").cellprob_threshold_
        model.set_params(cellprob_threshold=2.5).fit_thresholds(*zip(*pairs))
        assert model.cellprob_threshold_ == 2.5
        assert model.set_params(cellprob_threshold="auto", flow_threshold="auto").cellprob_threshold_ == before
        assert model.flow_threshold_ == 0.4
        assert [model.set_params(estimate_diameters=given).estimate_diameters_ for given in (True, False)] == [
            True,
            False,
        ]

    def test_a_number_needs_scores(self, pairs, small):
        images, masks = zip(*pairs)
        with pytest.raises(
            ValueError, match="score_threshold must be .* fewer than 50 validation objects .*got 0.5 and 0"
        ):
            FlowSegmenter(**small, score_threshold=0.5).fit(images[:2], masks[:2])
        model = FlowSegmenter(**small).fit(images[:2], masks[:2])
        sentence = "score_threshold must be 'auto' or None for a segmenter that has learned no scores"
        for value in (0.5, np.float32(0.5), np.array(0.5), 1):
            model.set_params(score_threshold=value)
            for call in (model.predict, model.predict_objects):
                with pytest.raises(ValueError, match=sentence):
                    call(images[0])
            with pytest.raises(ValueError, match=sentence):
                model.check_prediction(None)
        assert model.predict_flows(images[0])[1].shape == (96, 96)  # flows need no scores
        assert model.set_params(score_threshold="auto").predict(images[0]).shape == (96, 96)

    def test_thresholds_of_numpy_types_are_saved(self, pairs, small, tmp_path):
        images, masks = zip(*pairs)
        given = {"min_size": np.int64(5), "score_threshold": np.float32(0.5), "cellprob_threshold": np.float64(0.25)}
        model = FlowSegmenter(**small, **given).fit(images[:2], masks[:2], validation=(images[2:], masks[2:]))
        model.save(tmp_path / "m.safetensors")
        again = FlowSegmenter.load(tmp_path / "m.safetensors")
        assert again.fitted_.decoding == model.fitted_.decoding
        assert {name: again.get_params()[name] for name in given} == {name: float(v) for name, v in given.items()}

    def test_a_network_that_finds_nothing_can_be_saved(self, pairs, small, tmp_path):
        images, masks = zip(*pairs)
        model = FlowSegmenter(**small, score_threshold=0.5, min_size=10**6)
        model.fit(images[:2], masks[:2], validation=(images[2:], masks[2:])).save(tmp_path / "m.safetensors")
        assert FlowSegmenter.load(tmp_path / "m.safetensors").fitted_.decoding.calibration is None

    def test_bad_values(self, pairs, small):
        images, masks = zip(*pairs)
        with pytest.raises(ValueError, match="score_threshold must be a number of at least 0 and at most 1 or None"):
            FlowSegmenter(**small, score_threshold=1.5).fit(images, masks)
        with pytest.raises(ValueError, match="score_threshold must be a number, None or 'auto'; got 'high'"):
            FlowSegmenter(**small, score_threshold="high").fit(images, masks)


KNOWN = {"diameter": 10.0, "weights": [1.0] * 6, "knots": [0.0, 1.0], "probabilities": [0.1, 0.9]}
USUAL = {"cellprob_threshold": 0.0, "flow_threshold": 0.4, "min_size": 15, "score_threshold": 0.4}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"knots": [1.0, 0.0]}, "in increasing order"),
        ({"probabilities": [0.9, 0.1]}, "in increasing order"),
        ({"probabilities": [0.1, 9.0]}, "from 0 to 1"),
        ({"diameter": True}, "score must hold numbers"),
        ({"diameter": "21"}, "score must hold numbers"),
        (None, "score must be there where score_threshold is a number; got null"),
    ],
)
def test_scores_in_a_file_are_checked(change, sentence):
    assert read_decoding({"thresholds": USUAL, "score": KNOWN}).calibration.diameter == 10.0
    with pytest.raises(ValueError, match=sentence):
        read_decoding({"thresholds": USUAL, "score": None if change is None else KNOWN | change})
