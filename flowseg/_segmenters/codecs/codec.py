"""The base class of codecs, and what a network's outputs are.

The two segmenters differ in their codec and its loss. A codec holds the parameters of a segmenter that decide how
outputs become masks; what `fit` has learned for it, a `Decoding`, comes with every call.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._intensities import Limits
from flowseg._nets.encoder import Encoder
from flowseg._nets.lattice import PixelShape
from flowseg._padding import Unpadded
from flowseg._segmenters.learned_decoding.find_objects import Decoding
from flowseg._segmenters.learned_decoding.object_table import Table
from flowseg._segmenters.learned_decoding.thresholds import Thresholds

# Logit of an object where there certainly is none: in a constant image.
NO_OBJECT = -100.0

Masks = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Outputs:
    """Outputs of a network for an image, in the size of the image."""

    array: NDArray[np.float32]  # (rows, columns, n_outputs), of volumes (planes, rows, columns, n_outputs)
    factor: float  # that the image was scaled by for it, along its finest axis
    unpadded: Unpadded | None = None  # the pixels that are not padding; None: not looked for
    pixel: PixelShape | None = None  # None: as long along every axis
    limits: Limits | None = None  # intensities that the network saw as 0 and 1; None: not known, or a constant image
    classes: NDArray[np.float32] | None = None  # logits of the classes of objects, shape (..., n_classes), if any

    @property
    def ratios(self) -> tuple[float, ...]:
        """Length of a pixel along each axis, over that along the finest one."""
        return (1.0,) * (self.array.ndim - 1) if self.pixel is None else self.pixel.ratios

    @property
    def factors(self) -> tuple[float, ...]:
        """Factors that the image was scaled by along each axis."""
        return (self.factor,) * (self.array.ndim - 1) if self.pixel is None else self.pixel.factors(self.factor)


class Codec(Encoder):
    """Both directions between masks and a network."""

    @property
    @abstractmethod
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs in exported networks."""

    @abstractmethod
    def no_objects(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return outputs for an image of this shape without any object."""

    @abstractmethod
    def foreground(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability that a pixel is in an object, of outputs of shape (..., n_outputs)."""

    @abstractmethod
    def decode(self, outputs: Outputs, learned: Decoding) -> Masks:
        """Return the label image, 1..n."""

    def decode_objects(self, outputs: Outputs, learned: Decoding) -> tuple[Masks, Table | None]:
        """Return the label image, and a table of its objects where outputs describe more than their pixels."""
        return self.decode(outputs, learned), None

    def decode_for_size(self, outputs: Outputs) -> Masks:
        """Return the label image that sizes are estimated from, with default thresholds: `fit` chooses later."""
        return self.decode(outputs, self.default_decoding())

    def default_decoding(self) -> Decoding:
        """Return how outputs are decoded where `fit` has learned nothing."""
        return Decoding()

    def thresholds(self, learned: Decoding) -> Thresholds | None:  # noqa: ARG002
        """Return the thresholds in effect, if the codec has thresholds."""
        return None

    def check_learned(self, learned: Decoding) -> None:
        """Raise where parameters need something that `fit` has not learned."""

    def check_can_learn(self, n_objects: int, known: Decoding) -> None:
        """Raise where parameters need something that is not ``known`` and takes more validation objects."""

    def learn(
        self,
        outputs: Iterable[Outputs],  # noqa: ARG002
        masks: Sequence[NDArray[Any]],  # noqa: ARG002
        before: Decoding,
        *,
        diameter: float,  # noqa: ARG002
    ) -> Decoding:
        """Return the decoding learned from outputs for images with known masks; the rest stays as in ``before``."""
        return before

    def as_document(self, learned: Decoding) -> dict[str, Any]:  # noqa: ARG002
        """Return what was learned as JSON values for a model file."""
        return {}

    def read_document(self, document: dict[str, Any]) -> Decoding:  # noqa: ARG002
        """Return what was learned from a model file's JSON, checked."""
        return Decoding()


def fill_outputs(shape: tuple[int, ...], values: tuple[float, ...]) -> NDArray[np.float32]:
    """Return the same outputs in every pixel, each output contiguous in memory."""
    filled = np.empty((len(values), *shape), dtype=np.float32)
    filled[:] = np.array(values).reshape(-1, *[1] * len(shape))
    return np.moveaxis(filled, 0, -1)
