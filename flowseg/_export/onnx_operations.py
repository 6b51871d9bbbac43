"""Each kind of layer as one operation of ONNX, with channels before rows and columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Option = str | int | float | list[int]


class Operation(NamedTuple):
    """One node of an ONNX graph."""

    kind: str  # operator
    arrays: tuple[tuple[str, Array | None], ...]  # its constant inputs by name, after the features; None: left out
    attributes: tuple[tuple[str, Option], ...]


CONVOLUTION = (("data_format", "channels_last"), ("padding", "same"), ("groups", 1), ("strides", 1))
POOLING = (("data_format", "channels_last"), ("padding", "valid"))
# By the name of a layer's class: options that are translated with these values only. One number stands for all axes.
EXPECTED: dict[str, tuple[tuple[str, Any], ...]] = {
    "BatchNormalization": (("axis", -1),),
    "Conv2D": (*CONVOLUTION, ("dilation_rate", 1)),
    "Conv3D": (*CONVOLUTION, ("dilation_rate", 1)),
    "MaxPooling2D": POOLING,
    "MaxPooling3D": POOLING,
    "UpSampling2D": (("data_format", "channels_last"), ("interpolation", "nearest")),
    "UpSampling3D": (("data_format", "channels_last"),),
    "Concatenate": (("axis", -1),),
    "Add": (),
    "ReLU": (("max_value", None), ("negative_slope", 0), ("threshold", 0)),
}


def translate(layer: Any, norm: Any = None) -> Operation:
    """Return a layer of a network as an operation.

    ``norm`` is the batch normalization after a convolution, which becomes part of it.
    """
    kind = type(layer).__name__
    if kind not in EXPECTED:
        raise ValueError(f"network must have layers of {', '.join(EXPECTED)}; got {layer.name}, a {kind}.")
    for name, expected in EXPECTED[kind]:
        value = getattr(layer, name)
        if (value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value) != expected:
            raise ValueError(f"network must have layers of {kind} with {name}={expected!r}; got {value!r}.")
    if is_convolution(layer):
        return _convolve(layer, norm)
    return TRANSLATIONS[kind](layer)


def is_convolution(layer: Any) -> bool:
    """Return whether a layer is a convolution."""
    return type(layer).__name__ in ("Conv2D", "Conv3D")


def is_linear(layer: Any) -> bool:
    """Return whether no activation is part of a layer."""
    return getattr(layer.activation, "__name__", "") == "linear"


def _convolve(layer: Any, norm: Any) -> Operation:
    """Return a convolution. Padding is equal on both sides of an axis: OpenCV knows no other."""
    kernel, *biases = layer.get_weights()
    sizes = kernel.shape[:-2]
    if not is_linear(layer) or any(size % 2 == 0 for size in sizes):
        raise ValueError(f"network must have linear convolutions of odd sizes; got {layer.name}, of another kind.")
    bias = biases[0].astype(np.float64) if biases else np.zeros(kernel.shape[-1])
    factor, term = (1.0, 0.0) if norm is None else _norm_terms(norm)
    channels_first = np.moveaxis(kernel * factor, (-1, -2), (0, 1))
    arrays = (("kernel", _as_float32(channels_first)), ("bias", _as_float32(bias * factor + term)))
    margins = [size // 2 for size in sizes]
    attributes = (("kernel_shape", [*sizes]), ("pads", margins + margins), ("strides", [1] * len(sizes)))
    return Operation("Conv", arrays, attributes)


def _norm_terms(norm: Any) -> tuple[Array, Array]:
    """Return the factor and the term of each channel that a batch normalization is in prediction."""
    gamma, beta, mean, variance = (weight.astype(np.float64) for weight in norm.get_weights())
    factor = gamma / np.sqrt(variance + norm.epsilon)
    return factor, beta - mean * factor


def _normalize(layer: Any) -> Operation:
    arrays = zip(("gamma", "beta", "mean", "variance"), layer.get_weights(), strict=True)
    attributes = (("epsilon", float(layer.epsilon)),)
    return Operation("BatchNormalization", tuple((name, _as_float32(array)) for name, array in arrays), attributes)


def _pool(layer: Any) -> Operation:
    sizes = [*layer.pool_size]
    if [*layer.strides] != sizes:
        raise ValueError(f"network must pool windows that do not overlap; got strides {layer.strides} of {layer.name}.")
    return Operation("MaxPool", (), (("kernel_shape", sizes), ("strides", sizes)))


def _enlarge(layer: Any) -> Operation:
    """Return an upsampling: of 2 k and 2 k + 1 the source is k."""
    scales = np.array([1, 1, *layer.size], dtype=np.float32)
    attributes = (
        ("mode", "nearest"),
        ("coordinate_transformation_mode", "asymmetric"),
        ("nearest_mode", "floor"),
    )
    return Operation("Resize", (("region", None), ("scales", scales)), attributes)


# By the name of a layer's class.
TRANSLATIONS: dict[str, Callable[[Any], Operation]] = {
    "BatchNormalization": _normalize,
    "MaxPooling2D": _pool,
    "MaxPooling3D": _pool,
    "UpSampling2D": _enlarge,
    "UpSampling3D": _enlarge,
    "Concatenate": lambda _: Operation("Concat", (), (("axis", 1),)),
    "Add": lambda layer: Operation("Add" if len(layer.input) == 2 else "Sum", (), ()),  # Add takes two inputs
    "ReLU": lambda _: Operation("Relu", (), ()),
}


def _as_float32(array: Array) -> Array:
    return np.ascontiguousarray(array, dtype=np.float32)
