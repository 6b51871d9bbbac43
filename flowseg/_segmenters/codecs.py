"""Codecs: masks into what a network learns, and what it predicts into masks.

A codec is all that the two segmenters differ in, with the loss. It is made of those parameters of a segmenter that
decide how outputs become masks; what `fit` has learned for it comes with every call.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label as connected_pieces
from skimage.segmentation import expand_labels, find_boundaries

from flowseg._flows.targets import masks_to_flows_unchecked
from flowseg._labels.overlaps import number_objects
from flowseg._nets.encoder import Encoder
from flowseg._segmenters.calibration import Table
from flowseg._segmenters.decoding import (
    LEAST_OBJECTS,
    Decoding,
    find_masks,
    find_objects,
    learn_decoding,
    read_decoding,
)
from flowseg._segmenters.thresholds import SCORE_FOLDS, Thresholds, plain_thresholds

if TYPE_CHECKING:
    from flowseg._segmenters.flow import FlowSegmenter

# Width in pixels, at the working diameter, of the boundary inside an object: what decoding has to grow back.
BOUNDARY_WIDTH = 1.0

BACKGROUND, INTERIOR, BOUNDARY = 0, 1, 2

# Logit of what is certainly no object: a constant image.
NO_OBJECT = -100.0

Masks = NDArray[np.int32]


@dataclass(frozen=True)
class Outputs:
    """What a network says of an image, in the size of the image."""

    array: NDArray[np.float32]  # (rows, columns, n_outputs)
    factor: float  # that the image was scaled by for it


class Codec(Encoder):
    """Both ways between masks and a network."""

    @abstractmethod
    def no_objects(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Outputs for an image of this many rows and columns without any object."""

    @abstractmethod
    def decode(self, outputs: Outputs, learned: Decoding) -> Masks:
        """Label image, 1..n."""

    def decode_objects(self, outputs: Outputs, learned: Decoding) -> tuple[Masks, Table | None]:
        """Label image, and a table of its objects where outputs say more of them than where they are."""
        return self.decode(outputs, learned), None

    def decode_plainly(self, outputs: Outputs) -> Masks:
        """Label image that sizes are estimated of: by nothing that `fit` chooses on such images."""
        return self.decode(outputs, Decoding())

    def thresholds(self, learned: Decoding) -> Thresholds | None:  # noqa: ARG002
        """The thresholds in effect, if there are any to choose."""
        return None

    def check_learned(self, learned: Decoding) -> None:
        """Raise where parameters ask for what `fit` has not learned."""

    def check_can_learn(self, n_objects: int, known: Decoding) -> None:
        """Raise where parameters ask for what so many validation objects cannot teach and nobody knows."""

    def learn(
        self,
        outputs: Iterable[Outputs],  # noqa: ARG002
        masks: Sequence[NDArray[Any]],  # noqa: ARG002
        before: Decoding,
        *,
        diameter: float,  # noqa: ARG002
    ) -> Decoding:
        """What outputs for images with known masks teach; what they do not stays as it was ``before``."""
        return before

    def as_document(self, learned: Decoding) -> dict[str, Any]:  # noqa: ARG002
        """What was learned, for a model file."""
        return {}

    def read_document(self, document: dict[str, Any]) -> Decoding:  # noqa: ARG002
        """What a model file says was learned, checked."""
        return Decoding()


@dataclass(frozen=True)
class FlowCodec(Codec):
    """Target: weight, foreground, flows. Output: flows (the network says FLOW_SCALE times as much), cellprob."""

    n_outputs: ClassVar[int] = 3
    vectors: ClassVar[slice | None] = slice(0, 2)
    loss_name: ClassVar[str] = "flow_loss"

    given: Mapping[str, Any] = field(default_factory=dict)  # thresholds that are not to be chosen, by name
    n_iter: int | None = None
    workers: int | None = None

    @classmethod
    def of(cls, segmenter: FlowSegmenter) -> FlowCodec:
        """That of a segmenter's parameters."""
        given = {name: value for name, value in plain_thresholds(segmenter).items() if not isinstance(value, str)}
        return cls(given, segmenter.n_iter, segmenter.workers)

    def encode(self, masks: NDArray[Any], *, workers: int) -> NDArray[np.float32]:
        """Target of one label image; negative pixels have no weight."""
        flows = masks_to_flows_unchecked(masks, workers)
        target = np.concatenate([[masks >= 0, masks > 0], flows])
        return np.ascontiguousarray(np.moveaxis(target, 0, -1), dtype=np.float32)

    def no_objects(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """No flow anywhere, and a foreground that no threshold reaches."""
        return _fill(shape[: self.ndim], (0.0, 0.0, NO_OBJECT))

    def split(self, outputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Flows in unit length, shape (2, rows, columns), and cellprob: views of outputs."""
        return np.moveaxis(outputs[..., : self.ndim], -1, 0), outputs[..., self.ndim]

    def decode(self, outputs: Outputs, learned: Decoding) -> Masks:
        """Follow the flows of the foreground to their sinks."""
        return find_masks(
            *self.split(outputs.array), self._in_effect(learned), n_iter=self.n_iter, workers=self.workers
        )

    def decode_objects(self, outputs: Outputs, learned: Decoding) -> tuple[Masks, Table]:
        """The same, and what flows and foreground say of every object."""
        flows, cellprob = self.split(outputs.array)
        return find_objects(flows, cellprob, self._in_effect(learned), n_iter=self.n_iter, workers=self.workers)

    def decode_plainly(self, outputs: Outputs) -> Masks:
        """By the usual thresholds, or those that were given; no score."""
        plain = Decoding(replace(Thresholds(), **{**self.given, "score_threshold": None}))
        return find_masks(*self.split(outputs.array), plain, n_iter=self.n_iter, workers=self.workers)

    def thresholds(self, learned: Decoding) -> Thresholds:
        """Those that were given, the others as `fit` has chosen them."""
        return replace(learned.thresholds, **self.given)

    def _in_effect(self, learned: Decoding) -> Decoding:
        return replace(learned, thresholds=self.thresholds(learned))

    def check_learned(self, learned: Decoding) -> None:
        """A number as score_threshold needs scores."""
        given = self.given.get("score_threshold")
        if given is not None and learned.calibration is None:
            raise ValueError(
                "score_threshold must be 'auto' or None for a segmenter that has learned no scores: fit needs "
                f"{LEAST_OBJECTS} validation objects for it, and has to find some (see fit_thresholds); got {given:g}."
            )

    def check_can_learn(self, n_objects: int, known: Decoding) -> None:
        """The same before a training."""
        given = self.given.get("score_threshold")
        if given is not None and n_objects < LEAST_OBJECTS and known.calibration is None:
            raise ValueError(
                f"score_threshold must be 'auto' or None with fewer than {LEAST_OBJECTS} validation objects to learn "
                f"scores from; got {given:g} and {n_objects}."
            )

    def learn(
        self, outputs: Iterable[Outputs], masks: Sequence[NDArray[Any]], before: Decoding, *, diameter: float
    ) -> Decoding:
        """Choose the thresholds that are not given, and learn the score of objects."""
        # One by one: the outputs of all images can be more than fits into memory.
        pairs = (self.split(seen.array) for seen in outputs)
        options: dict[str, Any] = {"diameter": diameter, "n_iter": self.n_iter, "workers": self.workers}
        learned = learn_decoding(pairs, masks, self.given, **options)
        untouched = {*self.given, *(["score_threshold"] if len(masks) < SCORE_FOLDS else [])}
        kept = {name: getattr(before.thresholds, name) for name in untouched}
        if learned.calibration is None:
            kept["score_threshold"] = None
        return replace(learned, thresholds=replace(learned.thresholds, **kept))

    def as_document(self, learned: Decoding) -> dict[str, Any]:
        """Thresholds and score."""
        return learned.as_document()

    def read_document(self, document: dict[str, Any]) -> Decoding:
        """Thresholds and score."""
        return read_decoding(document)


def _fill(shape: tuple[int, ...], values: tuple[float, ...]) -> NDArray[np.float32]:
    """The same outputs in every pixel, each output in one block of memory."""
    filled = np.empty((len(values), *shape), dtype=np.float32)
    filled[:] = np.array(values).reshape(-1, *[1] * len(shape))
    return np.moveaxis(filled, 0, -1)


def _go_on(objects: NDArray[Any], unknown: NDArray[np.bool_]) -> NDArray[Any]:
    """Objects that go on where nobody knows: what an unknown pixel cuts has no boundary there."""
    if not unknown.any():
        return objects
    nearest = ndimage.distance_transform_edt(unknown, return_distances=False, return_indices=True)
    whole: NDArray[Any] = objects[tuple(nearest)]
    return whole


@dataclass(frozen=True)
class BoundaryCodec(Codec):
    """Target: weight, then background, interior and boundary as 0 or 1. Output: a logit for each of the three."""

    n_outputs: ClassVar[int] = 3
    vectors: ClassVar[slice | None] = None
    loss_name: ClassVar[str] = "boundary_loss"

    min_size: int = 15

    def encode(self, masks: NDArray[Any], *, workers: int) -> NDArray[np.float32]:  # noqa: ARG002
        """Target of one label image; the boundary is a pixel wide inside each object and one outside."""
        _, number, _ = number_objects(masks)
        objects = number.reshape(masks.shape)
        boundary = find_boundaries(_go_on(objects, masks < 0), mode="thick")
        inside = objects > 0
        target = np.stack([masks >= 0, ~inside & ~boundary, inside & ~boundary, boundary], axis=-1)
        return np.ascontiguousarray(target, dtype=np.float32)

    def no_objects(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Background everywhere."""
        return _fill(shape[: self.ndim], (0.0, NO_OBJECT, NO_OBJECT))

    def probabilities(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Softmax of the network's logits."""
        shifted = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        probabilities: NDArray[np.float32] = (shifted / shifted.sum(axis=-1, keepdims=True)).astype(np.float32)
        return probabilities

    def decode(self, outputs: Outputs, learned: Decoding) -> Masks:  # noqa: ARG002
        """Pieces of interior, grown back by the boundary, small ones dropped."""
        pieces = connected_pieces(outputs.array.argmax(axis=-1) == INTERIOR, connectivity=1)
        # The boundary is as wide as the network saw it, in pixels of the image.
        grown = expand_labels(pieces, distance=max(1.0, BOUNDARY_WIDTH / outputs.factor))
        big = np.bincount(grown.ravel()) >= max(self.min_size, 1)
        big[0] = False
        number = np.where(big, np.cumsum(big), 0)
        masks: Masks = number[grown].astype(np.int32)
        return masks
