"""Networks are float32 whatever Keras is set to, and are not used in forked processes."""

import multiprocessing
import os
import sys
from contextlib import contextmanager

import keras
import numpy as np
import pytest

import flowseg
from flowseg import FlowSegmenter

SETTINGS = {"epochs": 1, "steps_per_epoch": 2}


@contextmanager
def set_to(precision):
    """Another precision than float32 for what the user makes."""
    policy, float_type = keras.config.dtype_policy(), keras.config.floatx()
    if precision.startswith("floatx "):
        precision = precision.removeprefix("floatx ")
        keras.config.set_floatx(precision)
    keras.config.set_dtype_policy(precision)
    before = keras.config.dtype_policy().name, keras.config.floatx()
    try:
        yield
        assert (keras.config.dtype_policy().name, keras.config.floatx()) == before
    finally:
        keras.config.set_floatx(float_type)
        keras.config.set_dtype_policy(policy)


def build(n_channels, n_outputs):
    inputs = keras.Input((None, None, n_channels))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    return keras.Model(inputs, keras.layers.Conv2D(n_outputs, 1)(x))


@pytest.fixture(scope="module")
def expected(pairs, small):
    return FlowSegmenter(**small | SETTINGS).fit(*zip(*pairs))


@pytest.mark.parametrize("precision", ["float64", "mixed_float16", "mixed_bfloat16", "floatx float16"])
def test_models_are_float32(precision, expected, pairs, small, tmp_path):
    images, masks = zip(*pairs)
    with set_to(precision):
        model = FlowSegmenter(**small | SETTINGS).fit(images, masks)
        model.save(tmp_path / "model.safetensors")
        again = FlowSegmenter.load(tmp_path / "model.safetensors")
        found = again.predict_flows(images[0])[1]
    assert {str(w.dtype) for w in again.network_.weights} == {"float32"}
    weights, others = expected.network_.get_weights(), again.network_.get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(weights, others, strict=True))
    assert np.array_equal(found, expected.predict_flows(images[0])[1])


def test_networks_of_the_users_own_are_float32(pairs, small, tmp_path):
    images, masks = zip(*pairs)
    with set_to("mixed_float16"):
        model = FlowSegmenter(network=build, **small | SETTINGS).fit(images, masks)
        model.save(tmp_path / "model.safetensors")
        again = FlowSegmenter.load(tmp_path / "model.safetensors", network=build)
    assert {str(w.dtype) for w in again.network_.weights} == {"float32"}
    assert {layer.compute_dtype for layer in again.network_.layers} == {"float32"}


def in_a_fork(work):
    """What a forked process says, or None if it does not end within a minute."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def target():
        try:
            theirs.send(repr(work()))
        except Exception as error:  # noqa: BLE001  # to be seen there
            theirs.send(f"{type(error).__name__}: {error}")
        os._exit(0)

    process = context.Process(target=target)
    process.start()
    said = ours.recv() if ours.poll(60) else None
    process.kill()
    process.join()
    return said


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_is_refused_at_once(fitted, pairs, small):
    images, masks = zip(*pairs)
    model = fitted["FlowSegmenter"]
    model.predict(images[0])
    refusal = "RuntimeError: a segmenter must not be used in a process that was forked after its network was loaded"
    for work in (
        lambda: model.predict(images[0]),
        lambda: model.score(images[:1], masks[:1]),
        lambda: model.save("nowhere.safetensors"),
        lambda: FlowSegmenter.from_pretrained("nuclei"),
        lambda: FlowSegmenter(**small).fit(images, masks),
    ):
        said = in_a_fork(work)
        assert said is not None
        assert said.startswith(refusal)
        assert "spawn" in said
    flows = flowseg.masks_to_flows(masks[0])  # the array functions need no network
    assert in_a_fork(lambda: np.array_equal(flowseg.masks_to_flows(masks[0]), flows)) == "True"


@pytest.mark.parametrize(("diameter", "works"), [(1, False), (1.9, False), (5, True), (1000, False)])
def test_images_are_not_blown_up(diameter, works):
    model = FlowSegmenter.from_pretrained("nuclei")
    image, _ = flowseg.synthetic.cells((32, 32), 3, rng=0)
    if works:
        assert model.predict(image, diameters=diameter).shape == (32, 32)
        return
    change = "enlarge" if diameter < 24 else "reduce"
    with pytest.raises(ValueError, match=rf"diameters must be from 2 to 768 pixels .*, which would {change} the image"):
        model.predict(image, diameters=diameter)
