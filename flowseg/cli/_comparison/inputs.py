"""What ``flowseg compare`` and ``flowseg curve`` train: the segmenters, and the field of view of each image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flowseg._segmenters.pretrained import PretrainedName, pretrained_file
from flowseg.cli._shared.image_reading import IMAGE
from flowseg.cli._shared.models import model_channels, model_ndim
from flowseg.cli._shared.option_values import parse_filters
from flowseg.cli._training.train_segmenter import parse_parameters

# Number of channels of the images -> the pretrained model for them.
PRETRAINED: dict[int, PretrainedName] = {1: "nuclei", 3: "tissue"}


def training_parameters(
    epochs: int,
    steps_per_epoch: int | None,
    filters: str | None,
    batch_size: int,
    crop_size: int | None,
    seed: int,
) -> dict[str, Any]:
    """Return the parameters of segmenters that options give."""
    given = {
        "epochs": epochs,
        "steps_per_epoch": steps_per_epoch,
        "filters": parse_filters(filters),
        "batch_size": batch_size,
        "crop_size": crop_size,
        "random_state": seed,
    }
    return parse_parameters(given)


def find_groups(files: Sequence[Path], pattern: str | None) -> list[str] | None:
    """Return the field of view of each file: what a regular expression finds in its name; None without one."""
    if pattern is None:
        return None
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
    parameters: dict[str, Any], models: Sequence[tuple[str, Path]], n_channels: int, *, further: bool, resunet: bool
) -> dict[str, Any]:
    """Return the segmenters by name."""
    from flowseg import BoundarySegmenter, FlowSegmenter

    pretrained = PRETRAINED.get(n_channels)
    if further and pretrained is None:
        raise ValueError(
            "--further must come with images of one channel, for the pretrained model nuclei, or of three, for tissue; "
            f"got {n_channels}."
        )
    segmenters: dict[str, Any] = {
        "flows": FlowSegmenter(**parameters, n_channels=n_channels),
        "three classes": BoundarySegmenter(**parameters, n_channels=n_channels),
    }
    if resunet:
        segmenters["flows with resunet"] = FlowSegmenter(**parameters, n_channels=n_channels, network="resunet")
    if pretrained is not None:
        segmenters[pretrained] = pretrained_file(pretrained)
    if pretrained is not None and further:
        fixed = ("filters", "crop_size", "batch_size")  # the model has its own
        segmenters[f"{pretrained} trained further"] = _make_further(pretrained, parameters, fixed)
    for name, file in models:
        if name in segmenters:
            raise ValueError(f"--model must name different models, none that is compared anyway; got {name} twice.")
        _check_images_of(name, file, n_channels)
        segmenters[name] = file
    return segmenters


def _check_images_of(name: str, file: Path, n_channels: int) -> None:
    """Refuse a model for volumes, or for images of other channels than these."""
    if model_ndim(file) != IMAGE:
        raise ValueError(f"--model must name models for images; {name} is for volumes.")
    expected = model_channels(file)
    if expected not in (None, n_channels):  # None: the file does not hold it
        raise ValueError(
            f"--model must name models for images of as many channels as these have, {n_channels}; {name} is for "
            f"{expected}. Choose with --channel."
        )


def make_curve_segmenters(parameters: dict[str, Any], n_channels: int, *, further: bool) -> dict[str, Any]:
    """Return the segmenters of a learning curve by name."""
    from flowseg import FlowSegmenter

    segmenters: dict[str, Any] = {"flows from scratch": FlowSegmenter(**parameters, n_channels=n_channels)}
    pretrained = PRETRAINED.get(n_channels)
    if pretrained is not None:
        segmenters[f"{pretrained} without training"] = pretrained_file(pretrained)
        if further:
            segmenters[f"{pretrained} trained further"] = _make_further(pretrained, parameters, ("filters",))
    return segmenters


def _make_further(pretrained: PretrainedName, parameters: dict[str, Any], fixed: tuple[str, ...]) -> Any:
    """Return a pretrained model, to be trained further; ``fixed`` are the parameters that it keeps."""
    from flowseg import FlowSegmenter

    trained = FlowSegmenter.from_pretrained(pretrained)
    return trained.set_params(**{name: value for name, value in parameters.items() if name not in fixed})
