import json
from filecmp import cmp

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from flowseg import BoundarySegmenter, FlowSegmenter, load_segmenter


@pytest.fixture
def file(fitted, tmp_path):
    path = tmp_path / "model with a space.safetensors"
    fitted["FlowSegmenter"].save(path)
    return path


def rewrite(file, change=None, tensors=None):
    """Write the file again with another document or other weights."""
    with safe_open(file, framework="numpy") as opened:
        document = json.loads(opened.metadata()["flowseg"])
    weights = load_file(file)
    if tensors:
        tensors(weights)
    if change:
        document = change(document) or document
    save_file(weights, file, metadata={"flowseg": json.dumps(document)})


@pytest.mark.parametrize("cls", [FlowSegmenter, BoundarySegmenter])
def test_round_trip(cls, fitted, pairs, tmp_path):
    model, path = fitted[cls.__name__], tmp_path / "m.safetensors"
    model.save(path)
    for again in (cls.load(path), load_segmenter(str(path))):
        assert type(again) is cls
        assert again.get_params() == model.get_params()
        assert again.diameter_ == model.diameter_
        assert again.history_ == model.history_
        assert all(np.array_equal(a, b) for a, b in zip(again.network_.get_weights(), model.network_.get_weights()))
        assert np.array_equal(again.predict(pairs[0][0]), model.predict(pairs[0][0]))


def test_the_file_is_plain(file):
    with safe_open(file, framework="numpy") as opened:
        document = json.loads(opened.metadata()["flowseg"])
        names = list(opened.keys())
    assert document["estimator"] == "FlowSegmenter"
    assert document["format_version"] == 1
    assert any(name.endswith("encoder_0_conv_0/kernel") for name in names)


def test_parameters_of_numpy_types(fitted, pairs, tmp_path):
    model = FlowSegmenter(
        filters=[np.int64(4), np.int32(8)], learning_rate=np.float32(1e-3), random_state=np.int64(3), crop_size=32,
        epochs=1, steps_per_epoch=1, augment=np.bool_(True),
    )  # fmt: skip
    images, masks = zip(*pairs)
    model.fit(images, masks).save(tmp_path / "m")
    assert FlowSegmenter.load(tmp_path / "m").random_state == 3


def test_same_model_same_bytes(fitted, file, tmp_path):
    fitted["FlowSegmenter"].save(tmp_path / "again")
    assert cmp(tmp_path / "again", file, shallow=False)


def test_cut_short(file):
    whole = file.read_bytes()
    for length in (0, 4, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(
            ValueError, match="must be a flowseg model in .safetensors format; it is damaged, cut short"
        ):
            FlowSegmenter.load(file)


def test_another_format(file):
    file.write_bytes(b"\x80\x04\x95 a pickle, say" * 100)
    with pytest.raises(ValueError, match="of another format"):
        FlowSegmenter.load(file)
    save_file({"a": np.zeros(3)}, file)
    with pytest.raises(ValueError, match="got a .safetensors file without flowseg's metadata"):
        FlowSegmenter.load(file)


def test_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="path must be a model file; got .* which does not exist"):
        FlowSegmenter.load(tmp_path / "no.safetensors")
    with pytest.raises(FileNotFoundError, match="which is a folder"):
        FlowSegmenter.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda d: d | {"format_version": 2, "flowseg_version": "9.1"},
            r"written by a newer flowseg \(9.1\).* Update flowseg",
        ),
        (lambda d: d | {"format_version": "1"}, 'must have a format version of at least 1; got "1"'),
        (lambda d: d | {"estimator": "BoundarySegmenter"}, "must hold a FlowSegmenter; got a BoundarySegmenter"),
        (lambda d: [1], "must hold a JSON document with format_version"),
        (lambda d: d | {"parameters": 5}, "must hold 'parameters', 'learned' and 'history' as JSON objects"),
        (lambda d: d | {"history": []}, "must hold 'parameters', 'learned' and 'history' as JSON objects"),
        (lambda d: d | {"history": {"loss": 5}}, "must hold lists of losses"),
        (lambda d: d | {"estimator": []}, "must hold the estimator's name"),
        (lambda d: d | {"learned": {"diameter": 10**400}}, "as metadata; got a number too large for one"),
        (lambda d: d | {"parameters": d["parameters"] | {"learning_rate": 10**400}}, "number too large for one"),
        (
            lambda d: d | {"parameters": d["parameters"] | {"filters": [3_000_000_000, 8]}},
            "must hold the weights of its network, at least",
        ),
        (
            lambda d: d | {"parameters": d["parameters"] | {"n_channels": 10**7}},
            "must hold the weights of its network, at least",
        ),
        (lambda d: d | {"parameters": d["parameters"] | {"evil": 1}}, "these do not pair up: evil"),
        (lambda d: d | {"parameters": d["parameters"] | {"filters": [0]}}, r"valid parameters; filters\[0\] must be"),
        (lambda d: d | {"parameters": d["parameters"] | {"network": "os.system"}}, "network must be one of"),
        (lambda d: d | {"parameters": d["parameters"] | {"filters": [8, 17]}}, "must have shape"),
        (
            lambda d: d | {"parameters": d["parameters"] | {"filters": [8, 16, 32]}},
            "must hold the weights of its network, at least",
        ),
        (
            lambda d: d | {"parameters": d["parameters"] | {"filters": [4, 8, 8]}},
            "must hold the .* weights of this network",
        ),
        (lambda d: d | {"learned": {"diameter": -1}}, "must hold a learned diameter above 0; got -1"),
    ],
)
def test_documents_that_do_not_fit(file, change, sentence):
    rewrite(file, change)
    with pytest.raises(ValueError, match=sentence):
        FlowSegmenter.load(file)


def test_unknown_estimator(file):
    rewrite(file, lambda d: d | {"estimator": "Popen"})
    with pytest.raises(ValueError, match="must hold one of FlowSegmenter, BoundarySegmenter; got 'Popen'"):
        load_segmenter(file)


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        (lambda w: w.update({k: v[..., :1] for k, v in w.items() if k.startswith("000")}), "must have shape .* got"),
        (
            lambda w: w.update({k: v.astype(np.float64) for k, v in w.items() if k.startswith("000")}),
            "must have dtype float32; got F64",
        ),
        (lambda w: w.update({k: v * np.nan for k, v in w.items() if k.startswith("000")}), "must be finite"),
        (lambda w: w.pop(sorted(w)[0]), "must hold the 32 weights of this network; got 31"),
        (lambda w: w.update(extra=np.zeros(3, np.float32)), "these do not pair up: extra"),
    ],
)
def test_weights_that_do_not_fit(file, tensors, sentence):
    with safe_open(file, framework="numpy") as opened:
        n = len(list(opened.keys()))
    rewrite(file, tensors=tensors)
    with pytest.raises(
        ValueError,
        match=sentence.replace("32", str(n)).replace("31", str(n - 1)) if "weights of" in sentence else sentence,
    ):
        FlowSegmenter.load(file)


def test_no_json(file):
    save_file(load_file(file), file, metadata={"flowseg": "[" * 100_000})
    with pytest.raises(ValueError, match="must hold a JSON document as metadata"):
        FlowSegmenter.load(file)


def test_an_interrupted_save_leaves_the_old_file(fitted, file, monkeypatch):
    old = file.read_bytes()

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match=f"No space left on device: '{file}'"):
        fitted["FlowSegmenter"].save(file)
    assert file.read_bytes() == old
    assert [p.name for p in file.parent.iterdir()] == [file.name]


def test_a_model_has_the_usual_permissions(fitted, file, tmp_path):
    (tmp_path / "plain").touch()
    assert file.stat().st_mode == (tmp_path / "plain").stat().st_mode
    file.chmod(0o640)
    fitted["FlowSegmenter"].save(file)
    assert file.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("wrong", [{"crop_size": 33}, {"min_size": -5}, {"epochs": "x"}, {"workers": 0}])
def test_what_could_not_be_loaded_is_not_saved(wrong, file):
    before, (name, _) = file.read_bytes(), *wrong.items()
    with pytest.raises((TypeError, ValueError), match=f"{name} must be"):
        FlowSegmenter.load(file).set_params(**wrong).save(file)
    assert file.read_bytes() == before


def test_no_such_folder(fitted, tmp_path):
    with pytest.raises(FileNotFoundError):
        fitted["FlowSegmenter"].save(tmp_path / "missing" / "model.safetensors")
