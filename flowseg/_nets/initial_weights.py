"""Initial weights of convolutions: He's normal distribution, cut off at two standard deviations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flowseg._nets import backends
from flowseg._nets.load_keras import keras, ops

# Standard deviation of a standard normal distribution that is cut off at 2, as in Keras.
CUT_OFF, CUT_DEVIATION = 2.0, 0.87962566103423978


def he_normal(seed: int | None) -> Any:
    """Return Keras' initializer, or one that uses NumPy.

    Keras draws other numbers on each backend, NumPy the same. And on JAX, Keras' own would be compiled for every shape
    of a kernel, which takes half a minute for the default network.
    """
    if keras.config.backend() in backends.DRAWN_BY_KERAS:
        return keras.initializers.HeNormal(seed=seed)
    return DrawnByNumPy(seed)


@keras.saving.register_keras_serializable(package="flowseg")
class DrawnByNumPy(keras.initializers.Initializer):  # type: ignore[misc]  # Keras has no types
    """He's initializer for kernels of convolutions, drawn by NumPy; the same each time, as Keras' own with a seed."""

    def __init__(self, seed: int | None) -> None:
        self.seed = seed

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Return a tensor of a kernel's shape: pixels, input channels, output channels."""
        rng = np.random.default_rng(self.seed)
        values = rng.standard_normal(shape)
        while (outside := np.abs(values) > CUT_OFF).any():
            values[outside] = rng.standard_normal(np.count_nonzero(outside))
        deviation = math.sqrt(2 / math.prod(shape[:-1]))
        return ops.convert_to_tensor((values * deviation / CUT_DEVIATION).astype(np.float32), dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        """Return what copies are made of."""
        return {"seed": self.seed}
