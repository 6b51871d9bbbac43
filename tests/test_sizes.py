from copy import copy
from dataclasses import replace

import numpy as np
import pytest

import flowseg
from flowseg import BoundarySegmenter, FlowSegmenter
from flowseg._nets.sizes import Sizes, bounds_of, choose_working, image_diameters, is_same_size, read_sizes
from flowseg._nets.training.known_objects import KnownObjects
from flowseg._segmenters import size_estimate
from flowseg._segmenters.codecs.codec import Outputs
from flowseg._segmenters.fitting.choose_decoding import choose_decoding
from flowseg._segmenters.fitting.pairs import Pairs
from flowseg._segmenters.learned_decoding.find_objects import Decoding
from flowseg._segmenters.learned_decoding.jackknife_scores import best_iou, score_found, standard_error
from flowseg._segmenters.learned_decoding.thresholds import Thresholds
from flowseg._segmenters.pipeline import Pipeline, pipeline_of


def outputs_of(masks):
    """What would come out of a network that knows the masks."""
    cellprob = np.where(masks > 0, 5.0, -5.0)
    return np.stack([*flowseg.masks_to_flows(masks), cellprob], axis=-1).astype(np.float32)


@pytest.fixture
def model(fitted):
    return copy(fitted["FlowSegmenter"])


def estimate_twice_the_size(model, monkeypatch, first, second):
    """Let a first pass return given outputs (by the identity of images), and an estimate of twice the diameter."""
    typical = model.working_diameter_ / model.diameter_
    set_sizes(model, replace(model.fitted_.sizes, low=1.0, high=1000.0))
    monkeypatch.setattr(size_estimate, "measure_diameter", lambda *_: 2 * model.diameter_)
    known = {True: first, False: second}

    def run_at(pipeline, image, size, *name):
        factor = pipeline.scale_factor(size, *name)
        return Outputs(known[factor == typical][address(image.array)], factor)

    monkeypatch.setattr(Pipeline, "run_at", run_at)


def address(image):
    """Return the address of the pixels, which views share."""
    return image.__array_interface__["data"][0]


def set_sizes(model, sizes, **changes):
    model.fitted_ = replace(model.fitted_, sizes=sizes, **changes)


def choose(model, images, masks):
    """Let a model choose as in a first training."""
    model.fitted_ = replace(model.fitted_, decoding=Decoding())
    pairs = Pairs(images, masks, [KnownObjects(m) for m in masks], [None] * len(masks))
    model.fitted_ = choose_decoding(pipeline_of(model), pairs)


def watch_factors(monkeypatch):
    """Return a list to which the factors that images are scaled by are added."""
    seen, run = [], Pipeline.run_at

    def run_at(self, image, size, *name):
        seen.append(self.scale_factor(size, *name))
        return run(self, image, size, *name)

    monkeypatch.setattr(Pipeline, "run_at", run_at)
    return seen


def watch_passes(model, monkeypatch, found):
    """Let passes find objects of given diameters, by the diameter of each pass; return the list of passes."""
    seen = []

    def run_at(pipeline, image, size, *name):
        factor = pipeline.scale_factor(size, *name)
        seen.append(24.0 / factor)
        return Outputs(np.full((*image.array.shape[:2], 3), seen[-1], np.float32), factor)

    monkeypatch.setattr(Pipeline, "run_at", run_at)
    monkeypatch.setattr(
        size_estimate, "measure_diameter", lambda _, outputs: found[round(float(outputs.array[0, 0, 0]))]
    )
    set_sizes(model, Sizes(24.0, True, 10.0, 90.0), diameter=20.0)
    return seen


class TestSizes:
    def test_bound(self):
        sizes = Sizes(24.0, True, 10.0, 30.0)
        assert [sizes.bound(d) for d in (3.0, 10.0, 20.0, 99.0)] == [10.0, 10.0, 20.0, 30.0]

    def test_diameters_of_images_with_objects(self):
        one, none = np.zeros((9, 9), int), np.zeros((9, 9), int)
        one[:4, :4] = 7
        assert image_diameters([none, one, none]) == pytest.approx([2 * np.sqrt(16 / np.pi)])

    def test_bounds_within_the_possible_scales(self):
        # A stray pixel and an object as large as the image do not count for what they are.
        assert bounds_of(np.array([1.1, 20.0, 30.0]), 24.0) == (6.0, 30.0)
        assert bounds_of(np.array([5.0, 5.5, 5000.0]), 24.0) == (5.5, 24.0 * 32)

    def test_same_size_is_symmetric(self):
        assert is_same_size(20.0, 22.0)
        assert is_same_size(22.0, 20.0)
        assert not is_same_size(20.0, 22.1)

    @pytest.mark.parametrize(
        ("document", "sentence"),
        [
            (None, "sizes must be an object with working, estimate, low, high; got None"),
            (
                {"working": 24.0, "estimate": True, "low": 1.0},
                "sizes must be an object with working, estimate, low, high",
            ),
            ({"working": 24.0, "estimate": 1, "low": 1.0, "high": 2.0}, "sizes' estimate must be True or False; got 1"),
            (
                {"working": 24.0, "estimate": True, "low": 0.0, "high": 2.0},
                "sizes' low must be a number above 0; got 0.0",
            ),
            ({"working": 24.0, "estimate": True, "low": 3.0, "high": 2.0}, "low no larger than high; got 3 and 2"),
            (
                {"working": 1e300, "estimate": True, "low": 3.0, "high": 20.0},
                "sizes' low must be from",
            ),
        ],
    )
    def test_bad_documents(self, document, sentence):
        with pytest.raises((TypeError, ValueError), match=sentence):
            read_sizes(document)


class TestWorkingDiameter:
    def test_chosen_within_bounds(self):
        assert [choose_working("auto", d) for d in (9.0, 30.0, 110.0)] == [24.0, 30.0, 40.0]
        assert choose_working(17, 110.0) == 17.0

    def test_of_a_fitted_segmenter(self, model, small, pairs):
        images, masks = zip(*pairs)
        assert model.working_diameter_ == max(model.diameter_, 24.0)
        assert FlowSegmenter(**small, diameter=30).fit(images, masks).working_diameter_ == 30.0

    def test_training_further_keeps_it(self, model, pairs):
        # The network has learned objects of this size; those of the new images are scaled to it.
        images, masks = zip(*[(np.kron(i, np.ones((3, 3))), np.kron(m, np.ones((3, 3), int))) for i, m in pairs[:4]])
        working, typical = model.working_diameter_, model.diameter_
        model.set_params(warm_start=True).fit(images, masks)
        assert model.working_diameter_ == working
        assert model.diameter_ > 2.5 * typical

    def test_training_further_keeps_what_few_images_cannot_teach(self, pairs, small):
        images, masks = zip(*pairs)
        model = FlowSegmenter(**small).fit(images[:2], masks[:2], validation=(images[2:], masks[2:]))
        assert model.fitted_.decoding.calibration is not None
        set_sizes(model, Sizes(24.0, True, 1.0, 100.0))
        learned = model.fitted_.decoding
        model.set_params(warm_start=True).fit(images[:2], masks[:2])
        assert model.fitted_.decoding == learned
        assert model.fitted_.sizes == Sizes(24.0, True, 1.0, 100.0)
        model.set_params(network="resunet")
        with pytest.raises(ValueError, match="network must be what it was in fit, 'unet'; .* Set warm_start to False"):
            model.fit(images[:2], masks[:2])
        with pytest.raises(ValueError, match="network must be what it was in fit, 'unet'; .* Fit again"):
            model.predict(images[0])

    def test_bad_values(self, small, pairs):
        images, masks = zip(*pairs)
        with pytest.raises(ValueError, match="diameter must be a number or 'auto'; got 'large'"):
            FlowSegmenter(**small, diameter="large").fit(images, masks)
        with pytest.raises(ValueError, match="diameter must be a number of at least 4; got 1"):
            FlowSegmenter(**small, diameter=1).fit(images, masks)


def test_scores_by_hand():
    true = [np.array([[1, 1, 0, 2, 2]]), np.array([[1, 1, 1, 0, 0]])]
    found = [np.array([[1, 1, 0, 2, 0]]), np.array([[0, 0, 0, 0, 1]])]
    # IoU 1, 0.5 and none: TP, FP, FN are 2, 1, 1 at 0.5, else 1, 2, 2; then without the first, without the second.
    expected = [(2 / 4 + 1 / 5 + 1 / 5) / 3, 0.0, (2 / 2 + 1 / 3 + 1 / 3) / 3]
    iou = [best_iou(*pair) for pair in zip(true, found, strict=True)]
    assert score_found(iou, np.array([2, 1])) == pytest.approx(expected)
    assert standard_error(np.array(expected)) == pytest.approx(np.sqrt(0.5 * 2 * (expected[2] / 2) ** 2))


class TestEstimates:
    @pytest.mark.parametrize("better", ["first", "second", "neither"])
    def test_fit_decides_on_validation_images(self, better, model, pairs, monkeypatch):
        images, masks = (list(part) for part in zip(*pairs))
        poor = [np.where(m % 3 == 0, 0, m) for m in masks]
        known = {"first": (masks, poor), "second": (poor, masks), "neither": (masks, masks)}[better]
        passes = [{address(i): outputs_of(m) for i, m in zip(images, part, strict=True)} for part in known]
        estimate_twice_the_size(model, monkeypatch, *passes)
        choose(model, [image[..., None] for image in images], masks)
        assert model.estimate_diameters_ is (better == "second")

    def test_with_few_objects_it_stays_off(self, model, pairs, monkeypatch):
        monkeypatch.setattr(Pipeline, "run_at", None)  # the network does not run
        image, masks = pairs[0]
        choose(model, [image[..., None]], [masks])
        assert model.estimate_diameters_ is False

    def test_by_default_within_the_training_images(self, model, pairs, monkeypatch):
        image = pairs[0][0]
        seen = watch_factors(monkeypatch)
        monkeypatch.setattr(size_estimate, "measure_diameter", lambda *_: 5000.0)
        set_sizes(model, Sizes(24.0, False, 5.0, 3 * model.diameter_))
        model.predict(image)
        assert seen == [24.0 / model.diameter_]
        model.set_params(estimate_diameters=True).predict(image)
        assert seen[1:] == [12.0 / model.diameter_, 24.0 / (3 * model.diameter_)]
        model.predict(image, diameters=10.0)  # a given diameter is not estimated
        assert seen[3:] == [24.0 / 10.0]
        with pytest.raises(ValueError, match="the estimated diameter of an image must be from 2 to 768 pixels"):
            model.predict(image, diameters="estimate")

    def test_the_size_of_the_first_pass_needs_no_second(self, model, pairs, monkeypatch):
        seen = watch_factors(monkeypatch)
        monkeypatch.setattr(size_estimate, "measure_diameter", lambda *_: 2.1 * model.diameter_)
        model.predict(pairs[0][0], diameters="estimate")
        assert len(seen) == 1

    def test_one_image_decides_nothing(self, model, pairs, monkeypatch):
        masks = np.kron(np.arange(1, 65).reshape(8, 8), np.ones((12, 12), int))
        poor = np.where(masks % 3 == 0, 0, masks)
        image = pairs[0][0]
        estimate_twice_the_size(
            model, monkeypatch, {address(image): outputs_of(poor)}, {address(image): outputs_of(masks)}
        )
        choose(model, [image[..., None]], [masks])
        assert model.estimate_diameters_ is False
        assert model.fitted_.decoding.thresholds == Thresholds()

    @pytest.mark.parametrize(
        ("found", "default", "asked"),
        [
            ({40: 60, 60: 150, 90: 200, 150: 148}, [40, 60, 90], [40, 60, 150]),  # larger than they looked
            ({40: 60, 60: 55}, [40, 60], [40, 60]),
            ({40: 60, 60: 50}, [40, 60], [40, 60]),  # not back again
            ({40: 12}, [40, 12], [40, 12]),  # smaller: that is the last
            ({40: 5}, [40, 10], [40, 6]),
            ({40: 60, 60: np.nan}, [40, 60], [40, 60]),
            ({40: 43}, [40], [40]),
            ({40: np.nan, 20: np.nan}, [40, 20], [40, 20]),  # found nothing: again at the typical size
            ({40: 24, 20: 21}, [40, 20], [40, 20]),  # about typical: a pass for the typical size decides
            ({40: 24, 20: 24, 24: 24}, [40, 20, 24], [40, 20, 24]),
            ({40: 17, 20: 17}, [40, 20, 17], [40, 20, 17]),
            ({40: 25, 25: 25}, [40, 25], [40, 25]),
            ({40: np.nan, 20: 60, 60: 60}, [40, 20, 60], [40, 20, 60]),
            ({40: np.nan, 20: 12}, [40, 20, 12], [40, 20, 12]),
        ],
    )
    def test_passes(self, found, default, asked, model, monkeypatch):
        for diameter, expected in ((None, default), ("estimate", asked)):
            seen = watch_passes(model, monkeypatch, found)
            outputs = pipeline_of(model).run(np.zeros((9, 9, 1)), diameter)
            assert seen == pytest.approx(expected)
            assert (outputs.array[0, 0, 0], 24.0 / outputs.factor) == pytest.approx((expected[-1], expected[-1]))

    def test_passes_come_to_an_end(self, model, monkeypatch):
        seen = watch_passes(model, monkeypatch, {k: 1.2 * k for k in range(1000)})
        pipeline_of(model).run(np.zeros((9, 9, 1)), "estimate")
        assert len(seen) == 8

    @pytest.mark.parametrize("cls", [FlowSegmenter, BoundarySegmenter])
    def test_kept_in_the_model_file(self, cls, pairs, small, tmp_path):
        images, masks = zip(*pairs)
        model = cls(**small).fit(images, masks)
        set_sizes(model, Sizes(28.5, True, 12.5, 31.0))
        model.save(tmp_path / "m.safetensors")
        again = cls.load(tmp_path / "m.safetensors")
        assert again.fitted_.sizes == model.fitted_.sizes
        assert again.estimate_diameters_ is True
        assert np.array_equal(again.predict(images[0]), model.predict(images[0]))

    def test_bad_values(self, pairs, small):
        images, masks = zip(*pairs)
        with pytest.raises(ValueError, match="estimate_diameters must be True, False or 'auto'; got 'always'"):
            FlowSegmenter(**small, estimate_diameters="always").fit(images, masks)
        with pytest.raises(TypeError, match="estimate_diameters must be True or False; got 1"):
            FlowSegmenter(**small, estimate_diameters=1).fit(images, masks)

    def test_an_estimate_enlarges_no_image_beyond_measure(self, model, pairs, monkeypatch):
        seen = watch_factors(monkeypatch)
        monkeypatch.setattr(size_estimate, "measure_diameter", lambda *_: 1.0)
        model.predict(pairs[0][0], diameters="estimate")
        assert seen[1] == pytest.approx(4.0)

    def test_an_estimate_depends_on_nothing_that_is_chosen_by_it(self, model, pairs):
        outputs = pipeline_of(model).run(pairs[0][0], model.diameter_)
        before = size_estimate.measure_diameter(pipeline_of(model), outputs)
        model.fitted_ = replace(model.fitted_, decoding=Decoding(Thresholds(2.0, 0.1, 400, None)))
        assert size_estimate.measure_diameter(pipeline_of(model), outputs) == before
        model.set_params(min_size=10**6)  # what the user says counts
        assert np.isnan(size_estimate.measure_diameter(pipeline_of(model), outputs))
