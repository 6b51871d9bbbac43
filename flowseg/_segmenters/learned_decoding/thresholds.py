"""Thresholds: as parameters of a segmenter, as values in effect, and in a model file."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from flowseg import _checks
from flowseg._checks import is_auto
from flowseg._segmenters.inputs import Auto

if TYPE_CHECKING:
    from flowseg._segmenters.flow import FlowSegmenter


@dataclass(frozen=True)
class Thresholds:
    """The thresholds that decide which pixels are foreground and which objects are kept."""

    cellprob_threshold: float = 0.0
    flow_threshold: float | None = 0.4
    min_size: int = 15
    score_threshold: float | None = None

    @property
    def max_flow_error(self) -> float:
        """The flow threshold as a number; infinite without a flow check."""
        return np.inf if self.flow_threshold is None else self.flow_threshold


# Where `fit` has too few objects to choose it. Source: flow errors of the objects that are right (IoU 0.5) in two real
# volumes after minutes of training. Nine in ten are below 0.32 (nuclei) and below 0.70 (chloroplasts).
FLOW_THRESHOLD_OF_VOLUMES = 0.8


def default_thresholds(ndim: int) -> Thresholds:
    """Return the thresholds for images of two or three axes where none are given or chosen."""
    return Thresholds() if ndim == 2 else Thresholds(flow_threshold=FLOW_THRESHOLD_OF_VOLUMES)


@dataclass(frozen=True)
class GivenThresholds:
    """The thresholds as a segmenter's parameters: values that stand, or "auto", which leaves them to `fit`."""

    cellprob_threshold: float | Auto = "auto"
    flow_threshold: float | Auto | None = "auto"
    min_size: int | Auto = "auto"
    score_threshold: float | Auto | None = "auto"

    @classmethod
    def of(cls, segmenter: FlowSegmenter) -> GivenThresholds:
        """Return the thresholds of a segmenter; NumPy's numbers become plain ones, which can be saved."""
        return cls(*(_as_plain(getattr(segmenter, name)) for name in NAMES))

    @property
    def names(self) -> set[str]:
        """Names of those that are given."""
        return {name for name in NAMES if not isinstance(getattr(self, name), str)}

    @property
    def score(self) -> float | None:
        """The score threshold, if it is given as a number."""
        return None if isinstance(self.score_threshold, str) else self.score_threshold

    def resolve(self, learned: Thresholds) -> Thresholds:
        """Return the given values, and the learned ones for the others."""
        given = self.names
        return Thresholds(*(getattr(self if name in given else learned, name) for name in NAMES))

    def check(self) -> None:
        """Raise unless each is "auto", or valid for `flows_to_masks`, and a score is a probability."""
        check_thresholds(*(getattr(self, name) for name in NAMES))


NAMES = tuple(field.name for field in fields(Thresholds))


def _as_plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic | np.ndarray) and value.ndim == 0 else value


def check_thresholds(cellprob_threshold: Any, flow_threshold: Any, min_size: Any, score_threshold: Any) -> None:
    """Raise unless each is "auto", or valid for `flows_to_masks`, and a score is a probability."""
    if not is_auto(cellprob_threshold, "cellprob_threshold", "a number"):
        _checks.as_number(cellprob_threshold, "cellprob_threshold", low=-np.inf)
    if not is_auto(flow_threshold, "flow_threshold", "a number, None"):
        _checks.as_number(flow_threshold, "flow_threshold", low=0.0, none="no flow check")
    if not is_auto(min_size, "min_size", "an integer"):
        _checks.as_integer(min_size, "min_size", minimum=0)
    if not is_auto(score_threshold, "score_threshold", "a number, None"):
        _checks.as_number(score_threshold, "score_threshold", low=0.0, high=1.0, none="keep all objects")


def read_thresholds(document: Any) -> Thresholds:
    """Return the thresholds in a model file's JSON, checked."""
    if not isinstance(document, dict) or set(document) != set(NAMES):
        raise ValueError(f"thresholds must be an object with {', '.join(sorted(NAMES))}; got {document!r}.")
    if any(isinstance(value, str) for value in document.values()):
        raise ValueError(f"thresholds must be numbers; got {document!r}.")
    check_thresholds(**document)
    return Thresholds(**document)
