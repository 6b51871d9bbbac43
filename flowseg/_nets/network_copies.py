"""The network of a training: built by name, or a copy of one that there is."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from flowseg._nets import custom_networks, networks
from flowseg._nets.load_keras import keras
from flowseg._system.printable import one_line


@networks.single_precision()
def make_network(
    network: Any,
    *,
    n_channels: int,
    n_outputs: int,
    filters: Sequence[int],
    seed: int | None,
    crop_size: int,
    coarse_levels: tuple[int, ...],
) -> keras.Model:
    """Build the network that a segmenter's parameter names, or copy the one that it holds or builds.

    ``coarse_levels`` has an entry per axis of the images. The builder of a custom network may ignore it.
    """
    networks.check_process()
    ndim = len(coarse_levels)
    if isinstance(network, str):
        build = networks.BUILDERS[network]
        return build(n_channels, n_outputs, filters=filters, ndim=ndim, coarse_levels=coarse_levels, seed=seed)
    if isinstance(network, keras.Model):
        custom = network
    else:
        with _seeding(seed):
            custom = network(n_channels, n_outputs)
    crop_shape = (crop_size,) * ndim
    custom_networks.check_network(custom, n_channels=n_channels, n_outputs=n_outputs, crop_shape=crop_shape)
    return copy_network(custom, seed=seed)


@networks.single_precision()
def copy_network(network: keras.Model, *, seed: int | None) -> keras.Model:
    """Return the same layers with weights of their own; random layers (dropout, noise) draw from ``seed``."""
    try:
        with _seeding(seed):
            copy = keras.models.clone_model(network, clone_function=_copy_layer)
    except Exception as error:  # whatever a user's layers raise
        reason = one_line(str(error))[:200]
        raise ValueError(
            "network must be made of layers that Keras can copy (no Lambda; custom layers need get_config); "
            f"it failed with: {reason}"
        ) from error
    copy.set_weights(network.get_weights())
    return copy


def copy_with_random_weights(network: keras.Model) -> keras.Model:
    """Return a copy whose trainable weights are random and not 0, so that its receptive field can be measured."""
    rng = np.random.default_rng(0)
    copy = copy_network(network, seed=0)
    for weight in copy.trainable_weights:
        spread = 1 / np.sqrt(np.prod(weight.shape[:-1])) if len(weight.shape) > 1 else 0.1
        added = (spread * rng.standard_normal(weight.shape)).astype(weight.dtype)  # some GPUs have no float64
        weight.assign(weight + added)
    return copy


def have_equal_weights(weights: Sequence[Any], others: Sequence[Any]) -> bool:
    """Return whether two lists of arrays are the same."""
    return len(weights) == len(others) and all(map(np.array_equal, weights, others))


@networks.single_precision()
def forget_training(network: keras.Model) -> None:
    """Remove optimizer and loss from a network, so that it can be copied and pickled."""
    network.compile("sgd", jit_compile=networks.is_compiled())


def _copy_layer(layer: keras.Layer) -> keras.Layer:
    """Return the layer with a seed: on PyTorch, Keras' dropout without one draws from the generator of the process."""
    return layer.__class__.from_config(_fill_seeds(layer.get_config()))


def _fill_seeds(config: Any) -> Any:
    """Replace seeds that are None in the nested configuration of a layer."""
    if isinstance(config, dict):
        drawn = {"seed": random.randint(1, 10**9)} if config.get("seed", 0) is None else {}
        return {name: _fill_seeds(value) for name, value in config.items()} | drawn
    return [_fill_seeds(value) for value in config] if isinstance(config, list) else config


@contextmanager
def _seeding(seed: int | None) -> Iterator[None]:
    """Seed Python's `random` for a while: Keras draws from it the seeds of layers that have none."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)
