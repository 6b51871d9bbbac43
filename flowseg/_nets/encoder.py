"""The half of a codec that training and inference need: the target that a network learns from masks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

# Networks learn flows times this, as in Cellpose, so that both terms of the loss are of the same order.
# Applied once in the loss, and divided out once in `NetworkRunner.run`.
FLOW_SCALE = 5.0


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
    def encode(
        self,
        masks: NDArray[Any],
        *,
        workers: int,
        annotated: NDArray[np.bool_] | None = None,
        n_whole: int | None = None,
    ) -> NDArray[np.float32]:
        """Return the target of one label image; negative pixels have no weight.

        Of sparsely annotated volumes ``annotated`` are the pixels that have a weight, and objects with numbers above
        ``n_whole`` may go on where nothing is annotated.
        """
