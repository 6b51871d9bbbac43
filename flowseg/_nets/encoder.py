"""What training and inference have to know of a codec: what a network learns of masks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

# Networks learn flows times this, as in Cellpose, so that both terms of the loss are of the same order.
# Applied once on the way in (the loss) and divided out once on the way out (`predict_outputs`).
FLOW_SCALE = 5.0


class Encoder(ABC):
    """Masks into what a network learns.

    Targets have shape (rows, columns, channels) and start with a channel of weights, 0 for pixels to ignore.
    """

    ndim: ClassVar[int] = 2  # axes of images and masks, without channels
    n_outputs: ClassVar[int]
    vectors: ClassVar[slice | None]  # channels of the output that are a vector, in the order of the axes
    loss_name: ClassVar[str]  # in `losses`

    @abstractmethod
    def encode(self, masks: NDArray[Any], *, workers: int) -> NDArray[np.float32]:
        """Target of one label image."""
