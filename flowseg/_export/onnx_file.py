"""Export a network as an ONNX file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowseg import __version__, _checks
from flowseg._export.onnx_graph import IR_VERSION, OPSET, GraphWriter
from flowseg._export.usage import METADATA_KEY, check_can_export, describe_usage, find_divisors
from flowseg._segmenters.pipeline import Pipeline, pipeline_of
from flowseg._system import files
from flowseg._system.optional_packages import need

if TYPE_CHECKING:
    from flowseg._segmenters.boundary import BoundarySegmenter
    from flowseg._segmenters.flow import FlowSegmenter

# Ending of the name of an ONNX file.
SUFFIX = ".onnx"


def export_onnx(segmenter: FlowSegmenter | BoundarySegmenter, path: str | os.PathLike[str]) -> None:
    """Write the network of a segmenter to an ONNX file, for programs without Keras.

    The file holds the network only: from a normalized image, in which objects have the working diameter, to flows and
    foreground. The page *Export a model* of the documentation shows the steps before and after it.

    Parameters
    ----------
    segmenter : FlowSegmenter or BoundarySegmenter
        A trained segmenter of images or volumes, with one of flowseg's networks.
    path : path
        File to write (.onnx), atomically. It needs the package onnx.

    Raises
    ------
    NotFittedError, TypeError, ValueError
        If the segmenter is neither trained nor loaded, a parameter is invalid, the network is a custom one, or ``path``
        does not end in .onnx.
    ImportError
        If the package onnx is not installed.
    OSError
        If the file cannot be written.

    See Also
    --------
    export_bioimageio : the same network in a package of bioimage.io.

    Notes
    -----
    The input ``image`` is float32 of shape (batch, channels, rows, columns), of volumes (batch, channels, planes, rows,
    columns). Each side is a multiple of ``multiples`` in the file's metadata. The output ``outputs`` has the same sides
    and one channel per output: the flow along each axis, of unit length, and the logit of the foreground; or the logits
    of background, interior and boundary.

    Batch normalization is part of the convolution before it wherever there is one. The outputs are those of Keras to
    rounding.

    Examples
    --------
    >>> import flowseg
    >>> segmenter = flowseg.FlowSegmenter.from_pretrained("nuclei")
    >>> flowseg.export_onnx(segmenter, "nuclei.onnx")
    """
    file = _checks.as_path(path, "path")
    check_suffix(file, SUFFIX)
    model = make_model(pipeline_of(segmenter))
    files.write_atomically(file, lambda beside: Path(beside).write_bytes(as_bytes(model)))


def check_suffix(file: Path, suffix: str) -> None:
    """Raise where a file has another ending: programs go by it."""
    if file.suffix.lower() != suffix:
        raise ValueError(f"path must end in {suffix}; got {file}.")


def make_model(pipeline: Pipeline) -> Any:
    """Return the network of a segmenter as an `onnx.ModelProto`."""
    onnx = need("onnx", "export")
    check_can_export(pipeline)
    graph = GraphWriter(pipeline.fitted.network).write(find_divisors(pipeline))
    model = onnx.helper.make_model(
        graph,
        producer_name="flowseg",
        producer_version=__version__,
        ir_version=IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
    )
    onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(describe_usage(pipeline))})
    onnx.checker.check_model(model)
    return model


def as_bytes(model: Any) -> bytes:
    """Return the bytes of an ONNX file: the same for the same model."""
    content: bytes = model.SerializeToString(deterministic=True)
    return content
