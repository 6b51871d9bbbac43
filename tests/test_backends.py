"""Which package Keras runs on: it is chosen, never guessed, and what is missing is said in one sentence."""

import ast
import json
import os
import re
import subprocess
import sys
from filecmp import cmp
from importlib.machinery import PathFinder
from pathlib import Path

import numpy as np
import pytest
import tifffile
from cli_tools import run, run_here
from scipy import ndimage

import flowseg
from flowseg._nets import backends

CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture
def choose(monkeypatch, tmp_path):
    """Choose a backend in a process in which packages are installed, or not, and nothing is loaded."""
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def choose(*installed, variable=None, file=None):
        monkeypatch.setattr(backends, "is_installed", lambda name: name in ("keras", *installed))
        monkeypatch.setenv("KERAS_BACKEND", variable or "")  # it is put back also where it was not set
        if variable is None:
            monkeypatch.delenv("KERAS_BACKEND")
        (tmp_path / "keras.json").write_text(json.dumps(file) if isinstance(file, dict) else str(file))
        backends.prepare()
        return os.environ.get("KERAS_BACKEND")

    return choose


def test_the_first_installed_backend_is_chosen(choose):
    assert choose("tensorflow", "jax", "torch") is None  # Keras' own default
    assert choose("jax", "torch") == "jax"
    assert choose("torch") == "torch"


def test_the_choice_of_the_user_stays(choose):
    assert choose("tensorflow", "jax", variable="jax") == "jax"
    assert choose("tensorflow", "torch", file={"backend": "torch"}) is None  # Keras reads the file
    assert choose("torch", variable="", file={"backend": "tensorflow"}) == "torch"  # which Keras writes by itself
    for unreadable in ("{", "[]", {"epsilon": 1}):
        assert choose("torch", file=unreadable) == "torch"


def test_a_backend_that_is_not_there(choose, tmp_path):
    with pytest.raises(ImportError, match=r"^KERAS_BACKEND is 'torch', but PyTorch .* with: pip install torch$"):
        choose("tensorflow", "jax", variable="torch")
    with pytest.raises(ImportError, match=rf"^backend in {re.escape(str(tmp_path))}.*keras.json is 'jax', but JAX is"):
        choose("tensorflow", file={"backend": "jax"})
    with pytest.raises(
        ValueError, match=r"^KERAS_BACKEND must be one of 'tensorflow', 'jax', 'torch'; got 'theano'\.$"
    ):
        choose("tensorflow", variable="theano")
    with pytest.raises(ImportError, match="need Keras and one of TensorFlow, JAX and PyTorch; .*: pip install "):
        choose()


def test_a_loaded_keras_keeps_its_backend(monkeypatch):
    class Keras:
        class config:
            backend = staticmethod(lambda: "numpy")

    monkeypatch.setitem(sys.modules, "keras", Keras)
    with pytest.raises(ValueError, match="which is already loaded, must be one of .*; got 'numpy'"):
        backends.prepare()


@pytest.mark.parametrize(
    ("machine", "given", "is_loaded", "expected"),
    [
        ("x86_64", None, False, "1"),
        ("AMD64", None, False, "1"),
        ("x86_64", "0", False, "0"),
        ("x86_64", None, True, None),  # TensorFlow reads it when it starts
        ("arm64", None, False, None),
    ],
)
def test_onednn_is_on_where_it_was_measured(machine, given, is_loaded, expected, monkeypatch):
    monkeypatch.setattr(backends.platform, "machine", lambda: machine)
    monkeypatch.setenv(backends.ONEDNN, given or "")
    if given is None:
        monkeypatch.delenv(backends.ONEDNN)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    if is_loaded:
        monkeypatch.setitem(sys.modules, "tensorflow", None)
    backends.prepare()
    assert os.environ.get(backends.ONEDNN) == expected


def test_a_folder_of_the_same_name_is_no_package(tmp_path, monkeypatch):
    (tmp_path / "torch_").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not backends.is_installed("torch_")
    (tmp_path / "torch_" / "__init__.py").touch()
    assert backends.is_installed("torch_")
    assert "torch_" not in sys.modules


def test_the_command_says_so_in_one_line(tmp_path):
    flowseg.io.write_picture(tmp_path / "image.png", np.zeros((8, 8, 3), np.uint8))
    words = ("predict", "image.png", "--model", "nuclei", "--output", "out")
    result = run(*words, cwd=tmp_path, env={"KERAS_BACKEND": "theano"}, status=1)
    assert re.fullmatch("flowseg: KERAS_BACKEND must be one of 'tensorflow'[^\n]*\n", result.stderr), result.stderr


# What `pip install --no-deps` and NumPy, SciPy and scikit-image amount to.
NEEDED = ("numpy", "scipy", "skimage", "imageio", "PIL", "lazy_loader", "networkx", "packaging", "tifffile")
USE = """
import sys, tempfile
from pathlib import Path
import numpy as np
import flowseg
from flowseg import io, metrics
from flowseg._labels.overlaps import find_overlaps
from flowseg._report.html_page import Compared, write_page
from flowseg._report.scores import score_image
image, masks = flowseg.synthetic.cells((40, 40), 3, rng=0)
flows = flowseg.masks_to_flows(masks)
found = flowseg.flows_to_masks(flows, np.where(masks > 0, 1.0, -1.0))
assert metrics.match(masks, found).tp == 3
assert str(flowseg.check_masks(masks, image)) == "3 objects"
flowseg.mend_masks(masks), flowseg.measure(masks, image), flowseg.normalize(image), flowseg.plot.flow_colors(flows)
folder = Path(tempfile.mkdtemp())
file = folder / "masks.tif"
io.write_masks(file, masks)
assert (io.read_masks(file) == masks).all()
assert len(flowseg.datasets.nuclei().images) == 12
overlaps = find_overlaps(masks, found)
write_page(folder / "report.html", [Compared(score_image("a", overlaps), masks, found, overlaps, image)], 1, "title")
for work in (
    lambda: flowseg.FlowSegmenter().fit([image], [masks]),
    lambda: flowseg.FlowSegmenter.from_pretrained("nuclei"),
    lambda: flowseg.compare,
    lambda: flowseg.build_unet(),
):
    try:
        work()
    except ImportError as error:
        print(error)
"""


def test_array_functions_need_no_deep_learning_package(tmp_path):
    for name in NEEDED:
        folder = Path(PathFinder.find_spec(name).origin).parent
        for part in folder.parent.glob(f"{folder.name}*"):  # NumPy's libraries lie beside it
            if part.name in (folder.name, f"{folder.name}.libs") or re.match(rf"{name}-\d.*info$", part.name, re.I):
                (tmp_path / part.name).symlink_to(part)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(CHECKOUT)])}
    result = subprocess.run([sys.executable, "-S", "-c", USE], capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == 4
    for line in lines:
        assert line.startswith("segmenters and networks need Keras and one of TensorFlow, JAX and PyTorch; install ")
    assert lines[0].endswith("pip install scikit-learn safetensors tqdm keras tensorflow")
    assert lines[-1].endswith("pip install keras tensorflow")


NAMES = re.compile(r"\b(tensorflow|torch|jax)\b|^TF_|^KERAS_")


def test_backends_are_named_in_one_module():
    """In its code: comments and docstrings may say why."""
    found = set()
    for file in sorted((CHECKOUT / "flowseg").rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
                found |= {file.name} if NAMES.search(node.value) else set()
            if isinstance(node, ast.Import | ast.ImportFrom):
                found |= {file.name} if any(NAMES.search(alias.name) for alias in node.names) else set()
    assert found == {"backends.py"}


def unet_by_formula(network, image, n_levels):
    """The output of `build_unet` for one image, with SciPy."""

    def convolve(x, name, bias=0.0):
        kernel = network.get_layer(name).get_weights()[0].astype(np.float64)
        pairs = [(i, o) for o in range(kernel.shape[-1]) for i in range(kernel.shape[-2])]
        out = np.zeros((*x.shape[:-1], kernel.shape[-1]))
        for i, o in pairs:
            out[..., o] += ndimage.correlate(x[..., i], kernel[..., i, o], mode="constant")
        return out + bias

    def block(x, name):
        for part in range(2):
            gamma, beta, mean, variance = network.get_layer(f"{name}_norm_{part}").get_weights()
            x = (convolve(x, f"{name}_conv_{part}") - mean) / np.sqrt(variance + 1e-3) * gamma + beta
            x = np.maximum(x, 0)
        return x

    x, skips = image.astype(np.float64), []
    for level in range(n_levels):
        if level:
            x = x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2, -1).max(axis=(1, 3))
        x = block(x, f"encoder_{level}")
        skips.append(x)
    for level in reversed(range(n_levels - 1)):
        x = np.concatenate([skips[level], x.repeat(2, axis=0).repeat(2, axis=1)], axis=-1)
        x = block(x, f"decoder_{level}")
    return convolve(x, "head", network.get_layer("head").get_weights()[1])


@pytest.mark.backends
def test_outputs_are_those_of_the_formula():
    network = flowseg.build_unet(2, 3, filters=(3, 4, 5), seed=0)
    rng = np.random.default_rng(0)
    network.set_weights([rng.uniform(0.2, 0.5, w.shape) * rng.choice([-1, 1], w.shape) for w in network.get_weights()])
    for weight in network.weights:
        if weight.path.endswith("variance"):
            weight.assign(abs(weight))
    images = rng.standard_normal((2, 12, 16, 2)).astype(np.float32)
    found = network.predict_on_batch(images)
    expected = np.stack([unet_by_formula(network, image, 3) for image in images])
    assert np.abs(found - expected).max() < 1e-5 * max(1, np.abs(expected).max())


@pytest.mark.backends
def test_initial_weights_have_the_distribution_of_he():
    from flowseg._nets.initial_weights import DrawnByNumPy, he_normal
    from flowseg._nets.load_keras import keras

    for initializer in (he_normal(1), DrawnByNumPy(1)):
        values = keras.ops.convert_to_numpy(initializer((3, 3, 40, 50), "float32"))
        scaled = values / np.sqrt(2 / 360) * 0.87962566
        assert values.dtype == np.float32
        assert abs(values.std() / np.sqrt(2 / 360) - 1) < 0.02
        assert abs(scaled.mean()) < 0.02
        assert 1.99 < np.abs(scaled).max() <= 2.0001
        assert (values == keras.ops.convert_to_numpy(initializer((3, 3, 40, 50), "float32"))).all()
    copy = keras.initializers.deserialize(keras.initializers.serialize(DrawnByNumPy(1)))
    assert copy.seed == 1


@pytest.mark.backends
@pytest.mark.parametrize("name", ["FlowSegmenter", "BoundarySegmenter"])
def test_a_seed_gives_the_same_bytes(name, pairs, small, tmp_path):
    images, masks = zip(*pairs)
    cls = getattr(flowseg, name)
    for file in ("one", "two"):
        segmenter = cls(**small).fit(images, masks)
        segmenter.save(tmp_path / file)
    assert cmp(tmp_path / "one", tmp_path / "two", shallow=False)
    assert segmenter.fitted_.trained_with["backend"].startswith(str(os.environ.get("KERAS_BACKEND", "tensorflow")))
    assert segmenter.fitted_.trained_with["devices"]
    loaded = cls.load(tmp_path / "one")
    assert (loaded.predict(images[0]) == segmenter.predict(images[0])).all()


@pytest.mark.backends
def test_a_command_on_this_backend(tmp_path):
    data = flowseg.datasets.nuclei()
    tifffile.imwrite(tmp_path / "image.tif", data.images[0][:96, :96])
    run_here("predict", "image.tif", "--model", "nuclei", "--output", "out", cwd=tmp_path)
    (file,) = (tmp_path / "out").glob("*.tif")
    found, true = flowseg.io.read_masks(file), data.masks[0][:96, :96]
    assert flowseg.metrics.match(true, found).tp == 3
