"""Networks are float32 whatever Keras is set to, and are not used in forked processes."""

import multiprocessing
import os
import sys

import keras
import numpy as np
import pytest

import flowseg
from flowseg import BoundarySegmenter, FlowSegmenter

POLICIES = ["float64", "mixed_float16", "mixed_bfloat16"]


@pytest.fixture(params=[*POLICIES, "floatx float16", "floatx float64"])
def precision(request):
    """Another precision than float32 for what the user makes."""
    policy, float_type = keras.config.dtype_policy(), keras.config.floatx()
    if request.param.startswith("floatx "):
        keras.config.set_floatx(request.param.split()[1])
        keras.config.set_dtype_policy(request.param.split()[1])
    else:
        keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_floatx(float_type)
    keras.config.set_dtype_policy(policy)


def build(n_channels, n_outputs):
    inputs = keras.Input((None, None, n_channels))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    return keras.Model(inputs, keras.layers.Conv2D(n_outputs, 1)(x))


def test_models_are_float32(precision, pairs, small, fitted, tmp_path):
    images, masks = zip(*pairs)
    settings = small | {"epochs": 1, "steps_per_epoch": 2}
    before = keras.config.dtype_policy().name, keras.config.floatx()
    for model in (FlowSegmenter(**settings), BoundarySegmenter(**settings), FlowSegmenter(network=build, **settings)):
        model.fit(images, masks)
        assert {str(w.dtype) for w in model.network_.weights} == {"float32"}
        model.save(tmp_path / "model.safetensors")
        network = None if isinstance(model.network, str) else build
        again = type(model).load(tmp_path / "model.safetensors", network=network)
        assert {str(w.dtype) for w in again.network_.weights} == {"float32"}
        assert np.array_equal(again.predict(images[0]), model.predict(images[0]))
    assert (keras.config.dtype_policy().name, keras.config.floatx()) == before
    # The same model gives the same outputs, whatever is set when it is used.
    one = fitted["FlowSegmenter"]
    _, cellprob = one.predict_flows(images[0])
    keras.config.set_dtype_policy("float32")
    keras.config.set_floatx("float32")
    assert np.array_equal(one.predict_flows(images[0])[1], cellprob)


def test_the_same_weights_under_another_precision(precision, pairs, small):
    images, masks = zip(*pairs)
    settings = small | {"epochs": 1, "steps_per_epoch": 2}
    there = FlowSegmenter(**settings).fit(images, masks).network_.get_weights()
    keras.config.set_dtype_policy("float32")
    keras.config.set_floatx("float32")
    here = FlowSegmenter(**settings).fit(images, masks).network_.get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(there, here, strict=True))


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
