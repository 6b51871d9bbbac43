"""Properties of a model file that the viewer needs before it is loaded."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flowseg._segmenters.learned_decoding.thresholds import Thresholds, check_thresholds, read_thresholds
from flowseg._segmenters.model_files.reading import read_document

# The estimator of model files with flows.
FLOWS = "FlowSegmenter"


@dataclass(frozen=True)
class Model:
    """A model file and its properties."""

    title: str
    path: Path
    n_channels: int
    has_flows: bool
    has_scores: bool
    thresholds: Thresholds  # a model without flows has `min_size` only


def read_model(path: Path, title: str) -> Model:
    """Read the properties of a model file, without weights or Keras."""
    document = read_document(path)
    n_channels = document["parameters"].get("n_channels")
    if not isinstance(n_channels, int):
        raise ValueError(f"{path} must hold the number of channels; got {n_channels!r}.")
    has_flows = document["estimator"] == FLOWS
    thresholds = _thresholds(document, has_flows, path)
    return Model(title, path, n_channels, has_flows, document["learned"].get("score") is not None, thresholds)


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
