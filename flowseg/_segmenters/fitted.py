"""What a segmenter has learned: one value, set by `fit` and `load` and by nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.exceptions import NotFittedError

from flowseg._nets.sizes import Sizes
from flowseg._nets.tiles import Grid
from flowseg._segmenters.decoding import Decoding

if TYPE_CHECKING:
    from flowseg._segmenters.base import Segmenter

History = dict[str, list[float]]
Precision = tuple[float, ...]  # average precision at each of the IoU thresholds that are told

# Types of parameters that are the same if they are equal; a network is the same if it is the very one.
PLAIN = (str, int, float, list, tuple, np.ndarray, np.generic)


class FixedParameters(NamedTuple):
    """Parameters that the network depends on: changed after `fit` they would no longer describe it."""

    network: Any  # a name, a function that builds one, or a keras.Model
    n_channels: int
    filters: Any  # a sequence of int
    diameter: Any  # a number or "auto"

    @classmethod
    def of(cls, segmenter: Segmenter) -> FixedParameters:
        """Those that a segmenter has now, whatever becomes of lists among them."""
        values: Iterator[Any] = (getattr(segmenter, name) for name in cls._fields)
        return cls._make(tuple(value) if isinstance(value, list) else value for value in values)

    @property
    def is_own(self) -> bool:
        """Whether the network is one of the user's own."""
        return not isinstance(self.network, str)

    def check_unchanged(self, segmenter: Segmenter, advice: str) -> None:
        """Raise unless the segmenter still has them."""
        for name, value in self._asdict().items():
            now = getattr(segmenter, name)
            if now is not value and not (isinstance(now, PLAIN) and np.array_equal(now, value)):
                raise ValueError(f"{name} must be what it was in fit, {value!r}; got {now!r}. {advice}")


@dataclass(frozen=True, eq=False)
class Fitted:
    """All that `fit` learns and a model file holds."""

    network: Any  # keras.Model, trained
    grid: Grid  # what it asks of tiles
    sizes: Sizes  # at which size it sees objects
    diameter: float  # typical one of the training images, in pixels
    history: History  # losses by epoch
    least_sharpness: float  # of objects that are no noise; see noise.py
    fixed: FixedParameters
    decoding: Decoding = field(default_factory=Decoding)
    validation_ap: Precision | None = None
    trained_with: Mapping[str, Any] | None = None  # machine and versions; None in files of before they were kept


def get_fitted(segmenter: Segmenter) -> Fitted:
    """What a segmenter has learned; raise where that is nothing."""
    fitted: Fitted | None = vars(segmenter).get("fitted_")
    if fitted is None:
        raise NotFittedError(
            f"This {type(segmenter).__name__} is not trained yet: call fit with images and masks, or load a model file."
        )
    return fitted


def check_fitted(segmenter: Segmenter, advice: str = "Fit again.") -> Fitted:
    """The same, to be used: raise also where a parameter that the network depends on was changed since."""
    fitted = get_fitted(segmenter)

    from flowseg._nets.networks import check_process

    check_process()
    fitted.fixed.check_unchanged(segmenter, advice)
    return fitted
