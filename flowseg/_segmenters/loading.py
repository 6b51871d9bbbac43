"""Load a model file of either class."""

from __future__ import annotations

import os
from typing import Any

from flowseg._nets.tiles import Grid
from flowseg._segmenters.boundary import BoundarySegmenter
from flowseg._segmenters.fitted import FixedParameters
from flowseg._segmenters.flow import FlowSegmenter
from flowseg._segmenters.pipeline import Pipeline, prediction_settings


def load_segmenter(path: str | os.PathLike[str], *, network: Any = None) -> FlowSegmenter | BoundarySegmenter:
    """Load a model file of either segmenter.

    Parameters
    ----------
    path : path
        Model file that `FlowSegmenter.save` or `BoundarySegmenter.save` wrote.
    network : callable or keras.Model, optional
        See `FlowSegmenter.load`.

    Returns
    -------
    segmenter : FlowSegmenter or BoundarySegmenter

    Raises
    ------
    FileNotFoundError, ValueError
        As `FlowSegmenter.load`.

    Examples
    --------
    >>> from flowseg import FlowSegmenter, load_segmenter
    >>> FlowSegmenter.from_pretrained("nuclei").save("mine.safetensors")
    >>> type(load_segmenter("mine.safetensors")).__name__
    'FlowSegmenter'
    """
    from flowseg._segmenters.model_files.reading import read_document

    return _class_of(read_document(path), path).load(path, network=network)


def load_decoder(path: str | os.PathLike[str], grid: Grid) -> Pipeline:
    """Return the pipeline of a model file without its network, which decodes outputs that are there; quick to load.

    ``grid`` is the tile grid of the network.
    """
    from flowseg._segmenters.model_files.reading import read_document, read_learned, read_parameters

    document = read_document(path)
    cls = _class_of(document, path)
    segmenter = cls(**read_parameters(document, path, cls, cls._kind, None))
    settings = prediction_settings(segmenter)
    return Pipeline(read_learned(document, path, FixedParameters.of(segmenter), settings, None, grid), settings)


def _class_of(document: dict[str, Any], path: str | os.PathLike[str]) -> type[FlowSegmenter] | type[BoundarySegmenter]:
    classes: dict[str, type[FlowSegmenter] | type[BoundarySegmenter]] = {
        "FlowSegmenter": FlowSegmenter,
        "BoundarySegmenter": BoundarySegmenter,
    }
    name = document["estimator"]
    if name not in classes:
        raise ValueError(f"{path} must hold one of {', '.join(classes)}; got {name!r}.")
    return classes[name]
