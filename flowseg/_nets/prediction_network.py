"""The network that predicts in the place of a trained one: the same outputs, to rounding, in less time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flowseg._nets import backends

if TYPE_CHECKING:
    from flowseg._nets.folded_unet import FoldedUNet


class PredictionNetwork:
    """Makes the network for prediction when it is first needed, and keeps it; copies and pickles are without it."""

    def __init__(self) -> None:
        self._folded: FoldedUNet | None = None

    def __reduce__(self) -> tuple[type[PredictionNetwork], tuple[()]]:
        return PredictionNetwork, ()

    def of(self, network: Any, *, n_levels: int, coarse_levels: Sequence[int]) -> Any:
        """Return the network for prediction, with the weights that ``network``, from `build_unet`, has now.

        It is ``network`` itself on the backends where another one is no faster.
        """
        from flowseg._nets.folded_unet import FoldedUNet
        from flowseg._nets.load_keras import keras

        if keras.config.backend() not in backends.FOLDED:
            return network
        if self._folded is None:
            self._folded = FoldedUNet(network, n_levels, coarse_levels)
        return self._folded.of(network)
