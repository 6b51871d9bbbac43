"""The network that predicts in the place of a trained one: the same outputs, up to rounding, in less time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from flowseg._nets import backends

if TYPE_CHECKING:
    from flowseg._nets.folded_unet import FoldedUNet
    from flowseg._nets.half_precision import HalfPrecisionNetwork

# Numbers that a network can compute with; training takes the first.
NumberFormat = Literal["float32", "bfloat16"]
SINGLE: NumberFormat = "float32"
HALF: NumberFormat = "bfloat16"
PRECISIONS = (SINGLE, HALF)


class PredictionNetwork:
    """Makes networks for prediction when they are first needed, and keeps them; copies and pickles are without."""

    def __init__(self) -> None:
        self._folded: FoldedUNet | None = None
        self._half: HalfPrecisionNetwork | None = None

    def __reduce__(self) -> tuple[type[PredictionNetwork], tuple[()]]:
        return PredictionNetwork, ()

    def fold(self, network: Any, *, n_levels: int, coarse_levels: Sequence[int]) -> Any:
        """Return the rearranged network, with the weights that ``network``, from `build_unet`, has now.

        It is ``network`` itself on the backends where another one is no faster.
        """
        from flowseg._nets.folded_unet import FoldedUNet
        from flowseg._nets.load_keras import keras

        if keras.config.backend() not in backends.FOLDED:
            return network
        if self._folded is None:
            self._folded = FoldedUNet(network, n_levels, coarse_levels)
        return self._folded.of(network)

    def halve(self, network: Any) -> Any:
        """Return a copy that computes in bfloat16, with the weights that ``network`` has now."""
        from flowseg._nets.half_precision import HalfPrecisionNetwork

        if self._half is None:
            self._half = HalfPrecisionNetwork(network)
        return self._half.of(network)
