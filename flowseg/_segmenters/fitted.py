"""The learned state of a segmenter: one value, set by `fit`, `load` and `fit_thresholds`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flowseg._nets.lattice import Lattice
from flowseg._nets.prediction_network import HALF, SINGLE, NumberFormat, PredictionNetwork
from flowseg._nets.sizes import Sizes
from flowseg._nets.tiles import Grid
from flowseg._segmenters.auto_values import find_filters
from flowseg._segmenters.learned_decoding.find_objects import Decoding
from flowseg._segmenters.likeness.ranges import Ranges
from flowseg._segmenters.object_classes.class_head import ClassHead

if TYPE_CHECKING:
    from flowseg._segmenters.attributes import SegmenterAttributes

History = dict[str, list[float]]
Precision = tuple[float, ...]  # average precision at IoU 0.5 and 0.75

# The lattice of networks for images whose spacing is not known.
UNKNOWN_SPACING = Lattice(None, (0, 0))

# Types of parameters that are compared by value; networks are compared by identity.
PLAIN = (str, int, float, list, tuple, np.ndarray, np.generic)


class FixedParameters(NamedTuple):
    """The parameters that the network depends on, which must not change after `fit`."""

    network: Any  # a name, a function that builds one, or a keras.Model
    n_channels: int
    filters: Any  # a sequence of int; "auto" is resolved
    diameter: Any  # a number or "auto"
    ndim: int = 2

    @classmethod
    def of(cls, segmenter: SegmenterAttributes) -> FixedParameters:
        """Return the parameters of a segmenter; lists are copied as tuples."""
        values: Iterator[Any] = (_value_of(segmenter, name) for name in cls._fields)
        return cls._make(tuple(value) if isinstance(value, list) else value for value in values)

    @property
    def n_poolings(self) -> int:
        """Poolings of the network; 0 for a custom one, of which they are not known."""
        return 0 if self.is_custom else len(self.filters) - 1

    @property
    def is_custom(self) -> bool:
        """Whether the network is a custom one."""
        return not isinstance(self.network, str)

    def check_unchanged(self, segmenter: SegmenterAttributes, advice: str) -> None:
        """Raise unless the segmenter still has these values."""
        for name, value in self._asdict().items():
            now = _value_of(segmenter, name)
            if now is not value and not (isinstance(now, PLAIN) and np.array_equal(now, value)):
                raise ValueError(f"{name} must be what it was in fit, {value!r}; got {now!r}. {advice}")


def _value_of(segmenter: SegmenterAttributes, name: str) -> Any:
    return find_filters(segmenter) if name == "filters" else getattr(segmenter, name)


@dataclass(frozen=True, eq=False)
class Fitted:
    """Everything that `fit` learns and a model file holds."""

    network: Any  # keras.Model, trained
    grid: Grid  # its tile grid
    sizes: Sizes  # the sizes at which it sees objects
    diameter: float  # typical one of the training images, in pixels (of their finest axis)
    history: History  # losses by epoch
    least_sharpness: float  # of true objects; see noise_check.py
    fixed: FixedParameters
    decoding: Decoding = field(default_factory=Decoding)
    validation_ap: Precision | None = None
    trained_with: Mapping[str, Any] | None = None  # machine and versions; None in files without them
    lattice: Lattice = UNKNOWN_SPACING  # that the network sees
    ranges: Ranges | None = None  # of statistics of training images; None: not known
    classes: ClassHead | None = None  # of objects; None: without
    _prediction: PredictionNetwork = field(default_factory=PredictionNetwork, repr=False)

    def prediction_network(self, precision: NumberFormat = SINGLE) -> Any:
        """Return the network to predict with: the same function of an image as ``network``, faster."""
        network, fixed = self.network, self.fixed
        if fixed.is_custom:
            return network
        if fixed.network == "unet":
            levels = self.lattice.coarse_levels
            network = self._prediction.fold(network, n_levels=len(fixed.filters), coarse_levels=levels)
        return self._prediction.halve(network) if precision == HALF else network


def get_fitted(segmenter: SegmenterAttributes) -> Fitted:
    """Return what a segmenter has learned; raise if it is not fitted."""
    fitted: Fitted | None = vars(segmenter).get("fitted_")
    if fitted is None:
        from sklearn.exceptions import NotFittedError  # takes half a second

        raise NotFittedError(
            f"This {type(segmenter).__name__} is not trained yet: call fit with images and masks, or load a model file."
        )
    return fitted


def check_fitted(segmenter: SegmenterAttributes, advice: str = "Fit again.") -> Fitted:
    """Return what a segmenter has learned; raise also if a parameter that the network depends on was changed since."""
    fitted = get_fitted(segmenter)

    from flowseg._nets.networks import check_process

    check_process()
    fitted.fixed.check_unchanged(segmenter, advice)
    return fitted
