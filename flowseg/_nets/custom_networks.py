"""Custom networks: checks that they fit, and a measurement of their receptive field."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._nets.load_keras import keras, ops
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
        "SpatialDropout3D",
        "GaussianNoise",
        "Cast",
        "Concatenate",
        "GetItem",
        "Rescaling",
        "Reshape",
        "Permute",
        "UpSampling2D",
        "UpSampling3D",
        "ZeroPadding2D",
        "ZeroPadding3D",
        "Cropping2D",
        "Cropping3D",
    }
)

# Standard deviations of the image by which the probe of a receptive field is brighter than the image.
PROBE_SHIFT = np.float32(20.0)
# Steps that the probe is long along the axes that are not measured: the middle one has a neighbor on either side.
PROBE_STEPS = 3

# Axes of images in sentences, by their number.
AXES = {2: "rows and columns", 3: "planes, rows and columns"}


def check_network(network: Any, *, n_channels: int, n_outputs: int, crop_shape: tuple[int, ...]) -> None:
    """Raise unless a network fits: shapes, any image size, a linear head, crops of the given shape."""
    if not isinstance(network, keras.Model):
        raise TypeError(f"network must be or build a keras.Model; got {type(network).__name__}.")
    if not getattr(network, "outputs", None):
        raise TypeError(
            f"network must be a functional or sequential keras.Model with one input; got {type(network).__name__}."
        )
    shape, expected = network.input_shape, (*[None] * (len(crop_shape) + 1), n_channels)
    if shape != expected:
        raise ValueError(
            f"network must take inputs of shape {expected}, any number of {AXES[len(crop_shape)]}; got {shape}."
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
    _try(network, (1, *crop_shape, n_channels), n_outputs)


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
    expected = (*shape[:-1], n_outputs)
    found = _run(network, np.zeros(shape, dtype=np.float32), f"crops of shape {shape}").shape
    if found != expected:
        raise ValueError(f"network must give outputs of shape {expected} for crops of shape {shape}; got {found}.")


def _run(network: Any, batch: NDArray[np.float32], kind: str) -> NDArray[np.float32]:
    try:
        return _outputs(network, batch)
    except Exception as error:  # whatever a user's layers raise
        reason = one_line(str(error))[:200]
        raise ValueError(f"network must run on {kind}; it failed with: {reason}") from error


def _outputs(network: Any, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    outputs: NDArray[np.float32] = ops.convert_to_numpy(network(batch, training=False))
    return outputs


def measure_receptive_radii(
    network: keras.Model, n_channels: int, *, ndim: int, step: int, largest: int
) -> tuple[int, ...]:
    """Return the receptive-field radius of any network along each axis, by experiment: noise beyond changes no output.

    Tries multiples of ``step``; raises ValueError if pixels beyond ``largest`` still change an output.
    """
    return tuple(_measure_radius(network, n_channels, axis, ndim, step, largest) for axis in range(ndim))


def _measure_radius(network: keras.Model, n_channels: int, axis: int, ndim: int, step: int, largest: int) -> int:
    """Return the radius along one axis. The probe is long along that axis only, so that volumes fit into memory."""
    rng = np.random.default_rng(0)
    length = 2 * largest + 3 * step
    length += -length % step
    start = length // 2 // step * step
    shape = [PROBE_STEPS * step] * ndim
    shape[axis] = length

    def part(first: int, stop: int) -> tuple[slice, ...]:
        return (slice(None),) * (axis + 1) + (slice(first, stop),)

    core = part(start, start + step)
    image = rng.standard_normal((1, *shape, n_channels)).astype(np.float32)
    expected = _run(network, image, f"any multiple of {step} {AXES[ndim]}")[core]
    for radius in range(step, largest + 1, step):
        other = 10 * rng.standard_normal(image.shape).astype(np.float32) + PROBE_SHIFT
        near = part(start - radius, start + step + radius)
        other[near] = image[near]
        found = _outputs(network, other)[core]
        if np.allclose(found, expected, rtol=1e-4, atol=1e-4):
            return radius
    raise ValueError(
        f"network must have outputs that depend on a bounded neighborhood (no global pooling, no attention), in "
        f"{'volumes' if ndim == 3 else 'images'} on pixels at most {largest} away; got outputs that depend on pixels "
        f"more than {largest} pixels away along axis {axis}."
    )
