import subprocess
import sys
from filecmp import cmp
from functools import partial

import keras
import numpy as np
import pytest
from keras import layers

import flowseg
from flowseg._nets.custom_networks import check_network, measure_receptive_radii
from flowseg._nets.inference import CUSTOM_RADII, network_grid
from flowseg._nets.network_copies import make_network
from flowseg._nets.networks import pooling_steps, receptive_radii

KERAS_MINOR = int(keras.__version__.split(".")[1])
BUILDERS = [flowseg.build_unet, flowseg.build_resunet]
# A custom network for images, and one for volumes.
FITTING = {"n_channels": 1, "n_outputs": 3, "filters": (4,), "seed": 0, "crop_size": 32, "coarse_levels": (0, 0)}
FITTING_3D = FITTING | {"n_outputs": 4, "crop_size": 16, "coarse_levels": (0, 0, 0)}


@pytest.mark.backends
@pytest.mark.parametrize("build", BUILDERS)
def test_shapes_and_linear_head(build):
    network = build(2, 5, filters=(4, 8, 16), seed=0)
    images = np.random.default_rng(0).normal(size=(2, 32, 48, 2)).astype(np.float32)
    outputs = network.predict_on_batch(images)
    assert outputs.shape == (2, 32, 48, 5)
    assert outputs.min() < -0.1  # a ReLU would lose every negative component
    assert network.layers[-1].activation is keras.activations.linear
    check_network(network, n_channels=2, n_outputs=5, crop_shape=(32, 32))


@pytest.mark.backends
@pytest.mark.parametrize("build", BUILDERS)
def test_seed(build):
    first, again, other = (build(filters=(4, 8), seed=s).get_weights() for s in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(first, again))
    assert any(not np.array_equal(a, b) for a, b in zip(first, other))


def test_broad_shape():
    network = flowseg.build_unet(filters=(64, 128, 256, 512), seed=0)
    convolutions = [layer for layer in network.layers if isinstance(layer, layers.Conv2D)]
    assert len(convolutions) == 2 * 4 + 2 * 3 + 1
    assert [c.filters for c in convolutions[:8]] == [64, 64, 128, 128, 256, 256, 512, 512]
    assert all(c.kernel_size == (3, 3) for c in convolutions[:-1])


def change_from_beyond(network, image, axis, pixels, distance):
    """The largest change of an output at each pixel along an axis, by noise ``distance`` away from it and further."""
    rng = np.random.default_rng(0)
    others = image + 100 * rng.standard_normal((len(pixels), *image.shape)).astype(np.float32)
    for other, pixel in zip(others, pixels):
        near = (*[slice(None)] * axis, slice(max(pixel - distance + 1, 0), pixel + distance))
        other[near] = image[near]
    expected, *found = network.predict_on_batch(np.stack([image, *others]))
    return [np.abs((f - expected).take(pixel, axis)).max() for f, pixel in zip(found, pixels)]


# Outputs change by this at most where a machine adds the same numbers in another order.
ROUNDING = 2e-5


def check_radius(make, steps, radii, axis):
    """No pixel of a pooling window sees anything beyond the radius, and with some weights at least one sees as far."""
    step, radius = steps[axis], radii[axis]
    shape = [*steps, 1]
    shape[axis] = (2 * radius // step + 4) * step
    image = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    middle = shape[axis] // step // 2 * step
    pixels = range(middle, middle + step)
    at = 0.0
    for seed in range(4):
        network = make(seed=seed)
        beyond, at = (max(change_from_beyond(network, image, axis, pixels, r)) for r in (radius + 1, radius))
        assert beyond < ROUNDING
        if at > ROUNDING:
            return
    raise AssertionError(f"no pixel sees as far as {radius}: {at}")


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize("filters", [(4,), (4, 8), (4, 6, 8), (4, 4, 6, 8)])
def test_receptive_radius_holds(build, filters):
    network = build(filters=filters, seed=0)
    radii, steps = receptive_radii(len(filters), (0, 0)), pooling_steps(len(filters), (0, 0))
    assert radii[0] == 7 * 2 ** (len(filters) - 1) - 5
    assert steps[0] == 2 ** (len(filters) - 1)
    for axis in range(2):
        check_radius(partial(build, filters=filters), steps, radii, axis)
    # The experiment that finds the radius of a user's own network agrees, up to its step.
    largest = radii[0] + steps[0]
    assert max(measure_receptive_radii(network, 1, ndim=2, step=steps[0], largest=largest)) <= largest


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize("coarse_levels", [(0, 0, 0), (1, 0, 0), (2, 0, 1), (0, 2)])
def test_receptive_radius_along_coarse_axes(build, coarse_levels):
    make = partial(build, filters=(4, 4, 6), ndim=len(coarse_levels), coarse_levels=coarse_levels)
    radii, steps = receptive_radii(3, coarse_levels), pooling_steps(3, coarse_levels)
    assert [(steps[k], radii[k]) for k in range(2)] == [
        {0: (4, 23), 1: (2, 13), 2: (1, 10)}[n] for n in coarse_levels[:2]
    ]
    for axis in range(len(coarse_levels)):
        check_radius(make, steps, radii, axis)


@pytest.mark.parametrize("build", BUILDERS)
def test_coarse_axes_are_not_pooled_at_first(build):
    network = build(2, 5, filters=(4, 6, 8), ndim=3, coarse_levels=(1, 0, 2), seed=0)
    volumes = np.random.default_rng(0).normal(size=(2, 6, 8, 3, 2)).astype(np.float32)
    outputs = network.predict_on_batch(volumes)
    assert outputs.shape == (2, 6, 8, 3, 5)
    assert outputs.min() < -0.1
    by_name = {layer.name: layer for layer in network.layers}
    for level in range(3):
        for part in ("encoder", "decoder") if level < 2 else ("encoder",):
            assert all(by_name[f"{part}_{level}_conv_{k}"].kernel_size == (3, 3, 3) for k in range(2))
    assert [by_name[f"down_{level}"].pool_size for level in (1, 2)] == [(1, 2, 1), (2, 2, 1)]
    assert [tuple(by_name[f"up_{level}"].size) for level in range(2)] == [(1, 2, 1), (2, 2, 1)]


@pytest.mark.parametrize("build", BUILDERS)
def test_the_default_is_as_many_outputs_as_flows_take(build):
    assert build(filters=(4, 8)).output_shape == (None, None, None, 3)
    assert build(filters=(4, 8), ndim=3).output_shape == (None, None, None, None, 4)
    assert build(filters=(4, 8), ndim=3, seed=0).count_params() > build(filters=(4, 8), seed=0).count_params()


class Subclassed(keras.Model):
    pass


class WithoutConfig(layers.Layer):
    """A layer whose parameter Keras cannot write down by itself."""

    def __init__(self, function):
        super().__init__()
        self.call = function


def layered(layer):
    inputs = keras.Input((None, None, 1))
    return keras.Model(inputs, layer(layers.Conv2D(3, 3, padding="same")(inputs)))


def own_unet(activation=None, *, global_layer=False, channels=1, size=None, padding="same", poolings=0):
    inputs = keras.Input((size, size, channels))
    x = layers.Conv2D(6, 3, padding=padding, activation="relu")(inputs)
    for _ in range(poolings):
        x = layers.MaxPooling2D(2)(x)
    if global_layer:
        x = x + layers.GlobalAveragePooling2D(keepdims=True)(x)
    return keras.Model(inputs, layers.Conv2D(3, 1, activation=activation)(x))


@pytest.mark.parametrize(
    ("network", "error", "sentence"),
    [
        (lambda: own_unet("relu"), ValueError, "network must end in a linear layer .* got relu"),
        (lambda: own_unet("sigmoid"), ValueError, "got sigmoid"),
        (lambda: own_unet(channels=3), ValueError, r"inputs of shape \(None, None, None, 1\)"),
        (lambda: own_unet(size=64), ValueError, "any number of rows and columns"),
        (
            lambda: keras.Sequential([keras.Input((None, None, 1)), layers.Conv2D(2, 1)]),
            ValueError,
            "must give outputs",
        ),
        (lambda: layered(layers.LeakyReLU()), ValueError, "got LeakyReLU"),
        (lambda: layered(layers.Activation("tanh")), ValueError, "got tanh"),
        (lambda: layered(keras.Sequential([keras.Input((None, None, 3)), layers.ReLU()])), ValueError, "got ReLU"),
        (lambda: layered(keras.ops.relu), ValueError, "got Relu"),
        (lambda: layered(lambda x: keras.ops.maximum(x, 0.0)), ValueError, "got Maximum"),
        (lambda: layered(lambda x: layers.Activation("linear")(layers.ReLU()(x))), ValueError, "got ReLU"),
        (
            lambda: layered(lambda x: keras.ops.cast(layers.Dropout(0.1)(keras.ops.relu(x)), "float32")),
            ValueError,
            "Relu",
        ),
        # One head for the flows, one for the foreground.
        (
            lambda: layered(lambda x: layers.Concatenate()([x[..., :2], keras.ops.sigmoid(x[..., :1])])),
            ValueError,
            "Sigm",
        ),
        (lambda: layered(lambda x: layers.Concatenate()([layers.ReLU()(x)[..., :2], x[..., :1]])), ValueError, "ReLU"),
        (lambda: layered(lambda x: layers.Rescaling(2.0, -1.0)(layers.Activation("tanh")(x))), ValueError, "got tanh"),
        (
            lambda: layered(lambda x: layers.UpSampling2D(2)(layers.ReLU()(layers.MaxPooling2D(2)(x)))),
            ValueError,
            "ReLU",
        ),
        pytest.param(
            lambda: layered(layers.Lambda(lambda x: x / 255)),
            ValueError,
            "layers that Keras can copy",
            marks=pytest.mark.skipif(KERAS_MINOR < 15, reason="Keras 3.10 copies them"),
        ),
        (lambda: layered(WithoutConfig(lambda x: x / 255)), ValueError, "layers that Keras can copy"),
        (lambda: layered(layers.Conv2D(3, 1, dtype="bfloat16")), ValueError, "weights of float32, .* got bfloat16"),
        (lambda: Subclassed(), TypeError, "must be a functional or sequential keras.Model .* got Subclassed"),
        (lambda: own_unet(padding="valid"), ValueError, r"must give outputs of shape \(1, 32, 32, 3\)"),
        # Where nothing is left to pool TensorFlow fails on some machines and gives an empty output on others.
        (
            lambda: own_unet(poolings=6),
            ValueError,
            r"network must (run on crops of shape .* it failed with|give .* \(1, 0, 0)",
        ),
        (lambda: "no network", TypeError, "network must be or build a keras.Model; got str"),
    ],
)
def test_networks_that_do_not_fit(network, error, sentence):
    with pytest.raises(error, match=sentence):
        make_network(lambda *_: network(), **FITTING)


def test_two_linear_heads():
    def build(n_channels, n_outputs):
        inputs = keras.Input((None, None, n_channels))
        heads = [layers.Conv2D(n, 1)(layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)) for n in (2, 1)]
        return keras.Model(inputs, layers.Concatenate()(heads))

    assert make_network(build, **FITTING).output_shape[-1] == 3


@pytest.mark.parametrize(
    ("name", "usual", "other"),
    [("image_data_format", "channels_last", "channels_first"), ("floatx", "float32", "float64")],
)
def test_settings_of_keras_that_a_user_has_changed(name, usual, other):
    image, _ = flowseg.synthetic.cells((64, 64), 5, rng=0)
    expected = flowseg.FlowSegmenter.from_pretrained("nuclei").predict(image)
    getattr(keras.config, f"set_{name}")(other)
    try:
        found = flowseg.FlowSegmenter.from_pretrained("nuclei").predict(image)
    finally:
        getattr(keras.config, f"set_{name}")(usual)
    assert np.array_equal(found, expected)


def test_a_global_layer_is_found_out():
    with pytest.raises(ValueError, match="depend on a bounded neighborhood"):
        measure_receptive_radii(own_unet(global_layer=True), 1, ndim=2, step=16, largest=64)


def own_volume_network(*, global_layer=False, size=None, kernel=(3, 3, 3), activation=None):
    inputs = keras.Input((size, None, None, 1))
    x = layers.Conv3D(4, kernel, padding="same", activation="relu")(inputs)
    if global_layer:
        x = x + layers.GlobalAveragePooling3D(keepdims=True)(x)
    return keras.Model(inputs, layers.Conv3D(4, 1, activation=activation)(x))


def test_a_custom_network_for_volumes():
    network = make_network(lambda *_: own_volume_network(kernel=(1, 5, 37)), **FITTING_3D)
    found = network_grid(network, is_custom=True, n_levels=1, n_channels=1, coarse_levels=(0, 0, 0))
    assert found == ((16, 16, 16), (16, 16, 32))
    assert CUSTOM_RADII[3] >= receptive_radii(4, (0,))[0]
    sentence = "bounded neighborhood .* in volumes on pixels at most 64 away; .* along axis 0"
    network = own_volume_network(global_layer=True)
    with pytest.raises(ValueError, match=sentence):
        network_grid(network, is_custom=True, n_levels=1, n_channels=1, coarse_levels=(0, 0, 0))


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        (
            lambda: own_volume_network(size=8),
            r"inputs of shape \(None, None, None, None, 1\), any number of planes, rows",
        ),
        (own_unet, r"inputs of shape \(None, None, None, None, 1\), .*; got \(None, None, None, 1\)"),
        (lambda: own_volume_network(activation="tanh"), "got tanh"),
        (
            lambda: keras.Sequential([keras.Input((None, None, None, 1)), layers.Conv3D(4, 3)]),
            r"outputs of shape \(1, 16, 16, 16, 4\) for crops of shape \(1, 16, 16, 16, 1\); got \(1, 14, 14, 14, 4\)",
        ),
    ],
)
def test_networks_that_do_not_fit_volumes(network, sentence):
    with pytest.raises(ValueError, match=sentence):
        make_network(lambda *_: network(), **FITTING_3D)


def test_what_leaves_values_as_they_are_is_no_activation():
    own = layered(lambda x: layers.Identity()(layers.Dropout(0.1)(layers.Activation("linear")(x))))
    assert make_network(own, **FITTING).count_params() == 30


def test_a_model_is_copied_with_its_weights():
    mine = own_unet()
    copy = make_network(mine, **FITTING)
    assert copy is not mine
    assert all(np.array_equal(a, b) for a, b in zip(copy.get_weights(), mine.get_weights()))


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"n_channels": 0}, ValueError, "n_channels must be an integer of at least 1; got 0"),
        ({"filters": ()}, TypeError, "filters must be a sequence of integers"),
        ({"filters": 32}, TypeError, "filters must be a sequence of integers, one per level; got 32"),
        ({"filters": (8, 0)}, ValueError, r"filters\[1\] must be an integer of at least 1; got 0"),
        ({"seed": -1}, ValueError, "seed must be an integer of at least 0"),
        ({"ndim": 4}, ValueError, "ndim must be 2 for images or 3 for volumes; got 4"),
        ({"coarse_levels": (1,)}, ValueError, r"coarse_levels must be 2 integers, one per axis; got \(1,\)"),
        ({"coarse_levels": (0, -1)}, ValueError, r"coarse_levels\[1\] must be an integer of at least 0; got -1"),
        (
            {"coarse_levels": (0, 2), "filters": (4, 8)},
            ValueError,
            r"coarse_levels must be at most 1, the number of poolings; got \(0, 2\)",
        ),
    ],
)
def test_refuses(arguments, error, sentence):
    with pytest.raises(error, match=sentence):
        flowseg.build_unet(**arguments)


@pytest.mark.thorough  # other tests train twice, and on a busy machine side by side with others
def test_two_trainings_side_by_side_give_the_same_bytes(tmp_path):
    # Two processes that take the cores from each other, as on a busy machine: sums in another order would show.
    code = """
import sys
from flowseg import FlowSegmenter, synthetic
images, masks = zip(*[synthetic.cells((128, 128), 16, rng=seed) for seed in range(2)])
model = FlowSegmenter(filters=(8, 16), epochs=1, steps_per_epoch=4, flow_threshold=None, random_state=0)
model.fit(images, masks).save(sys.argv[1])
"""
    files = [tmp_path / f"{k}.safetensors" for k in range(2)]
    runs = [subprocess.Popen([sys.executable, "-c", code, str(file)]) for file in files]
    assert [run.wait() for run in runs] == [0, 0]
    assert cmp(*files, shallow=False)
