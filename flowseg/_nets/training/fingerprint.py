"""The fingerprint of a training: a checkpoint is resumed only by the training that wrote it."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from flowseg._nets.load_keras import keras


def fingerprint(*parts: Any) -> str:
    """Return a digest of plain values and arrays."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype} {part.shape}".encode())
            digest.update(np.ascontiguousarray(part).data)
        else:
            digest.update(repr(part).encode())
    return digest.hexdigest()


def describe_structure(layer: keras.Layer) -> Any:
    """Return types, configurations and shapes of the layers of a network, as plain values.

    Names are left out, because Keras numbers them by session; so are initializers, as they have done their work.
    """
    if hasattr(layer, "layers"):
        return [describe_structure(part) for part in layer.layers]
    return type(layer).__name__, _without_names(layer.get_config()), [tuple(w.shape) for w in layer.weights]


def _without_names(config: Any) -> Any:
    """Return a layer's configuration without names and initializers, also in the layers within it."""
    if isinstance(config, dict):
        left = [key for key in config if key != "name" and not str(key).endswith("_initializer")]
        return {key: _without_names(config[key]) for key in left}
    return [_without_names(value) for value in config] if isinstance(config, list | tuple) else config
