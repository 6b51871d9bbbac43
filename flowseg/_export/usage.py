"""What a program has to know to use an exported network: a JSON document in the ONNX file.

docs/how_to/export.rst describes it.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import __version__
from flowseg._nets.encoder import FLOW_SCALE
from flowseg._segmenters.pipeline import Pipeline

FORMAT_VERSION = 1
# Key of the document in the metadata of an ONNX file.
METADATA_KEY = "flowseg"


def check_can_export(pipeline: Pipeline) -> None:
    """Raise where a network is not one of flowseg's."""
    if pipeline.fitted.fixed.is_custom:
        raise ValueError("segmenter must have one of flowseg's networks, 'unet' or 'resunet'; got a custom network.")


def find_divisors(pipeline: Pipeline) -> NDArray[np.float32]:
    """Return for each output of the network what it is divided by, so that flows have unit length."""
    vectors = pipeline.settings.codec.vectors
    divisors = np.ones(pipeline.fitted.network.output_shape[-1], dtype=np.float32)
    if vectors is not None:
        divisors[vectors] = FLOW_SCALE
    return divisors


def name_outputs(pipeline: Pipeline) -> list[str]:
    """Return a name for each output of the network; classes of objects have theirs, after ``class_``."""
    head = pipeline.fitted.classes
    classes = () if head is None else head.names
    return [*pipeline.settings.codec.output_names, *(f"class_{name}" for name in classes)]


def describe_usage(pipeline: Pipeline) -> dict[str, Any]:
    """Return the document."""
    fitted, settings = pipeline.fitted, pipeline.settings
    thresholds = pipeline.thresholds
    return {
        "format_version": FORMAT_VERSION,
        "flowseg_version": __version__,
        "network": fitted.fixed.network,
        "filters": [*fitted.fixed.filters],
        "normalize": settings.normalize,
        "diameter": fitted.diameter,
        "working_diameter": fitted.sizes.working,
        "spacing": fitted.lattice.spacing,
        "coarse_levels": fitted.lattice.coarse_levels,
        "multiples": fitted.grid.steps,
        "margins": fitted.grid.margins,
        "outputs": name_outputs(pipeline),
        "thresholds": None if thresholds is None else asdict(thresholds),
    }
