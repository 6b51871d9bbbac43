"""Export a model as a package of bioimage.io."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import __version__, _checks
from flowseg._export.cover import draw_cover
from flowseg._export.description import (
    COVER,
    DESCRIPTION,
    DOCUMENTATION,
    TEST_IMAGE,
    TEST_OUTPUTS,
    WEIGHTS,
    describe_in_words,
    describe_model,
)
from flowseg._export.onnx_file import as_bytes, check_suffix, make_model
from flowseg._export.publication import Publication
from flowseg._export.readme import write_readme
from flowseg._export.test_tensors import make_test_tensors
from flowseg._segmenters import inputs
from flowseg._segmenters.pipeline import Pipeline, pipeline_of
from flowseg._system import files

if TYPE_CHECKING:
    from flowseg._segmenters.boundary import BoundarySegmenter
    from flowseg._segmenters.flow import FlowSegmenter

# Ending of the name of a package.
SUFFIX = ".zip"


def export_bioimageio(
    segmenter: FlowSegmenter | BoundarySegmenter,
    path: str | os.PathLike[str],
    image: ArrayLike,
    *,
    name: str,
    authors: Sequence[str],
    license: str,
    cite: Sequence[str],
    validation: str,
) -> None:
    """Write a segmenter as a package of bioimage.io, with its network as ONNX.

    Nothing about the model's origin is guessed: what is published with it is what you pass here.

    Parameters
    ----------
    segmenter : FlowSegmenter or BoundarySegmenter
        A trained segmenter of images or volumes, with one of flowseg's networks.
    path : path
        File to write (.zip), atomically. It needs the package onnx.
    image : array_like, shape (rows, columns) or (rows, columns, n_channels)
        A typical image that you may publish: it is in the package, as the input of its test and on its cover. Of a
        segmenter of volumes it is a volume, with planes before rows.
    name : str
        Name of the model: 5 to 128 letters, digits, spaces or ``_+-()``.
    authors : sequence of str
        Authors of the model, each as "Name", "Name; affiliation" or "Name; affiliation; ORCID".
    license : str
        License of the weights, an SPDX identifier such as "CC-BY-4.0".
    cite : sequence of str
        What to cite, each as "text; DOI" or "text; URL".
    validation : str
        Text of the section *Validation* in the package's documentation: on what the model was tested, how, and with
        which result.

    Raises
    ------
    NotFittedError, TypeError, ValueError
        If the segmenter is neither trained nor loaded, its network is a custom one, or an argument is invalid; the
        message names it, what was expected and what came.
    ImportError
        If the package onnx is not installed.
    OSError
        If the file cannot be written.

    See Also
    --------
    export_onnx : the network alone.

    Notes
    -----
    The package returns flows and logits, not masks. Its preprocessing is the segmenter's normalization, without the
    search for padding. The outputs of the test are computed by Keras, so that a test of the package compares the
    exported network with the trained one. The format is version 0.5.12 [1]_.

    References
    ----------
    .. [1] https://bioimage-io.github.io/spec-bioimage-io

    Examples
    --------
    >>> import flowseg
    >>> segmenter = flowseg.FlowSegmenter.from_pretrained("nuclei")
    >>> image, _ = flowseg.synthetic.cells((96, 96), 8, rng=0)
    >>> flowseg.export_bioimageio(
    ...     segmenter,
    ...     "nuclei.zip",
    ...     image,
    ...     name="My nuclei",
    ...     authors=["Ada Lovelace; University of London"],
    ...     license="CC-BY-4.0",
    ...     cite=["A paper about these images; https://example.org/paper"],
    ...     validation="Average precision at IoU 0.5 on 20 images of other wells: 0.81.",
    ... )
    """
    file = _checks.as_path(path, "path")
    check_suffix(file, SUFFIX)
    publication = Publication.of(name, authors, license, cite, validation)
    pipeline = pipeline_of(segmenter)
    array = inputs.as_channels_last(image, pipeline.n_channels, "image", pipeline.ndim)
    contents = make_contents(pipeline, array, publication)
    files.write_atomically(file, lambda beside: write_zip(beside, contents))


def make_contents(pipeline: Pipeline, image: NDArray[Any], publication: Publication) -> dict[str, bytes]:
    """Return the files of a package by their names."""
    model = make_model(pipeline)
    tensors = make_test_tensors(pipeline, image)
    words = describe_in_words(pipeline)
    contents = {
        WEIGHTS: as_bytes(model),
        TEST_IMAGE: _as_npy(tensors.image),
        TEST_OUTPUTS: _as_npy(tensors.outputs),
        COVER: draw_cover(image, pipeline.decode(pipeline.run(image))),
        DOCUMENTATION: write_readme(pipeline, publication, words, __version__).encode(),
    }
    description = describe_model(pipeline, publication, contents)
    return {DESCRIPTION: json.dumps(description, indent=1, ensure_ascii=False).encode()} | contents  # JSON is YAML


def _as_npy(array: NDArray[np.float32]) -> bytes:
    file = BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def write_zip(path: Path, contents: Mapping[str, bytes]) -> None:
    """Write files into an archive."""
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
