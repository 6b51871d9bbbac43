"""Networks as ONNX files: the outputs of Keras, in other programs."""

import json
import runpy
import sys
from filecmp import cmp
from pathlib import Path

import numpy as np
import pytest

import flowseg
from flowseg import synthetic

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from flowseg._export.onnx_graph import GraphWriter  # noqa: E402
from flowseg._export.onnx_operations import EXPECTED  # noqa: E402
from flowseg._nets.object_classes.class_outputs import add_class_outputs  # noqa: E402

EXAMPLE = Path(__file__).parents[1] / "docs" / "how_to" / "export_onnxruntime.py"

# Builder, its options, and three shapes of images.
NETWORKS = {
    "unet": ("build_unet", {"filters": (4, 8, 8), "n_channels": 2}, [(12, 16), (32, 20), (4, 4)]),
    "resunet": ("build_resunet", {"filters": (4, 8, 8)}, [(12, 16), (32, 20), (4, 4)]),
    "unet-one-level": ("build_unet", {"filters": (4,), "n_outputs": 5}, [(7, 5), (1, 1), (32, 20)]),
    "unet-volumes": (
        "build_unet",
        {"filters": (4, 4, 8), "ndim": 3, "coarse_levels": (1, 0, 0)},
        [(6, 8, 12), (2, 4, 4), (3, 4, 4)][:2] + [(4, 12, 8)],
    ),
    "resunet-volumes": ("build_resunet", {"filters": (4, 4), "ndim": 3}, [(6, 8, 12), (2, 4, 4), (4, 12, 8)]),
}


def scatter(network, rng):
    """Give a network weights as after a training: no normalization is the identity."""
    weights = [rng.normal(0.3, 0.5, weight.shape).astype(np.float32) for weight in network.get_weights()]
    names = [weight.path for weight in network.weights]
    network.set_weights([np.abs(w) + 0.1 if "variance" in name else w for w, name in zip(weights, names, strict=True)])


def make_session(network, divisors):
    graph = GraphWriter(network).write(divisors)
    model = onnx.helper.make_model(graph, ir_version=7, opset_imports=[onnx.helper.make_opsetid("", 13)])
    onnx.checker.check_model(model, full_check=True)
    return model, onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_are_those_of_keras(name):
    builder, options, shapes = NETWORKS[name]
    network = getattr(flowseg, builder)(**options, seed=0)
    rng = np.random.default_rng(1)
    scatter(network, rng)
    divisors = np.linspace(1, 5, network.output_shape[-1], dtype=np.float32)
    model, session = make_session(network, divisors)
    for n, shape in enumerate(shapes, start=1):
        batch = rng.normal(size=(n, *shape, network.input_shape[-1])).astype(np.float32)
        expected = network.predict_on_batch(batch) / divisors
        (found,) = session.run(None, {"image": np.moveaxis(batch, -1, 1)})
        np.testing.assert_allclose(np.moveaxis(found, 1, -1), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    kinds = [node.op_type for node in model.graph.node]
    assert ("BatchNormalization" in kinds) == ("resunet" in name)  # of a U-Net all are part of convolutions


@pytest.mark.parametrize("name", ["unet", "resunet", "unet-volumes", "unet-one-level"])
def test_logits_of_classes_are_those_of_keras(name):
    builder, options, shapes = NETWORKS[name]
    coarse_levels = options.get("coarse_levels", (0, 0))
    plain = getattr(flowseg, builder)(**options, seed=0)
    network = add_class_outputs(plain, 3, len(options["filters"]), coarse_levels)
    rng = np.random.default_rng(2)
    scatter(network, rng)
    assert network.output_shape[-1] == plain.output_shape[-1] + 3
    _, session = make_session(network, np.ones(network.output_shape[-1], dtype=np.float32))
    batch = rng.normal(size=(2, *shapes[0], network.input_shape[-1])).astype(np.float32)
    expected = network.predict_on_batch(batch)
    (found,) = session.run(None, {"image": np.moveaxis(batch, -1, 1)})
    np.testing.assert_allclose(np.moveaxis(found, 1, -1), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["unet", "resunet"])
def test_opencv_gives_the_same(name, tmp_path):
    cv2 = pytest.importorskip("cv2")
    builder, options, shapes = NETWORKS[name]
    network = getattr(flowseg, builder)(**options, seed=0)
    rng = np.random.default_rng(1)
    scatter(network, rng)
    model, session = make_session(network, np.array([5, 5, 1], dtype=np.float32))
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    for shape in shapes:
        batch = rng.normal(size=(1, network.input_shape[-1], *shape)).astype(np.float32)
        other = cv2.dnn.readNetFromONNX(str(tmp_path / "a.onnx"))
        other.setInput(batch, "image")
        (expected,) = session.run(None, {"image": batch})
        np.testing.assert_allclose(other.forward(), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_layers_that_no_network_of_flowseg_has_are_refused():
    import keras

    image = keras.Input((None, None, 1))

    def refuse(layer, sentence):
        with pytest.raises(ValueError, match=sentence):
            GraphWriter(keras.Model(image, layer(image))).write(np.ones(1, dtype=np.float32))

    refuse(keras.layers.Dropout(0.5, name="drop"), "must have layers of BatchNormalization, .*; got drop, a Dropout")
    refuse(keras.layers.Conv2D(1, 3, strides=2, padding="same"), r"of Conv2D with strides=1; got \(2, 2\)")
    refuse(keras.layers.Conv2D(1, 3), "with padding='same'; got 'valid'")
    refuse(keras.layers.Conv2D(1, 2, padding="same", name="even"), "linear convolutions of odd sizes; got even")
    refuse(keras.layers.Conv2D(1, 3, padding="same", activation="relu", name="bent"), "of odd sizes; got bent")
    refuse(keras.layers.UpSampling2D(interpolation="bilinear"), "interpolation='nearest'; got 'bilinear'")
    refuse(keras.layers.MaxPooling2D(3, strides=2), "windows that do not overlap")
    refuse(keras.layers.ReLU(max_value=6), "max_value=None; got 6")
    assert "Dropout" not in EXPECTED


@pytest.fixture(scope="module")
def exported(fitted, tmp_path_factory):
    """A file of each segmenter."""
    folder = tmp_path_factory.mktemp("onnx")
    for name, segmenter in fitted.items():
        flowseg.export_onnx(segmenter, folder / f"{name}.onnx")
    return folder


def test_a_file_says_how_it_is_used(fitted, exported):
    segmenter = fitted["FlowSegmenter"]
    model = onnx.load(exported / "FlowSegmenter.onnx")
    (entry,) = model.metadata_props
    usage = json.loads(entry.value)
    assert entry.key == "flowseg"
    assert usage["normalize"] == ["percentiles", 1.0, 99.0]
    assert usage["diameter"] == segmenter.diameter_
    assert usage["working_diameter"] == segmenter.working_diameter_
    assert (usage["multiples"], usage["margins"]) == ([2, 2], [10, 10])
    assert usage["outputs"] == ["flow_y", "flow_x", "cellprob"]
    assert usage["thresholds"]["min_size"] == segmenter.min_size_
    assert [dim.dim_param or dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim] == [
        "batch",
        1,
        "rows",
        "columns",
    ]
    boundary = json.loads(onnx.load(exported / "BoundarySegmenter.onnx").metadata_props[0].value)
    assert boundary["outputs"] == ["background", "interior", "boundary"]
    assert boundary["thresholds"] is None


def test_the_same_segmenter_gives_the_same_bytes(fitted, exported, tmp_path):
    flowseg.export_onnx(fitted["FlowSegmenter"], tmp_path / "a.onnx")
    assert cmp(tmp_path / "a.onnx", exported / "FlowSegmenter.onnx", shallow=False)


def test_flows_have_unit_length(fitted, exported, pairs):
    segmenter, image = fitted["FlowSegmenter"], pairs[0][0]
    session = onnxruntime.InferenceSession(exported / "FlowSegmenter.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": flowseg.normalize(image)[np.newaxis, np.newaxis]})
    flows, cellprob = segmenter.predict_flows(image, diameters=segmenter.working_diameter_)
    np.testing.assert_allclose(found[0], [*flows, cellprob], atol=1e-5)


@pytest.mark.skipif(not EXAMPLE.exists(), reason="no checkout")
def test_the_example_of_the_documentation_gives_the_same_masks(fitted, exported):
    segmenter = fitted["FlowSegmenter"]
    example = runpy.run_path(str(EXAMPLE))
    session, usage = example["load_network"](exported / "FlowSegmenter.onnx")
    image = synthetic.cells((83, 101), 12, rng=20)[0]
    for diameter in (usage["diameter"], 12.0, 40.0):
        found = example["segment"](image, session, usage, diameter)
        np.testing.assert_array_equal(found, segmenter.predict(image, diameters=diameter))
    assert found.shape == image.shape
    assert example["segment"](image, session, usage).max() > 0


def test_what_cannot_be_exported(fitted, tmp_path, monkeypatch):
    segmenter = fitted["FlowSegmenter"]
    with pytest.raises(ValueError, match="path must end in .onnx; got"):
        flowseg.export_onnx(segmenter, tmp_path / "a.zip")
    with pytest.raises(Exception, match="not trained yet"):
        flowseg.export_onnx(flowseg.FlowSegmenter(), tmp_path / "a.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match="this needs the package onnx; install it with: pip install onnx"):
        flowseg.export_onnx(segmenter, tmp_path / "a.onnx")
    assert [*tmp_path.iterdir()] == []


def test_a_custom_network_is_refused(pairs, small, tmp_path):
    images, masks = zip(*pairs[:4])

    def build(n_channels, n_outputs):
        return flowseg.build_unet(n_channels, n_outputs, filters=(4,))

    segmenter = flowseg.FlowSegmenter(network=build, **small | {"epochs": 1, "steps_per_epoch": 1})
    segmenter.fit(images, masks)
    with pytest.raises(ValueError, match="one of flowseg's networks, 'unet' or 'resunet'; got a custom network"):
        flowseg.export_onnx(segmenter, tmp_path / "a.onnx")
