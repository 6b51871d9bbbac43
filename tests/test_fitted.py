"""What `fit` learns is one value; outputs and masks come by one pipeline, whoever asks."""

import dataclasses
import pickle
from copy import deepcopy

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from flowseg import BoundarySegmenter, FlowSegmenter
from flowseg._segmenters.pipeline import pipeline_of

BOTH = [FlowSegmenter, BoundarySegmenter]
LEARNED = ["network_", "diameter_", "working_diameter_", "estimate_diameters_", "history_", "validation_ap_"]


@pytest.mark.parametrize("cls", BOTH)
def test_without_a_training_there_is_nothing_of_it(cls):
    for segmenter in (cls(), clone(cls()), pickle.loads(pickle.dumps(cls())), deepcopy(cls())):
        assert vars(segmenter) == segmenter.get_params()
        for name in LEARNED:
            assert not hasattr(segmenter, name)
            with pytest.raises(NotFittedError, match=f"This {cls.__name__} is not trained yet: call fit"):
                getattr(segmenter, name)
        with pytest.raises(NotFittedError):
            check_is_fitted(segmenter)
        with pytest.raises(NotFittedError, match=f"This {cls.__name__} is not trained yet: call fit"):
            pipeline_of(segmenter)


@pytest.mark.parametrize("cls", BOTH)
def test_all_that_is_learned_is_one_value(cls, fitted):
    segmenter = fitted[cls.__name__]
    check_is_fitted(segmenter)
    assert set(vars(segmenter)) == {*segmenter.get_params(), "fitted_"}
    with pytest.raises(dataclasses.FrozenInstanceError):
        segmenter.fitted_.diameter = 3.0
    for name in LEARNED:
        with pytest.raises(AttributeError):
            setattr(segmenter, name, None)
    assert segmenter.network_ is segmenter.fitted_.network
    assert not hasattr(clone(segmenter), "fitted_")


def test_a_pipeline_has_the_parameters_of_when_it_was_made(fitted, pairs):
    image = pairs[0][0]
    segmenter = deepcopy(fitted["FlowSegmenter"])
    pipeline = pipeline_of(segmenter)
    expected = segmenter.predict(image)
    segmenter.set_params(min_size=10**6)
    assert not segmenter.predict(image).any()
    assert np.array_equal(pipeline.decode(pipeline.run(image)), expected)


def test_tiles_are_reported(fitted, pairs):
    done = []
    pipeline_of(fitted["FlowSegmenter"], on_tile=lambda *n: done.append(n)).run(pairs[0][0])
    assert done == [(1, 1)]


def test_three_classes_have_neither_flows_nor_thresholds_nor_tables(fitted, pairs):
    three, flows = (pipeline_of(fitted[cls.__name__]) for cls in (BoundarySegmenter, FlowSegmenter))
    assert (three.has_flows, flows.has_flows) == (False, True)
    assert three.thresholds is None
    assert flows.thresholds.min_size == fitted["FlowSegmenter"].min_size_
    outputs = three.run(pairs[0][0])
    assert three.decode_objects(outputs)[1] is None
    with pytest.raises(TypeError, match="outputs must be those of flows"):
        three.flows(outputs)
