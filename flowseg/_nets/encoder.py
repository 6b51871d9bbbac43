"""The half of a codec that training and inference need: the target that a network learns from masks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Networks learn flows times this, as in Cellpose, so that both terms of the loss are of the same order.
# Applied once in the loss, and divided out once in `NetworkRunner.run`.
FLOW_SCALE = 5.0


class Sparse(NamedTuple):
    """What is annotated of a label image that was completed between annotated planes."""

    annotated: NDArray[np.bool_]  # the pixels that have a weight
    n_whole: int  # objects with larger numbers may go on where nothing is annotated: their flows are not known


def weigh(masks: NDArray[Any], sparse: Sparse | None) -> NDArray[np.bool_]:
    """Return the pixels of a label image that have a weight in training."""
    known: NDArray[np.bool_] = masks >= 0
    return known if sparse is None else known & sparse.annotated


class Encoder(ABC):
    """Encode masks as the target of a network.

    Targets have shape (rows, columns, channels), of volumes (planes, rows, columns, channels), and start with a channel
    of weights, 0 for pixels to ignore.
    """

    ndim: int = 2  # axes of images and masks, without channels
    loss_name: ClassVar[str]  # function in `losses`

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """Output channels of the network."""

    @property
    @abstractmethod
    def vectors(self) -> slice | None:
        """Output channels that form a vector, in the order of the axes."""

    @abstractmethod
    def encode(self, masks: NDArray[Any], *, workers: int, sparse: Sparse | None = None) -> NDArray[np.float32]:
        """Return the target of one label image; negative pixels have no weight."""
