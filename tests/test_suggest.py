"""`suggest`: where a segmenter is in doubt, the boxes of the most doubt, and the order of images."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

import flowseg
from flowseg import FlowSegmenter
from flowseg._nets.inference import NetworkRunner
from flowseg._segmenters.learned_decoding.object_scores import N_FEATURES, Calibration
from flowseg._segmenters.likeness.ranges import difference
from flowseg._segmenters.pipeline import pipeline_of
from flowseg._suggest.boxes import Box, cut_out, find_boxes, number_boxes, paste
from flowseg._suggest.candidates import Candidates, find_candidates
from flowseg._suggest.doubt import VIEWS, map_doubt, measure_disagreement
from flowseg._suggest.order import Seen, order_images


@pytest.fixture(scope="module")
def images(pairs):
    return [image for image, _ in pairs[:3]]


@pytest.fixture
def scored(tiny):
    """A segmenter whose objects all have the score 0.75, with ranges."""
    segmenter = FlowSegmenter(**tiny["FlowSegmenter"].get_params())
    fitted = tiny["FlowSegmenter"].fitted_
    calibration = Calibration(10.0, (0.0,) * N_FEATURES, (0.0,), (0.75,))
    segmenter.fitted_ = replace(fitted, decoding=replace(fitted.decoding, calibration=calibration))
    return segmenter


def quietly(*arguments, **options):
    with warnings.catch_warnings(action="ignore"):
        return flowseg.suggest(*arguments, **options)


def test_the_box_of_the_largest_sum():
    rng = np.random.default_rng(0)
    doubt = rng.random((13, 17))
    ((box, total),) = find_boxes(doubt, 5, 1)
    sums = {(i, j): doubt[i : i + 5, j : j + 5].sum() for i in range(9) for j in range(13)}
    assert (box.min_row, box.min_col) == max(sums, key=sums.get)
    assert (box.max_row - box.min_row, box.max_col - box.min_col) == (5, 5)
    assert total == pytest.approx(doubt[box.slices].sum())


def test_boxes_do_not_overlap_and_fall_in_doubt():
    doubt = np.random.default_rng(1).random((20, 31))
    found = find_boxes(doubt, 6, 100)
    count = np.zeros(doubt.shape, int)
    for box, _ in found:
        count[box.slices] += 1
    assert count.max() == 1
    totals = [total for _, total in found]
    assert len(totals) > 5
    assert totals == sorted(totals, reverse=True)


def test_ties_and_small_images():
    assert find_boxes(np.zeros((9, 9)), 4, 3) == [(Box(0, 0, 4, 4), 0.0)]
    assert find_boxes(np.full((9, 9), 0.1), 4, 1)[0].box == Box(0, 0, 4, 4)
    assert find_boxes(np.ones((3, 9)), 4, 1) == [(Box(0, 0, 3, 4), 12.0)]
    assert find_boxes(np.ones((3, 3)), 4, 2) == [(Box(0, 0, 3, 3), 9.0)]


def test_objects_at_the_edge_of_a_box_stay_whole():
    masks = np.zeros((8, 10), np.int32)
    masks[1:3, 1:3], masks[4:6, 3:7], masks[0:2, 7:9] = 4, 2, 3
    boxes = [Box(0, 0, 5, 5)]
    found = paste(cut_out(masks, boxes), masks.shape)
    expected = np.full(masks.shape, -1)
    expected[:5, :5] = 0
    expected[masks == 2], expected[masks == 4] = 1, 2
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(number_boxes(boxes, masks.shape) == 1, np.indices(masks.shape).max(axis=0) < 5)


def test_doubt_is_a_number_of_objects():
    masks = np.zeros((6, 6), int)
    masks[:2, :2], masks[4:, 3:] = 1, 2
    disagreement = np.full(masks.shape, 0.5, np.float32)
    doubt = map_doubt(Candidates(masks, masks, np.array([0.75, 0.0])), disagreement, 4.0)
    assert doubt[masks == 1].sum() == pytest.approx(0.75)
    assert doubt[masks == 2].sum() == 0
    np.testing.assert_allclose(doubt[masks == 0], 0.5 / (4 * np.pi))
    np.testing.assert_allclose(map_doubt(Candidates(masks, masks, None), disagreement, 4.0), 0.5 / (4 * np.pi))
    nothing = Candidates(0 * masks, 0 * masks, np.zeros(0))
    np.testing.assert_allclose(map_doubt(nothing, disagreement, 4.0), 0.5 / (4 * np.pi))


def test_disagreement_is_between_flips(tiny, images, monkeypatch):
    """A network that sees foreground above the middle of its view: every flip up and down disagrees."""
    pipeline = pipeline_of(tiny["FlowSegmenter"])
    prepared, outputs = pipeline.prepare(images[0]), pipeline.run(images[0])
    once = measure_disagreement(pipeline, prepared, outputs, 1)
    assert not once.any()

    def run(self, image, *_):
        array = np.full((*image.array.shape[:2], 3), -30.0, np.float32)
        array[: array.shape[0] // 2, :, 2] = 30.0
        return replace(outputs, array=array)

    monkeypatch.setattr(type(pipeline), "run_at", run)
    halves = replace(outputs, array=run(None, prepared).array)
    np.testing.assert_allclose(measure_disagreement(pipeline, prepared, halves, 4), 1.0, atol=1e-5)
    # Half a turn disagrees in all pixels, left to right in none; of three views two agree.
    np.testing.assert_allclose(measure_disagreement(pipeline, prepared, halves, 2), 1.0, atol=1e-5)
    np.testing.assert_allclose(measure_disagreement(pipeline, prepared, halves, 3), 2 * np.sqrt(2) / 3, atol=1e-5)


def test_flips_are_undone(tiny, images):
    """Where the network's outputs follow the flips exactly there is no disagreement, whatever the image."""
    pipeline = pipeline_of(tiny["FlowSegmenter"])
    prepared = pipeline.prepare(images[0])
    outputs = pipeline.run(images[0])

    class Equivariant(type(pipeline)):
        def run_at(self, image, *_):
            values = np.repeat(image.array.astype(np.float32) / image.array.max(), 3, axis=-1)
            return replace(outputs, array=values)

    same = Equivariant(pipeline.fitted, pipeline.settings)
    array = same.run_at(prepared).array
    assert measure_disagreement(same, prepared, replace(outputs, array=array), len(VIEWS)).max() < 1e-6


def test_augmented_segmenters_are_seen_view_by_view(tiny, images):
    segmenter = FlowSegmenter(**tiny["FlowSegmenter"].get_params())
    segmenter.fitted_ = tiny["FlowSegmenter"].fitted_
    plain = pipeline_of(segmenter)
    augmented = pipeline_of(segmenter.set_params(test_time_augmentation=True))
    prepared, outputs = plain.prepare(images[0][:48, :48]), plain.run(images[0][:48, :48])
    expected = measure_disagreement(plain, prepared, outputs, 2)
    np.testing.assert_allclose(measure_disagreement(augmented, prepared, outputs, 2), expected, atol=1e-4)
    assert expected.max() > 0.01


def test_doubt_comes_first_then_unlike_images_with_a_limit():
    nan = float("nan")
    seen = [Seen(1.0, nan, {}), Seen(4.0, nan, {}), Seen(2.0, nan, {})]
    assert order_images(seen, 3) == [(1, 1.0), (2, 0.5), (0, 0.25)]
    seen = [Seen(4.0, 0.0, {}), Seen(0.0, 50.0, {}), Seen(2.0, 1.5, {})]
    assert order_images(seen, 1) == [(2, 1.5), (0, 1.0), (1, 1.0)]
    assert order_images([Seen(0.0, 0.0, {})], 2) == [(0, 0.0)]


def test_an_image_like_one_before_counts_half():
    one, other = {"median_intensity": 0.2}, {"median_intensity": 0.9}
    seen = [Seen(10.0, 0.0, one), Seen(9.0, 0.0, one), Seen(5.0, 0.0, other)]
    assert [i for i, _ in order_images(seen, 2)] == [0, 2, 1]
    assert [i for i, _ in order_images(seen, 1)] == [0, 1, 2]  # the rest is in the order of priority
    assert difference(one, one) == 0
    assert difference(one, other) == pytest.approx(0.7 / 0.15)
    assert difference(one, {"flow_length": 0.3}) == 0


@pytest.mark.parametrize("kind", ["FlowSegmenter", "BoundarySegmenter"])
def test_suggestions_of_both_segmenters(tiny, images, kind):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = flowseg.suggest(tiny[kind], images, number=2, box_size=40, views=2)
    assert any("has learned no scores" in str(warning.message) for warning in caught)
    assert len(found) == 2
    assert found[0].index != found[1].index
    assert found[0].priority >= found[1].priority
    for one in found:
        predicted = tiny[kind].predict(images[one.index])
        (box,) = one.boxes
        assert one.masks.shape == images[one.index].shape
        np.testing.assert_array_equal(one.masks[box.slices] > 0, predicted[box.slices] > 0)
        inside = np.zeros(predicted.shape, bool)
        inside[box.slices] = True
        np.testing.assert_array_equal((one.masks < 0), ~inside & (one.masks <= 0))
        assert one.masks.max() == np.unique(predicted[box.slices][predicted[box.slices] > 0]).size
        assert one.doubt.shape == (1,)


def test_scores_make_the_doubt(scored, images):
    (one,) = quietly(scored, images[:1], box_size=1000, views=2)
    n_objects = scored.predict(images[0]).max()
    assert n_objects > 0
    outputs = pipeline_of(scored).run(images[0])
    disagreement = measure_disagreement(pipeline_of(scored), pipeline_of(scored).prepare(images[0]), outputs, 2)
    beside = disagreement[scored.predict(images[0]) == 0].sum(dtype=float)
    typical = np.pi / 4 * pipeline_of(scored).typical_diameter(outputs.pixel) ** 2
    assert one.doubt[0] == pytest.approx(0.25 * n_objects + beside / typical, rel=1e-3)
    assert one.boxes == [(0, 0, 96, 96)]
    np.testing.assert_array_equal(one.masks, scored.predict(images[0]))


def test_an_object_with_too_low_a_score_may_be_missed(scored, images):
    """Small objects have the score 0.3 here, large ones 0.9; a threshold between drops the small ones."""
    fitted = scored.fitted_
    small = Calibration(10.0, (0.0, 0.0, 0.0, 0.0, 1.0, 1.0), (-1e-6, 1e-6), (0.3, 0.9))
    scored.fitted_ = replace(fitted, decoding=replace(fitted.decoding, calibration=small))
    outputs = pipeline_of(scored).run(images[0])
    everything = find_candidates(pipeline_of(scored), outputs)
    np.testing.assert_array_equal(everything.found, scored.predict(images[0]))
    assert {*np.round(everything.wrong, 2)} == {0.1, 0.7}
    scored.set_params(score_threshold=0.5)
    kept = find_candidates(pipeline_of(scored), outputs)
    np.testing.assert_array_equal(kept.all, everything.all)
    np.testing.assert_array_equal(kept.found, scored.predict(images[0]))
    assert 0 < kept.found.max() < kept.all.max()
    np.testing.assert_allclose(kept.wrong, np.where(everything.wrong > 0.5, 0.3, 0.1))


def test_what_is_left_out_is_said(scored, images):
    scored.fitted_ = replace(scored.fitted_, ranges=None)
    with pytest.warns(UserWarning, match="no ranges of its training images"):
        (one,) = flowseg.suggest(scored, images[:1], views=2)
    assert np.isnan(one.distance)
    with pytest.warns(UserWarning, match="boxes of 97 pixels are larger than 2 of 2 images"):
        flowseg.suggest(scored, images[:2], box_size=97, views=2)


def test_constant_images_come_last(scored, images):
    found = quietly(scored, [np.zeros((70, 70)), images[0]], views=2)
    assert [one.index for one in found] == [1, 0]
    assert found[1].doubt[0] == 0
    assert found[1].masks.max() == 0


def test_the_segmenter_is_not_changed(scored, images):
    before, fitted = scored.get_params(), scored.fitted_
    quietly(scored, images[:1], views=2)
    assert scored.get_params() == before
    assert scored.fitted_ is fitted


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"number": 0}, "number must be"),
        ({"box_size": 0}, "box_size must be"),
        ({"boxes_per_image": 0}, "boxes_per_image must be"),
        ({"views": 1}, "views must be"),
        ({"views": 5}, "views must be from 2 to 4; got 5"),
    ],
)
def test_numbers_are_checked(options, sentence, images, monkeypatch):
    monkeypatch.setattr(NetworkRunner, "run", None)  # before any work
    with pytest.raises(ValueError, match=sentence):
        flowseg.suggest(FlowSegmenter(), images, **options)


def test_other_bad_input(tiny, images):
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError, match="not trained yet"):
        flowseg.suggest(FlowSegmenter(), images)
    with pytest.raises(TypeError, match="segmenter must be a FlowSegmenter or a BoundarySegmenter; got str"):
        flowseg.suggest("nuclei", images)
    with pytest.raises(ValueError, match="images must hold at least one array; got an empty list"):
        flowseg.suggest(tiny["FlowSegmenter"], [])
    with pytest.raises(TypeError, match="images must be a list of arrays"):
        flowseg.suggest(tiny["FlowSegmenter"], images[0])
    with pytest.raises(TypeError, match="number must be an integer"):
        flowseg.suggest(tiny["FlowSegmenter"], images, number=1.5)


def test_segmenters_of_volumes_are_refused(monkeypatch, tiny, images):
    fitted = tiny["FlowSegmenter"].fitted_
    segmenter = FlowSegmenter(**tiny["FlowSegmenter"].get_params() | {"ndim": 3})
    segmenter.fitted_ = replace(fitted, fixed=fitted.fixed._replace(ndim=3))
    with pytest.raises(ValueError, match=r"segmenter must be one of images, ndim=2, to suggest boxes; got ndim=3\."):
        flowseg.suggest(segmenter, images)
