"""The thresholds in effect, as attributes of `FlowSegmenter`."""

from __future__ import annotations

from abc import abstractmethod

from flowseg._segmenters.learned_decoding.thresholds import Thresholds


class ThresholdAttributes:
    """Thresholds that `predict` uses, as attributes that end in an underscore."""

    @abstractmethod
    def _thresholds_in_effect(self) -> Thresholds:
        """Return the parameters, or the values that `fit` chose for "auto"."""

    @property
    def cellprob_threshold_(self) -> float:
        """The parameter, or the value that `fit` chose for "auto"."""
        return self._thresholds_in_effect().cellprob_threshold

    @property
    def flow_threshold_(self) -> float | None:
        """The parameter, or the value that `fit` chose for "auto"."""
        return self._thresholds_in_effect().flow_threshold

    @property
    def min_size_(self) -> int:
        """The parameter, or the value that `fit` chose for "auto"."""
        return self._thresholds_in_effect().min_size

    @property
    def score_threshold_(self) -> float | None:
        """The parameter, or the value that `fit` chose for "auto"."""
        return self._thresholds_in_effect().score_threshold
