"""Parameters and learned attributes that both segmenters have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from flowseg._nets.prediction_network import NumberFormat
from flowseg._segmenters.fitted import Fitted, History, Precision, check_fitted, get_fitted
from flowseg._segmenters.inputs import Auto, Network


class SegmenterAttributes(BaseEstimator):  # type: ignore[misc, unused-ignore]  # scikit-learn has no types
    """Parameters as they are stored, and what `fit` has learned as attributes that end in an underscore."""

    fitted_: Fitted  # set by `fit`, `load` and `fit_thresholds`, as their last step

    # Parameters, stored by the __init__ of both classes and checked by `fit` and `predict`.
    network: Network
    ndim: int
    filters: Sequence[int] | Auto
    n_channels: int
    normalize: tuple[Any, ...] | None
    diameter: float | Auto
    estimate_diameters: bool | Auto
    crop_size: int | Auto
    batch_size: int | Auto
    epochs: int
    steps_per_epoch: int
    learning_rate: float | Auto
    augment: bool
    validation_fraction: float
    patience: int | None
    warm_start: bool
    random_state: int | np.random.RandomState | None
    precision: NumberFormat
    workers: int | None
    verbose: int

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether it is fitted, for `sklearn.utils.validation.check_is_fitted`."""
        return "fitted_" in vars(self)

    @property
    def network_(self) -> Any:
        """The trained network, a keras.Model."""
        return get_fitted(self).network

    @property
    def diameter_(self) -> float:
        """Typical diameter of the objects in the training images, in pixels; in volumes in those of the finest axis."""
        return get_fitted(self).diameter

    @property
    def spacing_(self) -> tuple[float, ...] | None:
        """Spacing of the training images, or the median of several; None if `fit` was given none."""
        return get_fitted(self).lattice.spacing

    @property
    def history_(self) -> History:
        """Losses by epoch; after a further training also those before and after it."""
        return get_fitted(self).history

    @property
    def validation_ap_(self) -> Precision | None:
        """Average precision on the validation images at IoU 0.5 and 0.75, at the end of `fit`."""
        return get_fitted(self).validation_ap

    @property
    def classes_(self) -> tuple[str, ...] | None:
        """Names of the classes of objects; None if `fit` was given none."""
        head = get_fitted(self).classes
        return None if head is None else head.names

    @property
    def working_diameter_(self) -> float:
        """Diameter in pixels that typical objects are scaled to."""
        return check_fitted(self).sizes.working

    @property
    def estimate_diameters_(self) -> bool:
        """Whether `predict` estimates diameters that are not given: the parameter, or what `fit` chose for "auto"."""
        fitted, given = check_fitted(self), self.estimate_diameters
        return fitted.sizes.estimate if isinstance(given, str) else bool(given)
