"""Packages of bioimage.io, and ``flowseg export``."""

import io as io_module
import json
import re
from filecmp import cmp
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import tifffile
from cli_tools import run_here
from PIL import Image

import flowseg
from flowseg import synthetic
from flowseg._export.publication import Publication

pytest.importorskip("onnx")

PUBLISHED = {
    "name": "Drawn cells",
    "authors": ["Ada Lovelace; University of London; 0000-0002-1825-0097", "Charles Babbage"],
    "license": "CC-BY-4.0",
    "cite": ["A paper; 10.1000/182", "A page; with a semicolon; https://example.org/page"],
    "validation": "Precision 0.9 on four drawn images.",
}


@pytest.fixture(scope="module")
def image():
    return (60 * synthetic.cells((83, 101), 12, rng=20)[0]).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def packages(fitted, image, tmp_path_factory):
    """A package of each segmenter."""
    folder = tmp_path_factory.mktemp("packages")
    for name, segmenter in fitted.items():
        flowseg.export_bioimageio(segmenter, folder / f"{name}.zip", image, **PUBLISHED)
    return folder


def read(package):
    with ZipFile(package) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_what_a_package_holds(fitted, packages, image):
    segmenter, contents = fitted["FlowSegmenter"], read(packages / "FlowSegmenter.zip")
    described = json.loads(contents["rdf.yaml"])
    assert described["authors"][0] == {
        "name": "Ada Lovelace",
        "affiliation": "University of London",
        "orcid": "0000-0002-1825-0097",
    }
    assert described["authors"][1] == {"name": "Charles Babbage"}
    assert described["cite"][0] == {"text": "A paper", "doi": "10.1000/182"}
    assert described["cite"][1] == {"text": "A page; with a semicolon", "url": "https://example.org/page"}
    assert "## Validation\n\nPrecision 0.9 on four drawn images.\n" in contents["README.md"].decode()
    assert f"{segmenter.working_diameter_:.3g} pixels across" in contents["README.md"].decode()
    (entry,) = described["inputs"]
    (step,) = entry["preprocessing"]
    assert (step["id"], step["kwargs"]["min_percentile"], step["kwargs"]["max_percentile"]) == ("scale_range", 1, 99)
    assert entry["axes"][2] == {"id": "y", "type": "space", "size": {"min": 22, "step": 2}, "concatenable": True}
    assert described["outputs"][0]["axes"][2]["halo"] == 10
    assert described["outputs"][0]["axes"][1]["channel_names"] == ["flow_y", "flow_x", "cellprob"]
    cover = Image.open(io_module.BytesIO(contents["cover.png"]))
    assert (cover.size, len(contents["cover.png"]) < 500_000) == ((800, 400), True)
    given = np.load(io_module.BytesIO(contents["test_image.npy"]))
    factor = segmenter.working_diameter_ / segmenter.diameter_
    assert abs(given[0, 0].mean() - image.mean()) < 2
    assert given.shape[2] in range(round(83 * factor), round(83 * factor) + 2)


@pytest.mark.parametrize("name", ["FlowSegmenter", "BoundarySegmenter"])
def test_the_test_of_a_package_compares_onnx_with_keras(packages, name):
    onnxruntime = pytest.importorskip("onnxruntime")
    contents = read(packages / f"{name}.zip")
    image, outputs = (np.load(io_module.BytesIO(contents[f"test_{n}.npy"])) for n in ("image", "outputs"))
    low, high = np.percentile(image, [1, 99])
    session = onnxruntime.InferenceSession(contents["weights.onnx"], providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": ((image - low) / (high - low)).astype(np.float32)})
    np.testing.assert_allclose(found, outputs, atol=1e-5 * np.abs(outputs).max())


@pytest.mark.parametrize("name", ["FlowSegmenter", "BoundarySegmenter"])
def test_bioimageio_accepts_a_package(packages, name):
    spec = pytest.importorskip("bioimageio.spec")
    with spec.ValidationContext(perform_io_checks=False):
        summary = spec.load_description(packages / f"{name}.zip").validation_summary
    assert summary.status in ("passed", "valid-format"), summary.format()


@pytest.mark.parametrize(
    ("rule", "steps"),
    [
        (None, []),
        (("limits", 0, 1), []),
        (("limits", 100, 300), [{"axis": "channel", "gain": [0.005], "offset": [-0.5]}]),
    ],
)
def test_other_normalizations(fitted, image, rule, steps, tmp_path):
    import copy

    segmenter = copy.copy(fitted["FlowSegmenter"]).set_params(normalize=rule)
    flowseg.export_bioimageio(segmenter, tmp_path / "a.zip", image, **PUBLISHED)
    described = json.loads(read(tmp_path / "a.zip")["rdf.yaml"])
    assert [step["kwargs"] for step in described["inputs"][0]["preprocessing"]] == steps


@pytest.mark.parametrize(
    ("argument", "value", "sentence"),
    [
        ("name", "Ada", "name must be 5 to 128 letters, digits, spaces or _+-(); got 'Ada'."),
        ("name", None, "name must be 5 to 128 letters"),
        ("authors", [], "authors must hold at least one entry"),
        ("authors", "Ada Lovelace", "authors must be a list of 'Name'"),
        ("authors", ["Ada; London; 12"], "authors must be 'Name', 'Name; affiliation'"),
        ("authors", ["; London"], "got '; London'."),
        ("license", "my own", "license must be an identifier of https://spdx.org/licenses"),
        ("cite", ["A paper"], "cite must be 'text; DOI' or 'text; URL'; got 'A paper'."),
        ("cite", ["A paper; soon"], "got 'A paper; soon'."),
        ("validation", " ", "validation must be text: on what the model was tested, and how; got ' '."),
    ],
)
def test_nothing_is_guessed(argument, value, sentence):
    with pytest.raises((TypeError, ValueError), match=re.escape(sentence)):
        Publication.of(**PUBLISHED | {argument: value})


def test_images_that_cannot_test_a_package(fitted, image, tmp_path):
    segmenter = fitted["FlowSegmenter"]
    with pytest.raises(ValueError, match="image must have 1 channel"):
        flowseg.export_bioimageio(segmenter, tmp_path / "a.zip", np.stack([image] * 3, axis=-1), **PUBLISHED)
    with pytest.raises(ValueError, match="percentiles 1 and 99 that differ"):
        flowseg.export_bioimageio(segmenter, tmp_path / "a.zip", np.zeros((40, 40)), **PUBLISHED)
    with pytest.raises(ValueError, match=r"path must end in \.zip"):
        flowseg.export_bioimageio(segmenter, tmp_path / "a.onnx", image, **PUBLISHED)
    assert [*tmp_path.iterdir()] == []


@pytest.fixture(scope="module")
def folder(fitted, image, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    fitted["FlowSegmenter"].save(folder / "cells.safetensors")
    tifffile.imwrite(folder / "image.tif", image)
    return folder


OPTIONS = ("--name", "Drawn cells", "--author", "Ada Lovelace", "--license", "MIT", "--cite", "A paper; 10.1000/182")


def test_the_command_writes_both(folder, fitted, tmp_path):
    model = folder / "cells.safetensors"
    result = run_here("export", model, "--to", "onnx", "-o", tmp_path / "a.onnx")
    assert re.fullmatch(rf"cells\.safetensors as onnx, \d\.\d MB, written to {tmp_path}/a\.onnx\n", result.stdout)
    flowseg.export_onnx(fitted["FlowSegmenter"], tmp_path / "b.onnx")
    assert cmp(tmp_path / "a.onnx", tmp_path / "b.onnx", shallow=False)
    package = tmp_path / "a.zip"
    words = ("export", model, "--to", "bioimageio", "-o", package, "--image", folder / "image.tif", *OPTIONS)
    result = run_here(*words, "--validation", "None yet.", "--author", "Charles Babbage", "--json")
    assert json.loads(result.stdout)["bytes"] == package.stat().st_size
    assert [author["name"] for author in json.loads(read(package)["rdf.yaml"])["authors"]] == [
        "Ada Lovelace",
        "Charles Babbage",
    ]
    refused = run_here(*words, "--validation", "None yet.", status=1)
    assert refused.stderr == f"flowseg: --output must be a new file; {package} exists. --overwrite replaces it.\n"
    before = package.read_bytes()
    run_here(*words, "--validation", "Other.", "--overwrite")
    assert package.read_bytes() != before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--to", "tflite", "-o", "a.onnx"), "--to must be one of 'onnx', 'bioimageio'; got 'tflite'."),
        (("--to", "onnx", "-o", "a.zip"), "--output must end in .onnx; got a.zip."),
        (("--to", "onnx", "-o", "no/a.onnx"), "--output must lie in a folder that exists"),
        (
            ("--to", "onnx", "-o", "a.onnx", "--license", "MIT"),
            "--license must be left out with --to onnx: the file holds the network only.",
        ),
        (
            ("--to", "bioimageio", "-o", "a.zip", *OPTIONS),
            "--to bioimageio must come with --image, --name, --author, --license, --cite, --validation; got no --image, "
            "--validation.",
        ),
        (
            ("--to", "bioimageio", "-o", "a.zip", *OPTIONS, "--image", "no.tif", "--validation", "x", "--cite", "y"),
            "no.tif",
        ),
        (
            ("--to", "bioimageio", "-o", "a.zip", *OPTIONS, "--image", "image.tif", "--validation", "x", "--cite", "y"),
            "--cite must be 'text; DOI' or 'text; URL'; got 'y'.",
        ),
    ],
)
def test_the_command_refuses_in_one_sentence(folder, words, sentence):
    before = sorted(folder.iterdir())
    result = run_here("export", "cells.safetensors", *words, status=1, cwd=folder)
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(folder.iterdir()) == before


def test_the_command_refuses_custom_networks(folder, monkeypatch):
    monkeypatch.setattr(
        "flowseg._segmenters.model_files.reading.check_document",
        lambda text, file: json.loads(text) | {"parameters": {"network": "own"}},
    )
    result = run_here("export", "cells.safetensors", "--to", "onnx", "-o", "a.onnx", status=1, cwd=folder)
    assert result.stderr == (
        "flowseg: MODEL must have one of flowseg's networks, 'unet' or 'resunet', to be exported; cells.safetensors has "
        "a custom network.\n"
    )
    assert not (Path(folder) / "a.onnx").exists()
