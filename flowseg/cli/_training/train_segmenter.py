"""The segmenter that ``flowseg train`` trains: made new or loaded, with the parameters of the options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowseg._checks import AUTO
from flowseg.cli._shared.errors import option_of
from flowseg.cli._shared.models import check_channels, set_parameter
from flowseg.cli._shared.option_values import NONE
from flowseg.cli._shared.read_pairs import Arrays, count_channels

if TYPE_CHECKING:
    from flowseg import BoundarySegmenter, FlowSegmenter

    Segmenter = FlowSegmenter | BoundarySegmenter

# Parameters whose options take words in place of a number.
WORDS = {
    "learning_rate": (AUTO,),
    "cellprob_threshold": (AUTO,),
    "flow_threshold": (AUTO, NONE),
    "min_size": (AUTO,),
    "score_threshold": (AUTO, NONE),
}


def parse_parameters(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that are given; those in `WORDS` are parsed from text."""
    return {
        name: _parse_value(name, value) if name in WORDS else value
        for name, value in options.items()
        if value is not None
    }


def _parse_value(name: str, text: str) -> float | str | None:
    """Return a number, or the meaning of a word in its place."""
    if text in WORDS[name]:
        return None if text == NONE else text
    try:
        number = float(text)
    except ValueError:
        words = " or ".join(map(repr, WORDS[name]))
        raise ValueError(f"{option_of(name)} must be a number or {words}; got {text!r}.") from None
    return int(number) if number.is_integer() else number


def make_segmenter(
    start: Path | None, network: Mapping[str, Any], parameters: Mapping[str, Any], *, boundary: bool
) -> Segmenter:
    """Return the segmenter to train, with its parameters checked.

    ``network`` are the parameters of a new network, which a model to start from has fixed; ``parameters`` are the
    others.
    """
    from flowseg._segmenters.boundary import BoundarySegmenter
    from flowseg._segmenters.fitting.settings import check_training_settings
    from flowseg._segmenters.flow import FlowSegmenter

    segmenter: Segmenter
    if start is not None:
        segmenter = _load_to_train(start, [*network, *(["boundary"] if boundary else [])])
    elif boundary:
        segmenter = BoundarySegmenter(**network)
    else:
        segmenter = FlowSegmenter(**network)
    for name, value in parameters.items():
        set_parameter(segmenter, name, value)
    check_training_settings(segmenter)
    return segmenter


def _load_to_train(start: Path, fixed: list[str]) -> Segmenter:
    from flowseg._segmenters.loading import load_segmenter

    if fixed:
        raise ValueError(f"--{fixed[0]} must not be given together with --from, whose model has its own; got both.")
    segmenter = load_segmenter(start)
    segmenter.set_params(warm_start=True, learning_rate=AUTO)
    return segmenter


def set_channels(segmenter: Segmenter, start: Path | None, files: list[Path], images: Arrays) -> None:
    """Take the number of channels from the images, or refuse images that the model to start from cannot take."""
    if start is None:
        segmenter.set_params(n_channels=count_channels(images, segmenter.ndim))
        return
    for file, image in zip(files, images, strict=True):
        check_channels(file, image, segmenter.ndim, segmenter)
