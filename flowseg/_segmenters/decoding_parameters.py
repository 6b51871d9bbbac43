"""Thresholds as parameters of a segmenter, and what `fit` learns for those that are "auto"."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._nets.codecs import FlowCodec
from flowseg._segmenters.base import Segmenter
from flowseg._segmenters.choices import LEAST_OBJECTS
from flowseg._segmenters.decoder import Decoder, Learned, learn_decoding, read_learned
from flowseg._segmenters.quality import Table
from flowseg._segmenters.thresholds import SCORE_FOLDS, Thresholds, check_thresholds


class Decoding(Segmenter):
    """Adds the way from outputs to masks to a segmenter of flows."""

    _codec: FlowCodec
    _learned: Learned
    n_iter: Any
    score_threshold: Any

    def _fit_thresholds(self, images: list[NDArray[Any]], masks: list[NDArray[Any]], before: Learned | None) -> None:
        self._learned = self._learn(images, masks, before or Learned())

    def _learn(self, images: list[NDArray[Any]], masks: list[NDArray[Any]], before: Learned) -> Learned:
        """What images with known masks teach; what they do not stays as it was."""
        # One by one: the outputs of all images can be more than fits into memory.
        split = (self._codec.split(self._find_outputs(image, None)[0]) for image in images)
        given = self._given()
        learned = learn_decoding(split, masks, given, diameter=self.diameter_, n_iter=self.n_iter, workers=self.workers)
        untouched = {*given, *(["score_threshold"] if len(images) < SCORE_FOLDS else [])}
        kept = {name: getattr(before.thresholds, name) for name in untouched}
        if learned.calibration is None:
            kept["score_threshold"] = None
        return replace(learned, thresholds=replace(learned.thresholds, **kept))

    def _thresholds(self) -> dict[str, Any]:
        """The parameters; NumPy's numbers as plain ones, so that they can be saved."""
        values = {field.name: getattr(self, field.name) for field in fields(Thresholds)}
        return {k: v.item() if isinstance(v, np.generic | np.ndarray) and v.ndim == 0 else v for k, v in values.items()}

    def _given(self) -> dict[str, Any]:
        """Those that are not "auto"."""
        return {name: value for name, value in self._thresholds().items() if not isinstance(value, str)}

    @property
    def cellprob_threshold_(self) -> float:
        """The parameter, or what `fit` chose where that is "auto"."""
        return self._in_effect().cellprob_threshold

    @property
    def flow_threshold_(self) -> float | None:
        """The parameter, or what `fit` chose where that is "auto"."""
        return self._in_effect().flow_threshold

    @property
    def min_size_(self) -> int:
        """The parameter, or what `fit` chose where that is "auto"."""
        return self._in_effect().min_size

    @property
    def score_threshold_(self) -> float | None:
        """The parameter, or what `fit` chose where that is "auto"."""
        return self._in_effect().score_threshold

    def _reset_decoding(self) -> Learned:
        before = getattr(self, "_learned", Learned())
        self._learned = Learned()
        return before

    def _learned_decoding(self) -> dict[str, Any]:
        return super()._learned_decoding() | self._learned.as_document()

    def _restore_decoding(self, learned: dict[str, Any]) -> None:
        super()._restore_decoding(learned)
        self._learned = read_learned(learned)

    def _decode_objects(self, outputs: NDArray[np.float32], factor: float) -> tuple[NDArray[np.int32], Table]:  # noqa: ARG002
        return self._decoder().objects(*self._codec.split(outputs))

    def _check_can_learn(self, n_objects: int, *, keep: bool) -> None:
        given = self._thresholds()["score_threshold"]
        known = keep and self._learned.calibration is not None
        if given is not None and not isinstance(given, str) and n_objects < LEAST_OBJECTS and not known:
            raise ValueError(
                f"score_threshold must be 'auto' or None with fewer than {LEAST_OBJECTS} validation objects to learn "
                f"scores from; got {given:g} and {n_objects}."
            )

    def _check_decoding(self) -> None:
        check_thresholds(**self._thresholds())
        given = self._thresholds()["score_threshold"]
        if given is not None and not isinstance(given, str) and self._learned.calibration is None:
            raise ValueError(
                "score_threshold must be 'auto' or None for a segmenter that has learned no scores: fit needs "
                f"{LEAST_OBJECTS} validation objects for it, and has to find some (see fit_thresholds); got {given:g}."
            )

    def _decode(self, outputs: NDArray[np.float32], factor: float) -> NDArray[np.int32]:  # noqa: ARG002
        return self._decoder().masks(*self._codec.split(outputs))

    def _decode_plainly(self, outputs: NDArray[np.float32], factor: float) -> NDArray[np.int32]:  # noqa: ARG002
        thresholds = replace(Thresholds(), **self._given() | {"score_threshold": None})
        return Decoder(thresholds, None, self.n_iter, self.workers).masks(*self._codec.split(outputs))

    def _in_effect(self) -> Thresholds:
        self._check_fitted()
        return replace(self._learned.thresholds, **self._given())

    def _decoder(self) -> Decoder:
        return Decoder(self._in_effect(), self._learned.calibration, self.n_iter, self.workers)
