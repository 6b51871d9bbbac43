"""What ``flowseg compare`` compares: the segmenters, and the field of view of each image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flowseg._segmenters.pretrained import pretrained_file


def find_groups(files: Sequence[Path], pattern: str) -> list[str]:
    """Return the field of view of each file: what a regular expression finds in its name."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"--group-by must be a regular expression; got {pattern!r}: {error}.") from None
    groups = []
    for file in files:
        found = compiled.search(file.name)
        if found is None:
            raise ValueError(f"--group-by must match the name of every image; {pattern!r} is not in {file.name}.")
        groups.append("/".join(part or "" for part in found.groups()) if compiled.groups else found[0])
    return groups


def make_segmenters(
    parameters: dict[str, Any], models: Sequence[Path], n_channels: int, *, further: bool, resunet: bool
) -> dict[str, Any]:
    """Return the segmenters by name."""
    from flowseg import BoundarySegmenter, FlowSegmenter

    if further and n_channels > 1:
        raise ValueError(f"--further must come with images of one channel, as nuclei takes them; got {n_channels}.")
    segmenters: dict[str, Any] = {
        "flows": FlowSegmenter(**parameters, n_channels=n_channels),
        "three classes": BoundarySegmenter(**parameters, n_channels=n_channels),
    }
    if resunet:
        segmenters["flows with resunet"] = FlowSegmenter(**parameters, n_channels=n_channels, network="resunet")
    if n_channels == 1:
        segmenters["nuclei"] = pretrained_file("nuclei")
    if further:
        trained = FlowSegmenter.from_pretrained("nuclei")
        fixed = ("filters", "crop_size", "batch_size")  # the model has its own
        segmenters["nuclei trained further"] = trained.set_params(
            **{name: value for name, value in parameters.items() if name not in fixed}
        )
    for file in models:
        if str(file) in segmenters:
            raise ValueError(f"--model must name different models; got {file} twice.")
        segmenters[str(file)] = file
    return segmenters
