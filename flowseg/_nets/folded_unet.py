"""The U-Net of `build_unet`, rearranged for prediction: the same outputs, to rounding, in fewer operations.

Batch normalization is folded into the convolution before it. In the decoder, nearest upsampling, concatenation and
a 3 x 3 convolution become two convolutions that are added: one of the skip, and a transposed one of the features from
below, in which the repeated pixels are multiplied once. Of a 3 x 3 window over pixels that are repeated twice along
each axis 2 x 2 are left, and of 3 x 3 x 3 voxels 2 x 2 x 2. An axis that is not upsampled keeps all 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._nets.layer_plan import CHANNELS_LAST, LAYER_TYPES, pooling_windows
from flowseg._nets.load_keras import keras, layers
from flowseg._nets.network_copies import have_equal_weights
from flowseg._nets.networks import single_precision
from flowseg._nets.object_classes.class_outputs import FOLDED_FEATURES, add_class_outputs, copy_class_weights

Floats = NDArray[np.floating[Any]]

# Along an axis that is upsampled by 2: which of 3 weights meet each of 4 pixels of a transposed convolution.
SPREAD = np.array([[0.0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]])
# Along an axis that is not: transposed convolutions have the weights in reverse.
REVERSED = np.array([[0.0, 0, 1], [0, 1, 0], [1, 0, 0]])


class FoldedUNet:
    """A network for prediction with the weights of one from `build_unet`.

    Parameters
    ----------
    network : keras.Model
        From `build_unet`.
    n_levels : int
        Its levels.
    coarse_levels : sequence of int
        For each axis the number of first levels that are not pooled along it.
    """

    def __init__(self, network: keras.Model, n_levels: int, coarse_levels: Sequence[int]) -> None:
        self._coarse_levels = tuple(coarse_levels)
        self._n_levels = n_levels
        self._weights: list[Floats] = []
        self._folded = self._build(network)
        n_classes = network.output_shape[-1] - self._folded.output_shape[-1]
        if n_classes:
            self._folded = add_class_outputs(self._folded, n_classes, n_levels, coarse_levels, FOLDED_FEATURES)

    def of(self, network: keras.Model) -> keras.Model:
        """Return the network for prediction, with the weights that ``network`` has now."""
        weights = network.get_weights()
        if not have_equal_weights(weights, self._weights):
            self._copy_weights(network)
            self._weights = weights
        return self._folded

    @single_precision()
    def _build(self, network: keras.Model) -> keras.Model:
        """Return the network with weights that do not count yet."""
        ndim = len(self._coarse_levels)
        types = LAYER_TYPES[ndim]
        common: dict[str, Any] = {"padding": "same", "data_format": CHANNELS_LAST, "kernel_initializer": "zeros"}

        def width(name: str) -> int:
            return int(network.get_layer(name).filters)

        def convolve(x: Any, name: str, activation: str | None = "relu") -> Any:
            return types.convolution(width(name), 3, activation=activation, name=name, **common)(x)

        inputs = keras.Input((*[None] * ndim, network.input_shape[-1]), name="image")
        x, skips = inputs, []
        for level in range(self._n_levels):
            if level > 0:
                window = pooling_windows(level - 1, self._coarse_levels)
                x = types.pooling(window, data_format=CHANNELS_LAST, name=f"down_{level}")(x)
            for part in range(2):
                x = convolve(x, f"encoder_{level}_conv_{part}")
            skips.append(x)
        for level in reversed(range(self._n_levels - 1)):
            name, steps = f"decoder_{level}_conv_0", pooling_windows(level, self._coarse_levels)
            sizes = tuple(len(_spread_of(step)) for step in steps)
            up = types.transposed(width(name), sizes, steps, use_bias=False, name=f"up_{level}", **common)(x)
            x = layers.Add(name=f"skip_{level}")([convolve(skips[level], name, activation=None), up])
            x = layers.ReLU(name=f"decoder_{level}_relu_0")(x)
            x = convolve(x, f"decoder_{level}_conv_1")
        head = types.convolution(width("head"), (1,) * ndim, name="head", **common)(x)
        return keras.Model(inputs, head, name="folded_unet")

    def _copy_weights(self, network: keras.Model) -> None:
        """Compute the weights of the network for prediction."""
        copy_class_weights(network, self._folded)
        for layer in self._folded.layers:
            if layer.name == "head":
                layer.set_weights(network.get_layer("head").get_weights())
            elif "_conv_" in layer.name:
                kernel, bias = _fold(network, layer.name)
                layer.set_weights([kernel[..., : layer.kernel.shape[-2], :], bias])
            elif layer.name.startswith("up_"):
                level = int(layer.name.removeprefix("up_"))
                kernel, _ = _fold(network, f"decoder_{level}_conv_0")
                n_skip = kernel.shape[-2] - layer.kernel.shape[-1]
                steps = pooling_windows(level, self._coarse_levels)
                layer.set_weights([_spread(kernel[..., n_skip:, :], steps)])


def _fold(network: keras.Model, name: str) -> tuple[Floats, Floats]:
    """Return kernel and bias of a convolution with the batch normalization behind it."""
    norm = network.get_layer(name.replace("_conv_", "_norm_"))
    (kernel,) = network.get_layer(name).get_weights()
    gamma, beta, mean, variance = (weight.astype(np.float64) for weight in norm.get_weights())
    scale = gamma / np.sqrt(variance + norm.epsilon)
    return kernel * scale, beta - mean * scale


def _spread_of(step: int) -> Floats:
    return SPREAD if step == 2 else REVERSED


def _spread(kernel: Floats, steps: Sequence[int]) -> Floats:
    """Return the kernel of the transposed convolution that upsampling by ``steps`` and a convolution are."""
    for axis, step in enumerate(steps):
        kernel = np.moveaxis(np.tensordot(_spread_of(step), kernel, (1, axis)), 0, axis)
    return np.swapaxes(kernel, -1, -2)  # transposed convolutions have outputs before inputs
