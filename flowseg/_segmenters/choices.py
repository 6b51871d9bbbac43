"""What `fit` chooses on validation images: how outputs become masks, and whether a training further was worth it."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import metrics
from flowseg._labels.overlaps import count_objects
from flowseg._nets.sizes import Sizes
from flowseg._segmenters.selection import Score, best_iou, score_found, standard_error
from flowseg._segmenters.summary import IOU_NAMES

# With fewer objects in the validation images nothing is chosen on them: chance would do it.
LEAST_OBJECTS = 50

# Average precision is told, and trainings are compared, at these IoU thresholds.
TOLD_THRESHOLDS = tuple(map(float, IOU_NAMES))

History = dict[str, list[float]]
Precision = tuple[float, ...]  # average precision at each of them


def warn_of_no_comparison(goes_on: bool, n_held_out: int) -> None:
    """Warn in one line of a trained model that is trained further unseen."""
    if goes_on and not n_held_out:
        warnings.warn(
            "without validation images nothing tells whether training further makes the model better or worse: give "
            "some, or six images or more, of which fit holds some out.",
            stacklevel=3,
        )


class Choosing:
    """Adds to a segmenter what `fit` does after the network is trained."""

    _check_decoding: Any
    _decode: Any
    _estimate: Any
    _find_grid: Any
    _least_sharpness: float
    _run: Any
    _set_fitted: Any
    _sizes: Sizes
    _trained_with: dict[str, Any] | None
    diameter_: float
    estimate_diameters: Any
    history_: History
    validation_ap_: Precision | None

    def _take(
        self,
        network: Any,
        typical: float,
        history: History,
        sizes: Sizes,
        least_sharpness: float,
        held_out: tuple[list[NDArray[Any]], list[NDArray[Any]]],
        *,
        goes_on: bool,
    ) -> None:
        """Set all that `fit` learns, or leave the segmenter as it was, whatever interrupts."""
        from flowseg._nets.machine import describe_machine

        before = dict(self.__dict__)
        start = self._measure_precision(*held_out) if goes_on else None
        try:
            self._set_fitted(network, self._find_grid(network), typical, history)
            self._trained_with = describe_machine()
            self._sizes = self._sizes.widened(sizes) if goes_on else sizes
            self._least_sharpness = min(self._least_sharpness, least_sharpness) if goes_on else least_sharpness
            self._fit_decoding(*held_out, keep=goes_on)
            self.validation_ap_ = self._measure_precision(*held_out)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        if start is not None:
            self._keep_the_better(before, start)

    def _measure_precision(self, images: list[NDArray[Any]], masks: list[NDArray[Any]]) -> Precision | None:
        """Of what `predict` finds in the images; None without images, or where it would refuse."""
        try:
            self._check_decoding()
        except ValueError:  # a score_threshold without scores
            return None
        if not images:
            return None
        found = [self._run(image, None, self._decode) for image in images]
        values = metrics.average_precision(masks, found, thresholds=TOLD_THRESHOLDS)
        return tuple(float(value) for value in values)

    def _keep_the_better(self, before: dict[str, Any], start: Precision) -> None:
        """Go back to the trained model that the training started from, unless its end beats it; tell of both.

        What counts is the mean of what is told. Where that is equal, weights with a lower validation loss are better.
        """
        history = self.history_
        end, losses = self.validation_ap_, history.get("val_loss", [])
        old_loss = history.get("val_loss_before", [])
        new_loss = [float(np.nanmin([*losses, *old_loss]))] if old_loss else []
        gain = -np.inf if end is None else np.mean(end) - np.mean(start)
        if gain < 0 or (gain == 0 and new_loss == old_loss):
            self.__dict__.clear()
            self.__dict__.update(before)
            self.validation_ap_, new_loss = start, old_loss
        told = {"val_loss_after": new_loss, "val_ap_before": start, "val_ap_after": self.validation_ap_ or ()}
        self.history_ = history | {name: list(values) for name, values in told.items() if values}

    def _check_can_learn(self, n_objects: int, *, keep: bool) -> None:
        """Raise where parameters ask for what so many validation objects cannot teach."""

    def _fit_decoding(self, images: list[NDArray[Any]], masks: list[NDArray[Any]], *, keep: bool = False) -> None:
        """Learn from validation images what comes after the network, if they hold enough objects.

        If not, nothing is known of it; with ``keep`` what was learned before stays. One image teaches scores, but not
        what others would gain: it is not enough to give up what is known.
        """
        enough = sum(count_objects(m) for m in masks) >= LEAST_OBJECTS and not (keep and len(images) == 1)
        if keep and not enough:
            return
        before = self._reset_decoding()
        if not enough:
            return
        if self.estimate_diameters:  # True or "auto"
            gain = self._gain_of_estimates(images, masks)
            self._sizes = replace(self._sizes, estimate=bool(gain[0] > standard_error(gain)))
        self._fit_thresholds(images, masks, before if keep else None)

    def _gain_of_estimates(self, images: list[NDArray[Any]], masks: list[NDArray[Any]]) -> Score:
        """Score with estimated diameters less that without."""
        typical: list[NDArray[np.float64]] = []
        estimated: list[NDArray[np.float64]] = []
        for image, true in zip(images, masks, strict=True):
            outputs, factor = self._estimate(image, bounded=True, look=partial(self._judge, typical, true))
            if factor == self._sizes.working / self.diameter_:
                estimated.append(typical[-1])
            else:
                self._judge(estimated, true, outputs, factor)
        n_true = np.array([count_objects(m) for m in masks])
        return score_found(estimated, n_true) - score_found(typical, n_true)

    def _judge(
        self, into: list[NDArray[np.float64]], true: NDArray[Any], outputs: NDArray[np.float32], factor: float
    ) -> None:
        into.append(best_iou(true, self._decode(outputs, factor)))

    def _reset_decoding(self) -> Any:
        """Forget what is learned of decoding, and return it."""

    def _fit_thresholds(self, images: list[NDArray[Any]], masks: list[NDArray[Any]], before: Any) -> None:
        """Choose thresholds on images with known masks; what these cannot teach stays as it was ``before``."""
