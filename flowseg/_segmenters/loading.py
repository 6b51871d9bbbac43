"""Load a model file of either class."""

from __future__ import annotations

import os
from typing import Any

from flowseg._segmenters.boundary import BoundarySegmenter
from flowseg._segmenters.flow import FlowSegmenter


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

    classes: dict[str, type[FlowSegmenter] | type[BoundarySegmenter]] = {
        "FlowSegmenter": FlowSegmenter,
        "BoundarySegmenter": BoundarySegmenter,
    }
    name = read_document(path)["estimator"]
    if name not in classes:
        raise ValueError(f"{path} must hold one of {', '.join(classes)}; got {name!r}.")
    return classes[name].load(path, network=network)
