"""The description of a model as bioimage.io has it, rdf.yaml, in format 0.5.12."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from flowseg._export.onnx_graph import IMAGE, OPSET, OUTPUTS
from flowseg._export.publication import Publication
from flowseg._export.test_tensors import least_sides, preprocessing
from flowseg._export.usage import describe_usage, name_outputs
from flowseg._segmenters.pipeline import Pipeline

FORMAT_VERSION = "0.5.12"
# Names of files in a package.
DESCRIPTION, DOCUMENTATION, COVER = "rdf.yaml", "README.md", "cover.png"
WEIGHTS, TEST_IMAGE, TEST_OUTPUTS = "weights.onnx", "test_image.npy", "test_outputs.npy"

# Axes of images and volumes, as bioimage.io calls them.
AXES = ("z", "y", "x")
KINDS = {2: "images", 3: "volumes"}
NETWORKS = {"unet": "U-Net", "resunet": "residual U-Net"}


def describe_in_words(pipeline: Pipeline) -> str:
    """Return one sentence about what the network does."""
    fixed = pipeline.fitted.fixed
    outputs = "flows and foreground" if pipeline.has_flows else "background, interior and boundary"
    channels = f"{fixed.n_channels} channel{'s' if fixed.n_channels > 1 else ''}"
    return (
        f"A {NETWORKS[fixed.network]} that predicts {outputs} of objects in {KINDS[fixed.ndim]} of {channels}, for "
        "instance segmentation."
    )


def describe_model(pipeline: Pipeline, publication: Publication, contents: dict[str, bytes]) -> dict[str, Any]:
    """Return the description; ``contents`` are the other files by their names."""

    def refer_to(name: str) -> dict[str, Any]:
        return {"source": name, "sha256": sha256(contents[name]).hexdigest()}

    words = ["flowseg", "instance-segmentation", pipeline.fitted.fixed.network, f"{pipeline.ndim}d"]
    return {
        "type": "model",
        "format_version": FORMAT_VERSION,
        "name": publication.name,
        "description": describe_in_words(pipeline),
        "authors": [*publication.authors],
        "cite": [*publication.cite],
        "license": publication.license,
        "documentation": refer_to(DOCUMENTATION),
        "covers": [refer_to(COVER)],
        "tags": words,
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": [_describe_input(pipeline) | {"test_tensor": refer_to(TEST_IMAGE)}],
        "outputs": [_describe_output(pipeline) | {"test_tensor": refer_to(TEST_OUTPUTS)}],
        "weights": {"onnx": refer_to(WEIGHTS) | {"opset_version": OPSET}},
        "config": {"flowseg": describe_usage(pipeline)},
    }


def _describe_input(pipeline: Pipeline) -> dict[str, Any]:
    grid, names = pipeline.fitted.grid, AXES[-pipeline.ndim :]
    sizes = zip(names, least_sides(grid), grid.steps, strict=True)
    spaces = [{"id": n, "type": "space", "size": {"min": low, "step": s}, "concatenable": True} for n, low, s in sizes]
    return {
        "id": IMAGE,
        "description": f"image whose objects are about {pipeline.fitted.sizes.working:.3g} pixels across",
        "axes": [{"type": "batch"}, _describe_channels([f"channel_{c}" for c in range(pipeline.n_channels)]), *spaces],
        "data": {"type": "float32"},
        "preprocessing": preprocessing(pipeline.settings.normalize, pipeline.n_channels, names),
    }


def _describe_output(pipeline: Pipeline) -> dict[str, Any]:
    halos = zip(AXES[-pipeline.ndim :], pipeline.fitted.grid.margins, strict=True)
    spaces = [
        {"id": name, "type": "space", "size": {"tensor_id": IMAGE, "axis_id": name}, "halo": halo}
        for name, halo in halos
    ]
    return {
        "id": OUTPUTS,
        "description": "flows of unit length, and logits" if pipeline.has_flows else "logits of three classes",
        "axes": [{"type": "batch"}, _describe_channels(name_outputs(pipeline)), *spaces],
        "data": {"type": "float32"},
    }


def _describe_channels(names: list[str]) -> dict[str, Any]:
    return {"type": "channel", "channel_names": names}
