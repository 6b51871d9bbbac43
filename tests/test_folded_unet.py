"""The network for prediction is the trained one, rearranged."""

import pickle
from copy import deepcopy

import keras
import numpy as np
import pytest

import flowseg
from flowseg._nets.backends import FOLDED
from flowseg._nets.folded_unet import FoldedUNet
from flowseg._nets.prediction_network import PredictionNetwork
from flowseg._segmenters.pipeline import pipeline_of


def with_random_weights(network, seed):
    """Give every weight a value that counts, as after a training: variances are above 0."""
    rng = np.random.default_rng(seed)
    network.set_weights([(0.5 + rng.random(w.shape)) * rng.choice([-1, 1], w.shape) for w in network.get_weights()])
    for weight in network.weights:
        if weight.path.endswith("variance"):
            weight.assign(abs(weight))
    return network


@pytest.mark.backends
@pytest.mark.parametrize(
    ("filters", "coarse_levels", "shape"),
    [
        ((3, 4, 5), (0, 0), (2, 24, 36, 2)),
        ((3, 4), (0, 0, 0), (1, 6, 8, 10, 1)),
        ((3, 4, 5), (1, 0, 0), (1, 6, 8, 12, 1)),
        ((3, 4, 5), (2, 0, 1), (1, 5, 8, 6, 1)),
    ],
)
def test_same_outputs_up_to_the_edges(filters, coarse_levels, shape):
    ndim = len(coarse_levels)
    network = flowseg.build_unet(shape[-1], 3, filters=filters, ndim=ndim, coarse_levels=coarse_levels, seed=0)
    with_random_weights(network, seed=0)
    images = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    expected = network.predict_on_batch(images)
    found = FoldedUNet(network, len(filters), coarse_levels).of(network).predict_on_batch(images)
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_follows_the_weights():
    network = with_random_weights(flowseg.build_unet(1, 3, filters=(3, 4), seed=0), seed=0)
    image = np.random.default_rng(1).standard_normal((1, 8, 8, 1)).astype(np.float32)
    folded = FoldedUNet(network, 2, (0, 0))
    before = folded.of(network).predict_on_batch(image)
    assert folded.of(network) is folded.of(network)
    with_random_weights(network, seed=1)
    after = folded.of(network).predict_on_batch(image)
    assert not np.allclose(after, before)
    np.testing.assert_allclose(after, network.predict_on_batch(image), rtol=1e-4, atol=1e-4 * np.abs(after).max())


@pytest.mark.skipif(keras.config.backend() not in FOLDED, reason="on this backend, networks stay as they were trained")
def test_segmenters_predict_with_it(fitted):
    segmenter = fitted["FlowSegmenter"]
    network = pipeline_of(segmenter).runner.network
    assert network.name == "folded_unet"
    assert pipeline_of(segmenter).runner.network is network  # built once


def test_other_networks_and_backends_stay_as_they_are(fitted, monkeypatch):
    segmenter = deepcopy(fitted["FlowSegmenter"])
    network = segmenter.network_
    monkeypatch.setattr("keras.config.backend", lambda: "jax")
    assert pipeline_of(segmenter).runner.network is network
    monkeypatch.undo()
    segmenter.set_params(network=network)
    object.__setattr__(segmenter.fitted_, "fixed", segmenter.fitted_.fixed._replace(network=network))
    assert pipeline_of(segmenter).runner.network is network


def test_copies_are_without_it():
    kept = PredictionNetwork()
    kept.halve(kept.fold(flowseg.build_unet(1, 3, filters=(3, 4), seed=0), n_levels=2, coarse_levels=(0, 0)))
    for copy in (deepcopy(kept), pickle.loads(pickle.dumps(kept))):
        assert copy._folded is copy._half is None
