"""Properties of a model file that the viewer needs before it is loaded."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flowseg._napari.image_kinds import NAMES, PLANE, format_spacing
from flowseg._nets.lattice import read_lattice
from flowseg._segmenters.learned_decoding.thresholds import Thresholds, check_thresholds, read_thresholds
from flowseg._segmenters.model_files.reading import read_document

# The estimator of model files with flows.
FLOWS = "FlowSegmenter"
# Poolings of the largest network that can be trained; the real number is checked when it is loaded.
MAX_LEVELS = 16


@dataclass(frozen=True)
class Model:
    """A model file and its properties."""

    title: str
    path: Path
    ndim: int  # 2: planes, 3: volumes
    n_channels: int
    has_flows: bool
    has_scores: bool
    thresholds: Thresholds  # a model without flows has `min_size` only
    spacing: tuple[float, ...] | None  # of the training images
    diameter: float  # typical one of their objects, in pixels of the finest axis

    @property
    def description(self) -> str:
        """The images that it takes, in words."""
        channels = f"{self.n_channels} channel{'s' * (self.n_channels > 1)}"
        where = f"spacing {format_spacing(self.spacing)}" if self.spacing else "trained without spacing"
        return f"Takes {NAMES[self.ndim]}s of {channels}; {where}; objects of {self.diameter:.3g} px"


def read_model(path: Path, title: str) -> Model:
    """Read the properties of a model file, without weights or Keras."""
    document = read_document(path)
    n_channels = document["parameters"].get("n_channels")
    if not isinstance(n_channels, int):
        raise ValueError(f"{path} must hold the number of channels; got {n_channels!r}.")
    ndim = document["parameters"].get("ndim", PLANE)  # files of before volumes lack it
    if ndim not in NAMES:
        raise ValueError(f"{path} must hold a model of planes or of volumes, ndim 2 or 3; got {ndim!r}.")
    has_flows, learned = document["estimator"] == FLOWS, document["learned"]
    return Model(
        title,
        path,
        ndim,
        n_channels,
        has_flows,
        learned.get("score") is not None,
        _thresholds(document, has_flows, path),
        _spacing(learned.get("lattice"), ndim, path),
        float(learned["diameter"]),
    )


def _spacing(lattice: Any, ndim: int, path: Path) -> tuple[float, ...] | None:
    """Return the spacing of the training images."""
    try:
        return read_lattice(lattice, ndim, MAX_LEVELS).spacing
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} must hold a valid lattice; {error}") from None


def _thresholds(document: dict[str, Any], has_flows: bool, path: Path) -> Thresholds:
    """Return the thresholds that `predict` uses: the parameters, or the choice of `fit` where they are "auto"."""
    learned = read_thresholds(document["learned"].get("thresholds")) if has_flows else Thresholds()
    parameters = document["parameters"]
    given = {n: parameters[n] for n in asdict(learned) if n in parameters and not isinstance(parameters[n], str)}
    values = asdict(learned) | given
    try:
        check_thresholds(**values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} must hold valid thresholds; {error}") from None
    return Thresholds(**values)
