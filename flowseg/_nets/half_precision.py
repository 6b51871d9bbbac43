"""A network that computes in bfloat16: numbers of half the size, for processors with instructions for them."""

from __future__ import annotations

from typing import Any

from flowseg._nets.load_keras import keras
from flowseg._nets.network_copies import have_equal_weights
from flowseg._nets.networks import single_precision
from flowseg._nets.object_classes.class_outputs import HEAD, PREFIX

# Weights stay in 32 bits; layers compute in 16, of which 8 are digits.
POLICY = "mixed_bfloat16"
# How the names of layers begin that make the outputs. They compute in 32 bits.
LAST = (HEAD, PREFIX)


class HalfPrecisionNetwork:
    """A copy of a network from `build_unet` or `build_resunet`, or a folded one, that computes in bfloat16."""

    def __init__(self, network: keras.Model) -> None:
        self._weights: list[Any] = []
        self._copy = _copy_with_policy(network)

    def of(self, network: keras.Model) -> keras.Model:
        """Return the copy, with the weights that ``network`` has now."""
        weights = network.get_weights()
        if not have_equal_weights(weights, self._weights):
            self._copy.set_weights(weights)
            self._weights = weights
        return self._copy


@single_precision()
def _copy_with_policy(network: keras.Model) -> keras.Model:
    """Return a network of the same layers, with weights that do not count yet."""
    policy = keras.dtype_policies.serialize(keras.DTypePolicy(POLICY))

    def copy(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        if not isinstance(layer, keras.layers.InputLayer) and not layer.name.startswith(LAST):
            config["dtype"] = policy
        return type(layer).from_config(config)

    return keras.models.clone_model(network, clone_function=copy)
