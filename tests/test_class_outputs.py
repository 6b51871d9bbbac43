"""Outputs for classes of objects: weighted features of a network, in every way in which it is run."""

import numpy as np
import pytest
from scipy.special import softmax

from flowseg import FlowSegmenter, load_segmenter, synthetic
from flowseg._nets import tiles
from flowseg._nets.inference import network_grid, view_image
from flowseg._nets.networks import build_resunet, build_unet
from flowseg._nets.object_classes.class_outputs import (
    PREFIX,
    add_class_outputs,
    set_class_weights,
    without_class_outputs,
)
from flowseg._nets.object_classes.pooled_features import FeaturePool
from flowseg._segmenters.object_classes.class_head import mean_outputs
from flowseg._segmenters.object_classes.weigh_features import (
    NEVER,
    Examples,
    find_temperature,
    learn_temperature,
    weigh_features,
)
from flowseg._segmenters.pipeline import pipeline_of

FILTERS = (4, 6, 8)
# Builder, levels that are not pooled along an axis, shape of an image.
NETWORKS = {
    "unet": (build_unet, (0, 0), (152, 200)),
    "resunet": (build_resunet, (0, 0), (152, 200)),
    "volumes": (build_unet, (1, 0, 0), (8, 24, 28)),
}


def make(name, seed=0):
    """A network with random class weights, the network without, those weights, and its grid."""
    build, coarse_levels, _ = NETWORKS[name]
    ndim = len(coarse_levels)
    plain = build(1, ndim + 1, filters=FILTERS, ndim=ndim, coarse_levels=coarse_levels, seed=seed)
    grid = network_grid(plain, is_custom=False, n_levels=3, n_channels=1, coarse_levels=coarse_levels)
    pool = FeaturePool(plain, 3, coarse_levels, grid)
    rng = np.random.default_rng(seed)
    weights = {block: rng.standard_normal((width, 2)) for block, width in pool.widths.items()}
    network = add_class_outputs(plain, 2, 3, coarse_levels)
    set_class_weights(network, weights, np.array([0.5, -1.0]))
    return network, plain, pool, weights


def draw(name):
    shape = NETWORKS[name][2]
    rng = np.random.default_rng(1)
    masks = rng.integers(0, 4, tuple(-(-n // 5) for n in shape))
    for axis in range(len(shape)):
        masks = np.repeat(masks, 5, axis)
    image = rng.random(shape).astype(np.float32)[..., np.newaxis]
    return image, masks[tuple(map(slice, shape))].astype(np.int32)


@pytest.mark.parametrize("name", NETWORKS)
def test_mean_logits_are_those_of_mean_features(name, monkeypatch):
    network, _, pool, weights = make(name)
    image, masks = draw(name)
    view = view_image(image, None, (1.0,) * masks.ndim)
    features = pool.pool(view, masks, 3)
    logits = np.asarray(network.predict_on_batch(image[np.newaxis]))[0, ..., -2:]
    expected = features @ np.concatenate([*weights.values()]) + np.array([0.5, -1.0])
    np.testing.assert_allclose(mean_outputs(masks, logits), expected, atol=1e-4)
    for constant in ("TILE_SIZE", "TILE_VOXELS"):
        monkeypatch.setattr(tiles, constant, 64)
    assert len(tiles.list_tiles(view.shape, pool._grid)) > 1 or masks.ndim == 3
    np.testing.assert_allclose(pool.pool(view, masks, 3), features, atol=1e-6)


def test_objects_without_pixels_have_no_features():
    _, _, pool, _ = make("unet")
    image, masks = draw("unet")
    features = pool.pool(view_image(image, None, (1.0, 1.0)), np.where(masks == 2, 0, masks), 3)
    assert np.isnan(features[1]).all()
    assert np.isfinite(features[[0, 2]]).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_other_outputs_stay_what_they_are(name):
    network, plain, _, _ = make(name)
    batch = np.random.default_rng(0).random((1, *(8 for _ in NETWORKS[name][1]), 1), dtype=np.float32)
    outputs = np.asarray(network.predict_on_batch(batch))
    np.testing.assert_array_equal(outputs[..., :-2], np.asarray(plain.predict_on_batch(batch)))
    again = without_class_outputs(network)
    assert not any(layer.name.startswith(PREFIX) for layer in again.layers)
    np.testing.assert_array_equal(np.asarray(again.predict_on_batch(batch)), outputs[..., :-2])
    assert without_class_outputs(plain) is plain


@pytest.fixture(scope="module")
def trained():
    images, masks = zip(*[synthetic.cells((80, 80), 8, rng=seed) for seed in range(4)], strict=True)
    classes = [{k: "abc"[k % 3] for k in range(1, int(m.max()) + 1)} for m in masks]
    settings = {"crop_size": 64, "batch_size": 2, "epochs": 1, "steps_per_epoch": 2, "random_state": 0}
    return FlowSegmenter(filters=FILTERS, **settings).fit(
        images[:3], masks[:3], classes=classes[:3], validation=(images[3:], masks[3:], None, classes[3:])
    )


def test_folded_saved_and_half_precision_networks_have_them(trained, tmp_path):
    image = synthetic.cells((80, 96), 8, rng=9)[0]
    batch = np.random.default_rng(0).random((1, 32, 40, 1), dtype=np.float32)
    expected = np.asarray(trained.network_.predict_on_batch(batch))
    assert expected.shape == (1, 32, 40, 6)
    assert np.ptp(expected[..., 3:]) > 0.1
    folded = np.asarray(pipeline_of(trained).runner.network.predict_on_batch(batch))
    np.testing.assert_allclose(folded, expected, atol=2e-5 * np.ptp(expected))
    trained.save(tmp_path / "model.safetensors")
    again = load_segmenter(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(np.asarray(again.network_.predict_on_batch(batch)), expected)
    half = pipeline_of(again.set_params(precision="bfloat16")).run(image).classes
    single = pipeline_of(trained).run(image).classes
    assert half.dtype == np.float32
    assert 0 < np.abs(half - single).max() < 0.05 * np.ptp(single)


def make_examples(n_classes, n=600):
    rng = np.random.default_rng(0)
    truth = rng.integers(0, n_classes, n)
    features = rng.standard_normal((n, 5)) * [1, 10, 0.1, 1, 0] + [0, 3, 1, 0, 7]
    features[:, 0] += truth
    features[:, 1] -= 10 * (truth == 1)
    return Examples(features, truth, np.arange(n) // 20)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_weights_agree_with_scikit_learn(n_classes):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    examples = make_examples(n_classes)
    found = weigh_features(examples, n_classes)
    assert (found.weights[4] == 0).all()  # of a feature that is constant
    scaled = StandardScaler().fit_transform(examples.features)
    model = LogisticRegression(C=1.0, max_iter=2000).fit(scaled, examples.truth)
    np.testing.assert_allclose(softmax(found.logits(examples.features), axis=1), model.predict_proba(scaled), atol=1e-3)


def test_a_class_without_objects_is_never_found():
    examples = make_examples(2)
    found = weigh_features(examples, 3)
    assert found.bias[2] == NEVER
    assert (found.logits(examples.features).argmax(axis=1) < 2).all()
    alone = weigh_features(examples.take(examples.truth == 1), 3)
    assert alone.logits(examples.features)[0].tolist() == [NEVER, 0, NEVER]


def test_the_temperature_is_that_of_objects_held_out():
    rng = np.random.default_rng(0)
    n = 60
    noise = Examples(rng.standard_normal((n, 80)), rng.integers(0, 2, n), np.arange(n) // 6)  # nothing to learn
    right = weigh_features(noise, 2).logits(noise.features).argmax(axis=1) == noise.truth
    assert right.mean() == 1
    assert learn_temperature(noise, 2) > 3
    known = make_examples(2)
    assert learn_temperature(known, 2) == pytest.approx(1, rel=0.3)
    one_image = Examples(known.features, known.truth, np.zeros(known.truth.size, dtype=int))
    assert learn_temperature(one_image, 2) == pytest.approx(1, rel=0.3)
    assert find_temperature(np.zeros((0, 2)), np.zeros(0, dtype=int)) == 1
    assert learn_temperature(known.take(known.images < 0), 2) == 1
