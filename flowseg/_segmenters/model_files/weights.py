"""The weights in a model file: named, checked and read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from flowseg._segmenters.fitted import FixedParameters
from flowseg._system import files
from flowseg._system.invalid_file import InvalidFileError

# Bytes of a weight, and weights of a kernel along an axis; older files have 1 along a coarse one.
FLOAT_BYTES, KERNEL = 4, 3


def check_size(
    path: str | os.PathLike[str], fixed: FixedParameters, coarse_levels: Sequence[int] = (0, 0), n_classes: int = 0
) -> None:
    """Raise InvalidFileError if the file is too small for the network of its parameters, before it is built."""
    n_channels, widths = fixed.n_channels, list(fixed.filters)
    if not fixed.is_custom:
        # Per level two 3 x 3 kernels: from the channels of the level before, and from its own.
        kernels = [KERNEL ** sum(level >= coarse for coarse in coarse_levels) for level in range(len(widths))]
        pairs = zip(kernels, pairwise([n_channels, *widths]), strict=True)
        least = FLOAT_BYTES * sum(size * (a * b + b * b) for size, (a, b) in pairs)
        least += FLOAT_BYTES * n_classes * (sum(widths) + sum(widths[:-1]))
    else:
        least = n_channels  # at least a byte for each, whatever the network
    size = Path(path).stat().st_size
    if least > size:
        raise InvalidFileError(f"{path} must hold the weights of its network, at least {least} bytes; got {size}.")


def name_weights(network: Any) -> dict[str, NDArray[Any]]:
    """Return the weights of a network by number and path, such as ``"004/encoder_0_norm_0/gamma"``."""
    return {f"{i:03d}/{weight.path}": np.asarray(weight) for i, weight in enumerate(network.weights)}


def read_weights(path: str | os.PathLike[str], network: Any, coarse_levels: Sequence[int] = ()) -> None:
    """Set the weights of a network from a file, after names, shapes and dtypes are checked.

    Kernels of older files have one weight along an axis at its coarse levels. It becomes the middle one of three.
    """
    expected = name_weights(network)
    with safe_open(Path(path), framework="numpy") as opened:
        found = set(opened.keys())
        missing = sorted(set(map(_core_name, expected)) ^ set(map(_core_name, found)))
        if missing or len(found) != len(expected):
            raise InvalidFileError(
                f"{path} must hold the {len(expected)} weights of this network; got {len(found)}, and these do not "
                f"pair up: {', '.join(missing[:4])}{' ...' if len(missing) > 4 else ''}."
            )
        by_core = {_core_name(name): name for name in found}
        values = []
        for name, array in expected.items():
            view = opened.get_slice(by_core[_core_name(name)])
            shape = tuple(view.get_shape())
            margins = _missing_margins(shape, array.shape, coarse_levels)
            if margins is None:
                raise InvalidFileError(f"{path}: weight {name} must have shape {array.shape}; got {shape}.")
            if not files.fits(view.get_dtype(), array.dtype.name):
                raise InvalidFileError(f"{path}: weight {name} must have dtype {array.dtype}; got {view.get_dtype()}.")
            value = opened.get_tensor(by_core[_core_name(name)])
            if not np.all(np.isfinite(value)):
                raise InvalidFileError(f"{path}: weight {name} must be finite; got NaN or infinite values.")
            values.append(np.pad(value, margins))
    network.set_weights(values)


def _missing_margins(
    found: tuple[int, ...], expected: tuple[int, ...], coarse_levels: Sequence[int]
) -> list[tuple[int, int]] | None:
    """Return the zeros that a weight lacks before and behind along each axis; None if it has another shape."""
    if len(found) != len(expected):
        return None
    coarse = [level > 0 for level in coarse_levels] + [False] * (len(expected) - len(coarse_levels))
    margins = []
    for n_found, n_expected, may_be_narrow in zip(found, expected, coarse, strict=False):
        is_narrow = may_be_narrow and (n_found, n_expected) == (1, KERNEL)
        if n_found != n_expected and not is_narrow:
            return None
        margins.append((1, 1) if is_narrow else (0, 0))
    return margins


def _core_name(name: str) -> str:
    """Return number and kind of a weight without the layer's name, which Keras numbers by session."""
    parts = name.split("/")
    return f"{parts[0]}/{parts[-1]}"
