import weakref

import numpy as np
import pytest
from skimage import segmentation

import flowseg
from flowseg import FlowSegmenter, metrics, synthetic
from flowseg._flows.logit_sums import as_logit_units, mean_logits
from flowseg._labels.overlaps import count_objects
from flowseg._segmenters import size_estimate
from flowseg._segmenters.learned_decoding.choose_thresholds import choose_thresholds
from flowseg._segmenters.learned_decoding.find_objects import Decoding, find_masks
from flowseg._segmenters.learned_decoding.jackknife_scores import IOU_THRESHOLDS, best_iou, is_judged
from flowseg._segmenters.learned_decoding.learn_decoding import learn_decoding
from flowseg._segmenters.learned_decoding.object_scores import calibrate
from flowseg._segmenters.learned_decoding.object_table import describe_objects
from flowseg._segmenters.learned_decoding.thresholds import GivenThresholds, Thresholds
from flowseg._segmenters.pipeline import Pipeline


def predictions(n=3, shift=0.0):
    """True masks, and flows and cellprobs as a network might give them."""
    masks = [synthetic.cells((120, 120), 15, rng=seed)[1] for seed in range(n)]
    rng = np.random.default_rng(0)
    outputs = []
    for m in masks:
        noise = rng.normal(0, 0.2, (2, *m.shape))
        cellprob = np.where(m > 0, 2.0, -2.0) + rng.normal(0, 0.7, m.shape) + shift
        outputs.append(((flowseg.masks_to_flows(m) + noise).astype(np.float32), cellprob.astype(np.float32)))
    return masks, outputs


def score(masks, outputs, thresholds):
    found = [find_masks(*pair, Decoding(thresholds), n_iter=None, workers=1) for pair in outputs]
    return metrics.average_precision(masks, found, thresholds=IOU_THRESHOLDS).mean()


def test_the_chosen_thresholds_are_among_the_best_of_those_tried():
    masks, outputs = predictions(shift=2.5)  # a network that finds everything too large
    chosen, _ = choose_thresholds(outputs, masks, GivenThresholds(), n_iter=None, workers=1)
    assert chosen.cellprob_threshold >= 1
    best = score(masks, outputs, chosen)
    assert best > score(masks, outputs, Thresholds()) + 0.05
    for change in ({"cellprob_threshold": 0.0}, {"flow_threshold": 0.1}, {"min_size": 100}):
        assert best >= score(masks, outputs, Thresholds(**(vars(chosen) | change))) - 1e-12


def test_what_chance_may_have_done_changes_no_threshold():
    # above logit 0.4 one of six images loses three false objects, another two real ones
    masks, _ = predictions(6)
    flows = [flowseg.masks_to_flows(m) for m in masks]
    cellprobs = [np.where(m > 0, 5, -5).astype(np.float32) for m in masks]
    cellprobs[0][np.isin(masks[0], (1, 2, 3))] = 0.4
    cellprobs[1][np.isin(masks[1], (1, 2))] = 0.4
    masks[0] = np.where(masks[0] <= 3, 0, masks[0])
    outputs = list(zip(flows, cellprobs, strict=True))
    given = GivenThresholds(flow_threshold=None, min_size=0)
    assert choose_thresholds(outputs, masks, given, n_iter=None, workers=1)[0].cellprob_threshold == 0
    # Two images that agree decide; one tells nothing of others.
    assert choose_thresholds(outputs[:1] * 2, masks[:1] * 2, given, n_iter=None, workers=1)[0].cellprob_threshold > 0
    assert choose_thresholds(outputs[:1], masks[:1], given, n_iter=None, workers=1)[0].cellprob_threshold == 0


def test_outlines_count():
    # a wide foreground finds every object, the tight one all but two, and draws the outlines right
    masks = [synthetic.cells((160, 160), 12, diameter=26, rng=seed)[1] for seed in range(3)]
    wide = [segmentation.expand_labels(m, 2) for m in masks]
    outputs = []
    for tight, grown in zip(masks, wide, strict=True):
        cellprob = np.where(tight > 0, 5, np.where(grown > 0, -0.3, -5)).astype(np.float32)
        cellprob[np.isin(grown, (1, 2))] = -0.2
        outputs.append((flowseg.masks_to_flows(grown), cellprob))
    given = GivenThresholds(flow_threshold=None, min_size=0)
    assert choose_thresholds(outputs, masks, given, n_iter=None, workers=1)[0].cellprob_threshold == 0
    ious = np.concatenate([best_iou(*pair) for pair in zip(masks, wide, strict=True)])
    assert np.mean(ious > 0.5) == 1  # so that the wide one would be right if outlines did not count
    assert np.mean(ious > 0.9) < 0.1


def test_large_objects_do_not_lead_to_a_large_min_size():
    masks = [synthetic.cells((160, 160), 12, diameter=26, rng=seed)[1] for seed in range(3)]
    median = np.median(np.concatenate([np.unique(m[m > 0], return_counts=True)[1] for m in masks]))
    side = int(np.sqrt(0.15 * median))
    found = [m.copy() for m in masks]
    for m in found:  # a false object in each free place
        for corner in np.argwhere(np.ones((160 // (side + 2), 160 // (side + 2)))) * (side + 2):
            place = tuple(slice(c, c + side) for c in corner)
            if not m[tuple(slice(max(c - 1, 0), c + side + 1) for c in corner)].any():
                m[place] = m.max() + 1
    outputs = [(flowseg.masks_to_flows(m), np.where(m > 0, 5, -5).astype(np.float32)) for m in found]
    given = GivenThresholds(flow_threshold=None, cellprob_threshold=0.0)
    assert choose_thresholds(outputs, masks, given, n_iter=None, workers=1)[0].min_size <= 0.1 * median


def test_given_thresholds_stay():
    masks, outputs = predictions(shift=2.5)
    given = GivenThresholds(cellprob_threshold=-0.25, flow_threshold=None, min_size=7)
    assert choose_thresholds(outputs, masks, given, n_iter=None, workers=1)[0] == Thresholds(-0.25, None, 7)


def test_perfect_outputs_keep_the_defaults():
    masks, _ = predictions()
    outputs = [(flowseg.masks_to_flows(m), np.where(m > 0, 5, -5).astype(np.float32)) for m in masks]
    chosen, _ = choose_thresholds(outputs, masks, GivenThresholds(min_size=15), n_iter=None, workers=1)
    assert chosen == Thresholds()


def test_best_iou():
    true = np.array([[1, 1, 1, 0, 2]])
    found = np.array([[0, 4, 4, 4, 9]])
    assert best_iou(true, found).tolist() == [0.5, 1.0]
    assert best_iou(true, np.zeros_like(true)).size == 0


def test_a_row_of_pixels_has_two_ends():
    masks = np.array([[1, 1, 0, 2, 2, 0, 3]], dtype=np.int32)
    flows, cellprob = np.zeros((2, 1, 7), np.float32), np.zeros((1, 7), np.float32)
    assert describe_objects(masks, flows, cellprob, workers=1)["touches_border"].tolist() == [True, False, True]


def test_of_two_halves_one_matches():
    true, found = np.array([[1, 1, 1, 1, 0, 2, 2]]), np.array([[1, 1, 2, 2, 0, 3, 3]])
    iou = best_iou(true, found)
    assert iou == pytest.approx([0.5, 0.5, 1.0])
    assert np.count_nonzero(iou >= 0.5) == metrics.match(true, found).tp == 2


def test_mean_logits_do_not_depend_on_the_order_of_pixels():
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 6, (120, 130), dtype=np.int32)
    logits = (rng.standard_normal(masks.shape) * 10.0 ** rng.integers(-4, 4, masks.shape)).astype(np.float32)
    flows = np.zeros((2, *masks.shape), np.float32)
    areas = np.bincount(masks.ravel())[1:]

    def sums(part):
        return np.bincount(masks[part].ravel(), as_logit_units(logits[part]).ravel(), 6)[1:].astype(np.int64)

    expected = describe_objects(masks, flows, logits, workers=1)["cellprob"]
    for _ in range(5):
        order = rng.permutation(masks.size)
        shuffled = [np.ascontiguousarray(array.ravel()[order].reshape(masks.shape)) for array in (masks, logits)]
        found = describe_objects(shuffled[0], flows, shuffled[1], workers=1)["cellprob"]
        assert found.tobytes() == expected.tobytes()
    for size in (1, 7, 50, 1000):  # as in blocks
        blocks = [np.s_[i : i + size, j : j + size] for i in range(0, 120, size) for j in range(0, 130, size)]
        found = mean_logits(sum(sums(blocks[k]) for k in rng.permutation(len(blocks))), areas)
        assert found.tobytes() == expected.tobytes()
    exact = [np.clip(logits[masks == k], -512, 512).astype(np.float64).mean() for k in range(1, 6)]
    assert np.abs(expected - exact).max() < 1e-5


@pytest.mark.parametrize("chunk", [7, 1 << 20])
def test_table_of_objects(chunk, monkeypatch):
    monkeypatch.setattr("flowseg._segmenters.learned_decoding.object_table.CHUNK", chunk)
    masks = np.zeros((30, 40), int)
    masks[5:15, 5:15], masks[20:30, 30:40] = 1, 2
    flows = flowseg.masks_to_flows(masks)
    flows[:, 20:, 30:] *= -1
    objects = describe_objects(masks, flows, np.where(masks == 1, 3.0, -1.0).astype(np.float32), workers=1)
    assert objects["label"].tolist() == [1, 2]
    assert objects["area"].tolist() == [100, 100]
    assert np.allclose(objects["diameter"], flowseg.diameters(masks))
    assert objects["flow_error"].round(1).tolist() == [0.0, 4.0]
    assert objects["cellprob"].tolist() == [3.0, -1.0]
    assert objects["touches_border"].tolist() == [False, True]


def table(rng, n):
    return {
        "diameter": rng.uniform(10, 30, n),
        "cellprob": rng.normal(2, 2, n),
        "flow_error": rng.uniform(0, 0.5, n),
        "touches_border": rng.random(n) < 0.1,
    }


def test_scores_are_probabilities():
    # Objects that are real with a known chance: the learned chance is near it.
    rng = np.random.default_rng(0)

    def chance(objects):
        return 1 / (1 + np.exp(10 * objects["flow_error"] - 2 - 0.5 * objects["cellprob"]))

    known, new = table(rng, 4000), table(rng, 4000)
    calibration = calibrate([known], [rng.random(4000) < chance(known)], 20.0)
    scores = calibration.score(new)
    assert scores.min() >= 0
    assert scores.max() <= 1
    assert np.mean(np.abs(scores - chance(new))) < 0.05


@pytest.mark.parametrize("real", [True, False])
def test_all_objects_match_or_none(real):
    objects = table(np.random.default_rng(0), 9)
    calibration = calibrate([objects], [np.full(9, real)], 20.0)
    assert calibration.score(objects) == pytest.approx(0.95 if real else 0.05)
    nothing = {name: values[:0] for name, values in objects.items()}
    assert calibrate([nothing], [np.zeros(0, bool)], 20.0) is None


@pytest.fixture(scope="module")
def model():
    images, masks = zip(*[synthetic.cells((128, 128), 18, rng=seed) for seed in range(8)])
    model = FlowSegmenter(
        filters=(8, 16, 32), crop_size=64, epochs=5, steps_per_epoch=20, learning_rate=0.003, random_state=2
    )
    return model.fit(images[:5], masks[:5], validation=(images[5:], masks[5:]))


class TestSegmenter:
    def test_fit_has_chosen_and_learned(self, model, pairs):
        image = pairs[0][0]
        masks, objects = model.predict_objects(image)
        assert np.array_equal(masks, model.predict(image))
        assert objects["label"].tolist() == list(range(1, masks.max() + 1))
        assert np.all((objects["score"] >= 0) & (objects["score"] <= 1))
        flows, cellprob = model.predict_flows(image)
        said = {name: getattr(model, f"{name}_") for name in ("cellprob_threshold", "flow_threshold", "min_size")}
        assert np.array_equal(flowseg.flows_to_masks(flows, cellprob, **said), masks)
        assert model.cellprob_threshold == "auto"

    def test_all_of_it_is_in_the_file(self, model, pairs, tmp_path):
        model.save(tmp_path / "model.safetensors")
        again = FlowSegmenter.load(tmp_path / "model.safetensors")
        for a, b in zip(model.predict_objects(pairs[0][0])[1].values(), again.predict_objects(pairs[0][0])[1].values()):
            assert np.array_equal(a, b)

    def test_a_parameter_beats_what_fit_has_chosen(self, model, pairs):
        image = pairs[0][0]
        try:
            model.set_params(min_size=10**6)
            assert model.predict(image).max() == 0
            model.fit_thresholds([image], [pairs[0][1]])
            assert model.min_size_ == 10**6
        finally:
            model.set_params(min_size="auto")
            model.fit_thresholds([image], [pairs[0][1]])
        assert model.min_size_ < 10**6

    def test_without_validation_the_defaults_stand(self, pairs, small):
        images, masks = zip(*pairs)
        model = FlowSegmenter(**small, validation_fraction=0.0).fit(images, masks)
        assert (model.cellprob_threshold_, model.flow_threshold_, model.min_size_) == (0.0, 0.4, 15)
        assert np.isnan(model.predict_objects(images[0])[1]["score"]).all()

    @pytest.mark.sampled(2)
    @pytest.mark.parametrize("n", [2, 1])
    def test_what_too_few_images_cannot_teach_stays(self, n, pairs):
        # Fifty cells and more of one image, and of two of them: neither says what others need.
        image, masks = synthetic.cells((256, 256), 80, rng=0)
        assert count_objects(masks) >= 50
        model = FlowSegmenter.from_pretrained("nuclei")
        model.set_params(epochs=1, steps_per_epoch=1, batch_size=1, crop_size=64, learning_rate=1e-9)
        estimate, thresholds = model.fitted_.sizes.estimate, model.fitted_.decoding.thresholds
        assert (estimate, thresholds.score_threshold) == (True, 0.5)
        model.fit([image], [masks], validation=([image] * n, [masks] * n))
        if n == 1:
            assert (model.fitted_.sizes.estimate, model.fitted_.decoding.thresholds) == (estimate, thresholds)
        assert model.score_threshold_ == 0.5
        calibration = model.fitted_.decoding.calibration
        with pytest.warns(UserWarning, match="one image is enough to learn scores, but not to choose thresholds"):
            model.fit_thresholds([image], [masks])
        assert model.score_threshold_ == 0.5
        assert model.fitted_.decoding.calibration != calibration

    def test_where_nothing_is_found_nothing_is_learned(self, pairs, tmp_path):
        model = FlowSegmenter.from_pretrained("nuclei")
        learned = model.fitted_.decoding
        model.set_params(cellprob_threshold=100.0, score_threshold=None)
        with pytest.warns(
            UserWarning, match="the segmenter finds no object in the images: nothing is learned from them"
        ):
            model.fit_thresholds(*zip(*pairs[:2]))
        assert model.fitted_.decoding == learned
        model.save(tmp_path / "model.safetensors")
        assert FlowSegmenter.load(tmp_path / "model.safetensors").fitted_.decoding == learned

    def test_bad_input(self, model, pairs):
        with pytest.raises(ValueError, match="masks must hold at least one object; got 1 label images without any"):
            model.fit_thresholds([pairs[0][0]], [np.zeros_like(pairs[0][1])])
        for name, others in (
            ("cellprob_threshold", "a number"),
            ("flow_threshold", "a number, None"),
            ("min_size", "an integer"),
        ):
            with pytest.raises(ValueError, match=f"{name} must be {others} or 'auto'; got 'best'"):
                FlowSegmenter(**{name: "best"}).fit([pairs[0][0]], [pairs[0][1]])

    def test_diameters_are_estimated(self, model, pairs, monkeypatch):
        from skimage.transform import resize

        image = pairs[0][0]
        large = resize(image, (192, 192), order=1)
        known = model.predict(large, diameters=2 * model.diameter_)
        run_at, sizes = Pipeline.run_at, []

        def note(pipeline, prepared, size, *rest):
            sizes.append(size)
            return run_at(pipeline, prepared, size, *rest)

        with monkeypatch.context() as patched:
            patched.setattr(Pipeline, "run_at", note)
            estimated = model.predict(large, diameters="estimate")
        assert sizes[-1] == pytest.approx(2 * model.diameter_, rel=0.25)
        assert estimated.max() > 0
        assert np.array_equal(estimated, model.predict(large, diameters=sizes[-1]))
        assert known.shape == estimated.shape
        with pytest.raises(
            ValueError, match="diameters must be a number of pixels above 0, 'estimate' or None; got 'guess'"
        ):
            model.predict(image, diameters="guess")

    def test_an_estimate_that_makes_no_sense(self, model, pairs, monkeypatch):
        monkeypatch.setattr(size_estimate, "measure_diameter", lambda *_: 5000.0)
        with pytest.raises(
            ValueError,
            match="the estimated diameter of an image must be from .*; got 5e[+]03, which would reduce the image",
        ):
            model.predict(pairs[0][0], diameters="estimate")

    def test_nothing_to_estimate_from(self, model):
        noise = np.random.default_rng(0).normal(size=(64, 64))
        model.set_params(min_size=10**6)
        try:
            assert model.predict(noise, diameters="estimate").max() == 0
        finally:
            model.set_params(min_size="auto")


class TestPixelsToIgnore:
    def test_objects_on_them_are_not_judged(self):
        true = np.array([[-1, -1, -1, 0, 2, 2]])
        found = np.array([[1, 1, 2, 2, 3, 3]])  # all on them, half, not
        assert is_judged(true, found).tolist() == [False, True, True]
        assert is_judged(np.maximum(true, 0), found).all()
        assert is_judged(true, np.zeros_like(true)).size == 0

    def test_thresholds_and_scores_as_without_them(self):
        # What was not annotated is found all the same: on images cut down to what was annotated nothing changes.
        masks, outputs = predictions(6)
        cut = [((flows[:, :, :60], cellprob[:, :60])) for flows, cellprob in outputs]
        known = [m[:, :60] for m in masks]
        hidden = [np.where(np.arange(120) < 60, m, -1) for m in masks]
        blank = [np.where(np.arange(120) < 60, m, 0) for m in masks]
        options = {"diameter": 24.0, "n_iter": None, "workers": 1}
        right, same, wrong = (
            learn_decoding(o, m, GivenThresholds(), **options)
            for o, m in ((cut, known), (outputs, hidden), (outputs, blank))
        )
        shares = [np.mean(learned.calibration.probabilities) for learned in (right, same, wrong)]
        assert same.thresholds == right.thresholds
        assert abs(shares[1] - shares[0]) < 0.1
        assert shares[2] < shares[0] - 0.2

    def test_score(self, pairs):
        model = FlowSegmenter.from_pretrained("nuclei")
        images, masks = zip(*pairs)
        hidden = [np.where(np.arange(96) < 48, m, -1) for m in masks]
        expected = []
        for image, m in zip(images, hidden):
            found = model.predict(image)
            for k in range(1, found.max() + 1):
                if np.mean(m[found == k] < 0) > 0.5:
                    found[found == k] = 0
            found[m < 0] = 0
            expected.append(metrics.average_precision([np.maximum(m, 0)], [found], thresholds=(0.5,))[0])
        assert model.score(images, hidden) == pytest.approx(np.mean(expected))
        assert model.score(images, hidden) > model.score(images, [np.maximum(m, 0) for m in hidden])


def test_outputs_are_taken_one_by_one():
    masks, outputs = predictions(5)
    alive = weakref.WeakValueDictionary()
    most = []

    def give():
        while outputs:
            pair = outputs.pop(0)
            alive[len(outputs)] = pair[0]
            yield pair
            del pair
            most.append(len(alive))

    choose_thresholds(give(), masks, GivenThresholds(), n_iter=None, workers=1)
    assert most == [1] * 5
