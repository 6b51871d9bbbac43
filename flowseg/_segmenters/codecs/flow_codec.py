"""The codec of flows: masks to flows and foreground, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from flowseg import _checks
from flowseg._flows.targets import masks_to_flows_unchecked
from flowseg._nets.encoder import Sparse, weigh
from flowseg._segmenters.auto_values import as_ndim
from flowseg._segmenters.codecs.codec import NO_OBJECT, Codec, Masks, Outputs, fill_outputs
from flowseg._segmenters.learned_decoding.candidates import Seen
from flowseg._segmenters.learned_decoding.choose_thresholds import SCORE_FOLDS
from flowseg._segmenters.learned_decoding.find_objects import Decoding, find_masks, find_objects, read_decoding
from flowseg._segmenters.learned_decoding.learn_decoding import LEAST_OBJECTS, learn_decoding
from flowseg._segmenters.learned_decoding.object_table import Table
from flowseg._segmenters.learned_decoding.thresholds import GivenThresholds, Thresholds, default_thresholds

if TYPE_CHECKING:
    from flowseg._segmenters.flow import FlowSegmenter


@dataclass(frozen=True)
class FlowCodec(Codec):
    """Target: weight, foreground, flows. Outputs: flows (FLOW_SCALE times as long in the network), cellprob."""

    loss_name: ClassVar[str] = "flow_loss"

    given: GivenThresholds = field(default_factory=GivenThresholds)
    n_iter: int | None = None
    workers: int | None = None
    ndim: int = 2

    @property
    def n_outputs(self) -> int:
        """Flows and cellprob."""
        return self.ndim + 1

    @property
    def vectors(self) -> slice | None:
        """The flows."""
        return slice(0, self.ndim)

    @property
    def output_names(self) -> tuple[str, ...]:
        """One for the flow along each axis, and that of the logit."""
        return (*(f"flow_{axis}" for axis in "zyx"[-self.ndim :]), "cellprob")

    @classmethod
    def of(cls, segmenter: FlowSegmenter) -> FlowCodec:
        """Return the codec with a segmenter's parameters, checked."""
        given = GivenThresholds.of(segmenter)
        given.check()
        n_iter = _checks.as_integer(segmenter.n_iter, "n_iter", minimum=0, none="until all points have settled")
        return cls(given, n_iter, segmenter.workers, as_ndim(segmenter.ndim))

    def encode(self, masks: NDArray[Any], *, workers: int, sparse: Sparse | None = None) -> NDArray[np.float32]:
        """Return the target of one label image; where flows are unknown they are 0, which has no weight in the loss."""
        flows = masks_to_flows_unchecked(masks, workers)
        if sparse is not None:
            flows[:, masks > sparse.n_whole] = 0
        target = np.concatenate([[weigh(masks, sparse), masks > 0], flows])
        return np.ascontiguousarray(np.moveaxis(target, 0, -1), dtype=np.float32)

    def no_objects(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return outputs without flow, and with a foreground below any threshold."""
        return fill_outputs(shape[: self.ndim], (*[0.0] * self.ndim, NO_OBJECT))

    def foreground(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the sigmoid of cellprob."""
        probability: NDArray[np.float32] = expit(outputs[..., self.ndim])
        return probability

    def split(self, outputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return flows in unit length, shape (ndim, ...), and cellprob, as views of ``outputs``."""
        return np.moveaxis(outputs[..., : self.ndim], -1, 0), outputs[..., self.ndim]

    def decode(self, outputs: Outputs, learned: Decoding) -> Masks:
        """Return masks: follow the flows of the foreground to their sinks."""
        return self._find_masks(outputs, self._in_effect(learned))

    def decode_objects(self, outputs: Outputs, learned: Decoding) -> tuple[Masks, Table]:
        """Return masks, and a table of their objects with their scores."""
        flows, cellprob = self.split(outputs.array)
        options = {"n_iter": self.n_iter, "workers": self.workers}
        return find_objects(flows, cellprob, self._in_effect(learned), pixel=outputs.pixel, **options)

    def decode_for_size(self, outputs: Outputs) -> Masks:
        """Return masks by the given thresholds, or else the default ones; no score."""
        return self._find_masks(outputs, self.decoding_for_size())

    def default_decoding(self) -> Decoding:
        """Return how outputs are decoded where `fit` has learned nothing."""
        return Decoding(default_thresholds(self.ndim))

    def decoding_for_size(self) -> Decoding:
        """Return the given thresholds, or else the default ones; no score."""
        return Decoding(replace(self.given.resolve(default_thresholds(self.ndim)), score_threshold=None))

    def _find_masks(self, outputs: Outputs, decoding: Decoding) -> Masks:
        flows, cellprob = self.split(outputs.array)
        options = {"n_iter": self.n_iter, "workers": self.workers}
        return find_masks(flows, cellprob, decoding, pixel=outputs.pixel, **options)

    def thresholds(self, learned: Decoding) -> Thresholds:
        """Return the given thresholds, the others as `fit` has chosen them."""
        return self.given.resolve(learned.thresholds)

    def _in_effect(self, learned: Decoding) -> Decoding:
        return replace(learned, thresholds=self.thresholds(learned))

    def check_learned(self, learned: Decoding) -> None:
        """Raise where score_threshold is a number and there are no scores."""
        score = self.given.score
        if score is not None and learned.calibration is None:
            raise ValueError(
                "score_threshold must be 'auto' or None for a segmenter that has learned no scores: fit needs "
                f"{LEAST_OBJECTS} validation objects for it, and has to find some (see fit_thresholds); got {score:g}."
            )

    def check_can_learn(self, n_objects: int, known: Decoding) -> None:
        """Raise before a training after which score_threshold is a number and there are no scores."""
        score = self.given.score
        if score is not None and n_objects < LEAST_OBJECTS and known.calibration is None:
            raise ValueError(
                f"score_threshold must be 'auto' or None with fewer than {LEAST_OBJECTS} validation objects to learn "
                f"scores from; got {score:g} and {n_objects}."
            )

    def learn(
        self, outputs: Iterable[Outputs], masks: Sequence[NDArray[Any]], before: Decoding, *, diameter: float
    ) -> Decoding:
        """Return thresholds, chosen where they are not given, and the calibration of scores."""
        # One by one: the outputs of all images can be more than fits into memory.
        seen = (Seen(*self.split(found.array), found.pixel) for found in outputs)
        learned = learn_decoding(seen, masks, self.given, diameter=diameter, n_iter=self.n_iter, workers=self.workers)
        unchanged = self.given.names | ({"score_threshold"} if len(masks) < SCORE_FOLDS else set())
        kept = {name: getattr(before.thresholds, name) for name in unchanged}
        if learned.calibration is None:
            kept["score_threshold"] = None
        return replace(learned, thresholds=replace(learned.thresholds, **kept))

    def as_document(self, learned: Decoding) -> dict[str, Any]:
        """Return thresholds and calibration as JSON values."""
        return learned.as_document()

    def read_document(self, document: dict[str, Any]) -> Decoding:
        """Return thresholds and calibration, checked."""
        return read_decoding(document)
