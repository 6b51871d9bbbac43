"""Outputs for the classes of objects, added to a trained network whose other outputs stay what they are.

A class has one weight for each feature of each level, of the encoder and of the decoder. The features of coarse levels
tell what an object is like as a whole, those of fine levels its texture. The weighted sums of all levels, enlarged to
the pixels of the image, add up to a logit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._nets.layer_plan import CHANNELS_LAST, LAYER_TYPES, pooling_windows
from flowseg._nets.load_keras import keras, layers
from flowseg._nets.networks import single_precision

# How the names of all layers begin that are added; and the last layer before.
PREFIX, HEAD = "class_", "head"
# The layers that hold the features of a block: of networks from `networks`, and of folded ones.
FEATURES, FOLDED_FEATURES = "relu_1", "conv_1"


def list_blocks(n_levels: int) -> list[tuple[str, int]]:
    """Return the name and the level of each block of a network: of its encoder, then of its decoder."""
    encoder = [(f"encoder_{level}", level) for level in range(n_levels)]
    return [*encoder, *((f"decoder_{level}", level) for level in range(n_levels - 1))]


def pixels_of_level(level: int, coarse_levels: Sequence[int]) -> tuple[int, ...]:
    """Return how many pixels of the image a pixel of a level covers along each axis."""
    return tuple(2 ** max(level - coarse, 0) for coarse in coarse_levels)


@single_precision()
def add_class_outputs(
    network: keras.Model,
    n_classes: int,
    n_levels: int,
    coarse_levels: Sequence[int],
    features: str = FEATURES,
) -> keras.Model:
    """Return a network with a logit for each class after the outputs of ``network``, whose layers it shares.

    Parameters
    ----------
    network : keras.Model
        From `build_unet` or `build_resunet`, or folded.
    n_classes : int
        Number of classes; their weights are 0.
    n_levels : int
        Levels of the network.
    coarse_levels : sequence of int
        For each axis the number of first levels that are not pooled along it.
    features : str
        How the names of the layers end that hold the features.
    """
    types = LAYER_TYPES[len(coarse_levels)]

    def weigh(block: str, *, use_bias: bool) -> Any:
        layer = types.convolution(
            n_classes,
            (1,) * len(coarse_levels),
            padding="same",
            use_bias=use_bias,
            kernel_initializer="zeros",
            data_format=CHANNELS_LAST,
            name=f"{PREFIX}{block}",
        )
        return layer(network.get_layer(f"{block}_{features}").output)

    logits = weigh(f"encoder_{n_levels - 1}", use_bias=True)
    for level in reversed(range(n_levels - 1)):
        window = pooling_windows(level, coarse_levels)
        larger = types.upsampling(window, data_format=CHANNELS_LAST, name=f"{PREFIX}up_{level}")(logits)
        parts = [weigh(f"{side}_{level}", use_bias=False) for side in ("encoder", "decoder")]
        logits = layers.Add(name=f"{PREFIX}sum_{level}")([larger, *parts])
    head = network.get_layer(HEAD).output
    return keras.Model(network.input, layers.Concatenate(name=f"{PREFIX}outputs")([head, logits]), name=network.name)


@single_precision()
def without_class_outputs(network: keras.Model) -> keras.Model:
    """Return the network that class outputs were added to; its layers are shared."""
    if not any(layer.name.startswith(PREFIX) for layer in network.layers):
        return network
    return keras.Model(network.input, network.get_layer(HEAD).output, name=network.name)


def set_class_weights(
    network: keras.Model, weights: Mapping[str, NDArray[np.floating[Any]]], bias: NDArray[np.floating[Any]]
) -> None:
    """Set the weights of class outputs: for each block an array of shape (features, classes), and one bias in all."""
    for block, weight in weights.items():
        layer = network.get_layer(f"{PREFIX}{block}")
        kernel = weight.reshape(layer.kernel.shape)
        layer.set_weights([kernel, bias] if layer.use_bias else [kernel])


def copy_class_weights(source: keras.Model, network: keras.Model) -> None:
    """Copy the weights of class outputs from one network to another."""
    for layer in network.layers:
        if layer.name.startswith(PREFIX):
            layer.set_weights(source.get_layer(layer.name).get_weights())
