"""The layers of a network that depend on the axes of its images: one place for 2-D and 3-D."""

from __future__ import annotations

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


class LayerPlan:
    """What the layers of one network share: its axes, the axes that its first levels leave alone, and seeds.

    Parameters
    ----------
    coarse_levels : tuple of int
        For each axis the number of first levels at which it is neither convolved nor pooled.
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
        window = self._sizes(level - 1, 2)
        return LAYER_TYPES[self.ndim].pooling(window, data_format=CHANNELS_LAST, name=f"down_{level}")(x)

    def enlarge(self, x: Any, level: int) -> Any:
        """Return features in the size of a level, from those of the level below."""
        return LAYER_TYPES[self.ndim].upsampling(self._sizes(level, 2), data_format=CHANNELS_LAST, name=f"up_{level}")(
            x
        )

    def convolve(self, x: Any, width: int, name: str, level: int) -> Any:
        """Return features of the 3 x 3 (x 3) pixels around each pixel."""
        return self._convolve(x, width, name, self._sizes(level, 3), bias=False)

    def project(self, x: Any, width: int, name: str, *, bias: bool = False) -> Any:
        """Return features of each pixel by itself."""
        return self._convolve(x, width, name, (1,) * self.ndim, bias=bias)

    def _sizes(self, level: int, size: int) -> tuple[int, ...]:
        """Return ``size`` along each axis, and 1 along those that a level leaves alone."""
        return tuple(1 if level < coarse else size for coarse in self.coarse_levels)

    def _convolve(self, x: Any, width: int, name: str, sizes: tuple[int, ...], *, bias: bool) -> Any:
        common = {"padding": "same", "data_format": CHANNELS_LAST, "name": name}
        weights = he_normal(self.next_seed)
        if self.next_seed is not None:
            self.next_seed += 1
        return LAYER_TYPES[self.ndim].convolution(width, sizes, use_bias=bias, kernel_initializer=weights, **common)(x)
