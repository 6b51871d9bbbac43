"""Models of the commands: found by file or name, loaded, and given parameters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from flowseg._segmenters.pretrained import pretrained_file, pretrained_names
from flowseg.cli._shared.errors import option_of
from flowseg.cli._shared.image_reading import IMAGE, with_channels
from flowseg.cli._shared.option_values import NONE

if TYPE_CHECKING:
    from flowseg import BoundarySegmenter, FlowSegmenter

    Segmenter = FlowSegmenter | BoundarySegmenter


def find_model(model: str, option: str = "--model") -> Path:
    """Return the file of a model: one of the user's, or the pretrained one of this name."""
    from flowseg._segmenters.model_files.reading import read_document

    names = pretrained_names()
    file = pretrained_file(model) if model in names and not Path(model).is_file() else Path(model)
    if not file.exists():
        raise FileNotFoundError(
            f"{option} must be a model file or the name of a pretrained model, {', '.join(map(repr, names))}; got "
            f"{model}, which does not exist."
        )
    read_document(file)  # refuses what is no model before anything else is done
    return file


def model_channels(file: Path) -> int | None:
    """Return the number of channels of a model's images; None if the file does not hold it."""
    from flowseg._segmenters.model_files.reading import read_document

    n_channels: int | None = read_document(file)["parameters"].get("n_channels")
    return n_channels


def model_ndim(file: Path) -> int:
    """Return the number of axes of a model's images, without channels: 3 of volumes."""
    from flowseg._segmenters.model_files.reading import read_document

    return int(read_document(file)["parameters"].get("ndim", IMAGE))


def model_spacing(file: Path) -> tuple[float, ...] | None:
    """Return the spacing that a model was trained at; None if it was trained without."""
    from flowseg._segmenters.model_files.reading import read_document

    spacing = (read_document(file)["learned"].get("lattice") or {}).get("spacing")
    return None if spacing is None else tuple(spacing)


def has_classes(file: Path) -> bool:
    """Return whether a model finds the classes of objects."""
    from flowseg._segmenters.model_files.reading import read_document

    return read_document(file)["learned"].get("classes") is not None


def load_model(file: Path, parameters: Sequence[tuple[str, Any]]) -> Segmenter:
    """Load a model, with the parameters that are given; the word "none" stands for None."""
    from flowseg._segmenters.loading import load_segmenter

    segmenter = load_segmenter(file)
    segmenter.set_params(workers=None)
    for name, value in parameters:
        if value is not None:
            set_parameter(segmenter, name, None if isinstance(value, str) and value == NONE else value)
    return segmenter


def set_parameter(segmenter: Segmenter, name: str, value: Any) -> None:
    """Set a parameter; an error names its option."""
    if name not in segmenter.get_params():
        raise ValueError(f"{option_of(name)} is not for a {type(segmenter).__name__}; got {value}.")
    segmenter.set_params(**{name: value})


def check_channels(file: Path, image: NDArray[Any], ndim: int, segmenter: Segmenter) -> None:
    """Refuse an image, or a volume, of other channels than the model's; ``ndim`` are its axes without channels."""
    n_channels = with_channels(image, ndim).shape[-1]
    if n_channels != segmenter.n_channels:
        raise ValueError(
            f"{file} must have as many channels as the model was trained on, {segmenter.n_channels}; got "
            f"{n_channels}. Choose with --channel."
        )
