"""Custom networks: checks that they fit, and a measurement of their receptive field."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from flowseg._system import files
from flowseg._system.printable import one_line

# Operations, by class name, that bound the values of an output.
SQUASHING = frozenset(
    {
        "ReLU",
        "Relu",
        "Relu6",
        "LeakyReLU",
        "LeakyRelu",
        "PReLU",
        "ELU",
        "Elu",
        "Selu",
        "Gelu",
        "Silu",
        "Softmax",
        "LogSoftmax",
        "Sigmoid",
        "LogSigmoid",
        "HardSigmoid",
        "Tanh",
        "HardTanh",
        "Softplus",
        "Softsign",
        "Clip",
        "Abs",
        "Exp",
        "Square",
        "Maximum",
        "Minimum",
    }
)

# Operations, by class name, that do not bound values: those before them are looked at.
PASSING = frozenset(
    {
        "Activation",
        "Identity",
        "Dropout",
        "SpatialDropout2D",
        "GaussianNoise",
        "Cast",
        "Concatenate",
        "GetItem",
        "Rescaling",
        "Reshape",
        "Permute",
        "UpSampling2D",
        "ZeroPadding2D",
        "Cropping2D",
    }
)

# Standard deviations of the image by which the probe of a receptive field is brighter than the image.
PROBE_SHIFT = np.float32(20.0)


def check_network(network: Any, *, n_channels: int, n_outputs: int, crop_size: int) -> None:
    """Raise unless a network fits: shapes, any image size, a linear head, crops as given."""
    if not isinstance(network, keras.Model):
        raise TypeError(f"network must be or build a keras.Model; got {type(network).__name__}.")
    if not getattr(network, "outputs", None):
        raise TypeError(
            f"network must be a functional or sequential keras.Model with one input; got {type(network).__name__}."
        )
    shape = network.input_shape
    if shape != (None, None, None, n_channels):
        raise ValueError(
            f"network must take inputs of shape (None, None, None, {n_channels}), any number of rows and columns; "
            f"got {shape}."
        )
    unknown = {str(weight.dtype) for weight in network.weights} - set(files.DTYPE_NAMES)
    if unknown:
        raise ValueError(
            f"network must have weights of {', '.join(files.DTYPE_NAMES)}; got {', '.join(sorted(unknown))}."
        )
    activation = _last_activation(network.outputs[0])
    if activation is not None:
        raise ValueError(
            "network must end in a linear layer (flows are negative half of the time, and the losses take logits); "
            f"got {activation}."
        )
    _try(network, (1, crop_size, crop_size, n_channels), n_outputs)


def _last_activation(tensor: Any) -> str | None:
    """Return the name of the operation that bounds a tensor of a model, or some of its channels, if one does."""
    operation, node, index = tensor._keras_history
    name = type(operation).__name__
    if isinstance(operation, keras.Model):
        return _last_activation(operation.outputs[index])
    if name in SQUASHING:
        return name
    activation = getattr(operation, "activation", None)
    if activation not in (None, keras.activations.linear):
        return getattr(activation, "__name__", type(activation).__name__)
    if name not in PASSING:
        return None
    found = map(_last_activation, operation._inbound_nodes[node].input_tensors)
    return next((squashing for squashing in found if squashing is not None), None)


def _try(network: Any, shape: tuple[int, ...], n_outputs: int) -> None:
    """Run one empty crop, so that a network that does not work fails before the training."""
    expected = (*shape[:3], n_outputs)
    found = _run(network, np.zeros(shape, dtype=np.float32), f"crops of shape {shape}").shape
    if found != expected:
        raise ValueError(f"network must give outputs of shape {expected} for crops of shape {shape}; got {found}.")


def _run(network: Any, batch: NDArray[np.float32], kind: str) -> NDArray[np.float32]:
    try:
        return np.asarray(network(batch, training=False))
    except Exception as error:  # whatever a user's layers raise
        reason = one_line(str(error))[:200]
        raise ValueError(f"network must run on {kind}; it failed with: {reason}") from error


def measure_receptive_radius(network: keras.Model, n_channels: int, *, step: int, largest: int) -> int:
    """Return the receptive-field radius of any network, by experiment: noise beyond it changes no output.

    Tries multiples of ``step``; raises ValueError if pixels beyond ``largest`` still change an output.
    """
    rng = np.random.default_rng(0)
    size = 2 * largest + 3 * step
    size += -size % step
    start = size // 2 // step * step
    core = slice(start, start + step)
    image = rng.standard_normal((1, size, size, n_channels)).astype(np.float32)
    expected = _run(network, image, f"any multiple of {step} rows and columns")[0, core, core]
    for radius in range(step, largest + 1, step):
        other = 10 * rng.standard_normal(image.shape).astype(np.float32) + PROBE_SHIFT
        near = slice(start - radius, start + step + radius)
        other[:, near, near] = image[:, near, near]
        found = np.asarray(network(other, training=False))[0, core, core]
        if np.allclose(found, expected, rtol=1e-4, atol=1e-4):
            return radius
    raise ValueError(
        f"network must have outputs that depend on a bounded neighborhood (no global pooling, no attention); "
        f"got outputs that depend on pixels more than {largest} pixels away."
    )
