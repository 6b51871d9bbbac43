"""The layers of a network that depend on the axes of its images: one place for 2-D and 3-D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from flowseg._nets.initial_weights import he_normal
from flowseg._nets.load_keras import keras, layers

# Set here, so that a user's keras.json does not change it.
CHANNELS_LAST = "channels_last"


class LayerTypes(NamedTuple):
    """Classes of layers for images of one number of axes."""

    convolution: type[keras.Layer]
    pooling: type[keras.Layer]
    upsampling: type[keras.Layer]  # by nearest pixels: the default in 2-D, and the only way in 3-D
    transposed: type[keras.Layer]


LAYER_TYPES = {
    2: LayerTypes(layers.Conv2D, layers.MaxPooling2D, layers.UpSampling2D, layers.Conv2DTranspose),
    3: LayerTypes(layers.Conv3D, layers.MaxPooling3D, layers.UpSampling3D, layers.Conv3DTranspose),
}


def pooling_windows(level: int, coarse_levels: Sequence[int]) -> tuple[int, ...]:
    """Return how many pixels of a level make one of the level below, along each axis: 2, or 1 along a coarse one."""
    return tuple(1 if level < coarse else 2 for coarse in coarse_levels)


class LayerPlan:
    """What the layers of one network share: its axes, the axes that its first levels do not pool, and seeds.

    Parameters
    ----------
    coarse_levels : tuple of int
        For each axis the number of first levels that are not pooled along it.
    seed : int or None
        Seed of the first layer's initial weights; those of the others count on from it. None: they are random.
    """

    def __init__(self, coarse_levels: tuple[int, ...], seed: int | None) -> None:
        self.coarse_levels = coarse_levels
        self.next_seed = seed

    @property
    def ndim(self) -> int:
        """Axes of an image."""
        return len(self.coarse_levels)

    def input(self, n_channels: int) -> Any:
        """Return the input of a network: images of any size."""
        return keras.Input((*[None] * self.ndim, n_channels), name="image")

    def pool(self, x: Any, level: int) -> Any:
        """Return the input of a level: the largest of every two values of the level above."""
        window = pooling_windows(level - 1, self.coarse_levels)
        return LAYER_TYPES[self.ndim].pooling(window, data_format=CHANNELS_LAST, name=f"down_{level}")(x)

    def enlarge(self, x: Any, level: int) -> Any:
        """Return features in the size of a level, from those of the level below."""
        window = pooling_windows(level, self.coarse_levels)
        return LAYER_TYPES[self.ndim].upsampling(window, data_format=CHANNELS_LAST, name=f"up_{level}")(x)

    def convolve(self, x: Any, width: int, name: str) -> Any:
        """Return features of the 3 x 3 (x 3) pixels around each pixel."""
        return self._convolve(x, width, name, 3, bias=False)

    def project(self, x: Any, width: int, name: str, *, bias: bool = False) -> Any:
        """Return features of each pixel by itself."""
        return self._convolve(x, width, name, 1, bias=bias)

    def _convolve(self, x: Any, width: int, name: str, size: int, *, bias: bool) -> Any:
        common = {"padding": "same", "data_format": CHANNELS_LAST, "name": name}
        weights = he_normal(self.next_seed)
        if self.next_seed is not None:
            self.next_seed += 1
        return LAYER_TYPES[self.ndim].convolution(width, size, use_bias=bias, kernel_initializer=weights, **common)(x)
