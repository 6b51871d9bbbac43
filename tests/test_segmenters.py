"""The two segmenters: forms of input and output, what they learn, copies, scikit-learn's contract."""

import pickle
from copy import deepcopy
from decimal import Decimal

import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score

import flowseg
from flowseg import BoundarySegmenter, FlowSegmenter

BOTH = [FlowSegmenter, BoundarySegmenter]


def weights(segmenter):
    return segmenter.network_.get_weights()


@pytest.fixture(params=BOTH, ids=lambda cls: cls.__name__)
def segmenter(request, fitted):
    return fitted[request.param.__name__]


def test_forms_of_input_and_output(segmenter, pairs):
    images = [image for image, _ in pairs]
    one = segmenter.predict(images[0])
    assert isinstance(one, np.ndarray)
    assert (one.shape, one.dtype) == (images[0].shape, np.int32)
    several = segmenter.predict([images[0], images[1][:50, :33]])
    assert isinstance(several, list)
    assert [m.shape for m in several] == [(96, 96), (50, 33)]
    assert np.array_equal(several[0], one)
    stack = segmenter.predict(np.stack(images[:2]))
    assert stack.shape == (2, 96, 96)
    assert np.array_equal(stack[0], one)
    assert np.array_equal(segmenter.predict(images[0][..., None]), one)
    before = images[0].copy()
    segmenter.predict(images[0])
    assert np.array_equal(images[0], before)


def test_what_comes_before_masks(fitted, pairs):
    image = pairs[0][0]
    model = fitted["FlowSegmenter"]
    flows, cellprob = model.predict_flows(image)
    assert (flows.shape, cellprob.shape) == ((2, 96, 96), (96, 96))
    assert flows.dtype == cellprob.dtype == np.float32
    assert np.array_equal(flowseg.flows_to_masks(flows, cellprob), model.predict(image))
    assert len(model.predict_flows([image, image])) == 2
    classes = fitted["BoundarySegmenter"].predict_classes(image)
    assert classes.shape == (96, 96, 3)
    assert classes.sum(axis=-1) == pytest.approx(np.ones((96, 96)), abs=1e-5)


def test_learned_attributes(segmenter, pairs):
    assert segmenter.diameter_ == pytest.approx(np.median([np.median(flowseg.diameters(m)) for _, m in pairs]), rel=0.1)
    assert len(segmenter.history_["loss"]) == len(segmenter.history_["val_loss"]) == 2
    assert isinstance(segmenter.network_, keras.Model)


def test_color_images(pairs, small):
    images = [np.stack([image, image**2, 1 - image], axis=-1) for image, _ in pairs]
    model = FlowSegmenter(n_channels=3, **small).fit(images, [m for _, m in pairs])
    assert model.predict(images[0]).shape == (96, 96)
    assert model.predict(np.stack(images[:3])).shape == (3, 96, 96)
    with pytest.raises(ValueError, match=r"images must have 3 channels, .* got shape \(96, 96\)"):
        model.predict(images[0][..., 0])


def test_small_and_odd_images(segmenter):
    rng = np.random.default_rng(0)
    for shape in ((1, 40), (40, 1), (1, 2), (3, 3), (65, 127)):
        assert segmenter.predict(rng.random(shape)).shape == shape


def test_known_diameters_change_the_scale(fitted, pairs):
    model, image = fitted["FlowSegmenter"], pairs[0][0]
    assert np.array_equal(model.predict(image, diameters=model.diameter_), model.predict(image))
    twice = model.predict_flows(image, diameters=2 * model.diameter_)[1]
    assert not np.array_equal(twice, model.predict_flows(image)[1])
    assert len(model.predict([image, image], diameters=[None, 20.0])) == 2


@pytest.mark.parametrize("copy", [lambda m: pickle.loads(pickle.dumps(m)), deepcopy], ids=["pickle", "deepcopy"])
def test_copies_of_a_fitted_segmenter(segmenter, copy, pairs):
    assert np.array_equal(copy(segmenter).predict(pairs[0][0]), segmenter.predict(pairs[0][0]))


@pytest.mark.parametrize(
    ("name", "value"), [("n_channels", 3), ("filters", (4, 8)), ("filters", (8, 16, 32)), ("diameter", 50.0)]
)
def test_what_fit_has_fixed_cannot_be_changed_after_it(segmenter, name, value, pairs, tmp_path):
    changed = deepcopy(segmenter).set_params(**{name: value})
    for call in (lambda: changed.predict(pairs[0][0]), lambda: changed.save(tmp_path / "m")):
        with pytest.raises(ValueError, match=f"{name} must be what it was in fit"):
            call()


def test_a_subclass_loads_what_its_parent_saved(fitted, tmp_path):
    class Mine(FlowSegmenter):
        pass

    assert isinstance(Mine.from_pretrained("nuclei"), Mine)
    fitted["FlowSegmenter"].save(tmp_path / "a.safetensors")
    Mine.load(tmp_path / "a.safetensors").save(tmp_path / "b.safetensors")
    assert type(flowseg.load_segmenter(tmp_path / "b.safetensors")) is FlowSegmenter
    with pytest.raises(ValueError, match="must hold a BoundarySegmenter; got a FlowSegmenter"):
        BoundarySegmenter.load(tmp_path / "b.safetensors")


class TestScikitLearn:
    def test_parameters(self):
        for cls in BOTH:
            model = cls(epochs=3, filters=(4, 8))
            assert model.get_params()["epochs"] == 3
            assert clone(model.set_params(diameter=30.0)).diameter == 30.0
            assert repr(model).startswith(cls.__name__ + "(")

    def test_making_one_is_cheap(self):
        nonsense = FlowSegmenter(epochs="many")  # __init__ stores, fit checks
        assert nonsense.epochs == "many"

    def test_grid_search_and_cross_validation_on_lists_of_many_sizes(self, small):
        pairs = [flowseg.synthetic.cells((64 + 9 * k, 70), 4, rng=k) for k in range(6)]
        images, masks = (list(part) for part in zip(*pairs))
        model = FlowSegmenter(**small | {"epochs": 1, "steps_per_epoch": 2})
        scores = cross_val_score(model, images, masks, cv=2, error_score="raise")
        assert scores.shape == (2,)
        search = GridSearchCV(model, {"flow_threshold": [0.4, None]}, cv=2, error_score="raise").fit(images, masks)
        assert search.predict(images[:1])[0].shape == (64, 70)


def test_learned_sizes_of_an_unfitted_segmenter():
    for name in ("working_diameter_", "estimate_diameters_"):
        with pytest.raises(NotFittedError):
            getattr(FlowSegmenter(), name)


def test_numbers_of_every_kind_are_saved(pairs, small, tmp_path):
    images, masks = zip(*pairs)
    odd = {"learning_rate": np.array(1e-3), "min_size": np.array(15), "epochs": np.array(1), "diameter": Decimal(30)}
    model = FlowSegmenter(**(small | odd | {"filters": [8, 16]})).fit(images, masks)
    model.save(tmp_path / "m.safetensors")
    again = FlowSegmenter.load(tmp_path / "m.safetensors")
    assert {name: again.get_params()[name] for name in odd} == {n: float(v) for n, v in odd.items()}
    model.filters[0] = 4  # the list that the segmenter was given
    with pytest.raises(ValueError, match="filters must be what it was in fit"):
        model.save(tmp_path / "m.safetensors")
    model.set_params(filters=(8, 16))
    for call in (model.save, FlowSegmenter.load):
        with pytest.raises(TypeError, match="path must be a path; got 5"):
            call(5)
