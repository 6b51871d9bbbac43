"""The ONNX graph of a network: its layers, one by one, with their weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._export.onnx_operations import Operation, is_convolution, is_linear, translate
from flowseg._system.optional_packages import need

# Of 2020; OpenCV 4 and 5 and every ONNX Runtime since 1.6 read them. Later ones hold nothing that is needed here.
OPSET, IR_VERSION = 13, 7
# Names of the input and of the output, and of axes in a graph.
IMAGE, OUTPUTS = "image", "outputs"
AXES = ("planes", "rows", "columns")


class GraphWriter:
    """Writes the graph of one network.

    Parameters
    ----------
    network : keras.Model
        One of flowseg's networks.
    """

    def __init__(self, network: Any) -> None:
        self._onnx = need("onnx", "export")
        self._network = network
        self._layers = _sort_layers(network)
        self._uses = Counter(id(tensor) for layer in self._layers for tensor in _inputs_of(layer))
        self._uses.update(id(tensor) for tensor in network.outputs)
        self._names: dict[int, str] = {}  # of values, by the identity of Keras' tensors
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def write(self, divisors: NDArray[np.float32]) -> Any:
        """Return the graph; each channel of the output is divided by one number, the same for every pixel."""
        (image,) = self._network.inputs
        (outputs,) = self._network.outputs
        n_channels, ndim = image.shape[-1], len(image.shape) - 2
        self._names[id(image)] = IMAGE
        for layer in self._layers:
            if _is_input(layer) or id(layer.output) in self._names:
                continue
            norm = self._norm_after(layer)
            operation = translate(layer, norm)
            value = self._add(operation, layer.name, [self._names[id(tensor)] for tensor in _inputs_of(layer)])
            self._names[id(layer.output)] = value
            if norm is not None:
                self._names[id(norm.output)] = value
        shaped = divisors.reshape(1, -1, *[1] * ndim)
        self._add(Operation("Div", (("divisors", shaped),), ()), OUTPUTS, [self._names[id(outputs)]])
        return self._make_graph(n_channels, outputs.shape[-1], ndim)

    def _norm_after(self, layer: Any) -> Any:
        """Return the batch normalization that is the only use of a convolution; None if there is none."""
        if not is_convolution(layer) or not is_linear(layer) or self._uses[id(layer.output)] != 1:
            return None
        users = [user for user in self._layers if any(tensor is layer.output for tensor in _inputs_of(user))]
        return users[0] if users and type(users[0]).__name__ == "BatchNormalization" else None

    def _add(self, operation: Operation, name: str, inputs: Sequence[str]) -> str:
        """Add a node and its constants; return the name of its value."""
        names = [*inputs]
        for part, array in operation.arrays:
            names.append("" if array is None else f"{name}/{part}")
            if array is not None:
                self._constants.append(self._onnx.numpy_helper.from_array(array, names[-1]))
        node = self._onnx.helper.make_node(operation.kind, names, [name], name)
        make = self._onnx.helper.make_attribute
        node.attribute.extend(make(attribute, value) for attribute, value in operation.attributes)
        self._nodes.append(node)
        return name

    def _make_graph(self, n_channels: int, n_outputs: int, ndim: int) -> Any:
        helper = self._onnx.helper
        values = [
            helper.make_tensor_value_info(name, self._onnx.TensorProto.FLOAT, ["batch", n, *AXES[-ndim:]])
            for name, n in ((IMAGE, n_channels), (OUTPUTS, n_outputs))
        ]
        return helper.make_graph(self._nodes, self._network.name, values[:1], values[1:], self._constants)


def _sort_layers(network: Any) -> list[Any]:
    """Return the layers of a network, each after those that it needs."""
    producers = {id(layer.output): layer for layer in network.layers}
    ordered: dict[str, Any] = {}

    def visit(tensor: Any) -> None:
        layer = producers[id(tensor)]
        if layer.name not in ordered:
            for source in _inputs_of(layer):
                visit(source)
            ordered[layer.name] = layer

    for tensor in network.outputs:
        visit(tensor)
    return [*ordered.values()]


def _is_input(layer: Any) -> bool:
    return type(layer).__name__ == "InputLayer"


def _inputs_of(layer: Any) -> list[Any]:
    """Return the tensors that a layer is called on."""
    if _is_input(layer):
        return []
    return [*layer.input] if isinstance(layer.input, list | tuple) else [layer.input]
