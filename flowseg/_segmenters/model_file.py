"""Model files: one .safetensors file with the weights by name and one JSON document; see docs/model_file.rst.

Nothing in a file is executed or turned into code.
"""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from flowseg import _checks
from flowseg._nets.tensor_files import MOST_HEADER, read_metadata
from flowseg._segmenters.document_checks import check_document
from flowseg._system import files
from flowseg._system.strict_json import shorten

METADATA_KEY = "flowseg"
# Characters of a document at most: half of what is read of a header, which quotes it and names the weights.
MOST_DOCUMENT = MOST_HEADER // 2
# Bytes of a 3 x 3 kernel of float32 from one channel to one.
KERNEL_BYTES = 4 * 3 * 3


def write_model(path: str | os.PathLike[str], document: dict[str, Any], weights: dict[str, NDArray[Any]]) -> None:
    """Write weights and document, whole or not at all."""
    text = json.dumps(document, sort_keys=True)
    if len(text) > MOST_DOCUMENT:  # it could not be read again
        raise ValueError(
            f"card and history must have at most {MOST_DOCUMENT} characters with the rest of the model's document; "
            f"got {len(text)}."
        )
    files.write_safetensors(_checks.as_path(path, "path"), weights, {METADATA_KEY: text})


def read_document(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read and check the document of a model file, not its weights."""
    file = _checks.as_path(path, "path")
    if not file.is_file():
        state = "is a folder" if file.is_dir() else "is no file" if file.exists() else "does not exist"
        raise FileNotFoundError(f"path must be a model file; got {file}, which {state}.")
    try:
        metadata = read_metadata(file)
        with safe_open(file, framework="numpy"):  # looks at shapes and types
            pass
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(
            f"{file} must be a flowseg model in .safetensors format; it is damaged, cut short or of another format "
            f"({shorten(error)})."
        ) from None
    if METADATA_KEY not in metadata:
        raise ValueError(f"{file} must be a flowseg model; got a .safetensors file without flowseg's metadata.")
    return check_document(metadata[METADATA_KEY], file)


def check_size(path: str | os.PathLike[str], segmenter: Any) -> None:
    """Refuse parameters of a network that the file is too small to hold, before it is built."""
    n_channels, widths = segmenter.n_channels, list(segmenter.filters)
    if isinstance(segmenter.network, str):
        # Per level one 3 x 3 kernel that takes what the level before gives, and one that takes what that one gives.
        pairs = [*pairwise([n_channels, *widths]), *zip(widths, widths, strict=True)]
        least = sum(KERNEL_BYTES * a * b for a, b in pairs)
    else:
        least = n_channels  # at least a byte for each, whatever the network
    size = Path(path).stat().st_size
    if least > size:
        raise ValueError(f"{path} must hold the weights of its network, at least {least} bytes; got {size}.")


def name_weights(network: Any) -> dict[str, NDArray[Any]]:
    """Weights of a network by number and path, such as ``"004/encoder_0_norm_0/gamma"``."""
    return {f"{i:03d}/{weight.path}": np.asarray(weight) for i, weight in enumerate(network.weights)}


def read_weights(path: str | os.PathLike[str], network: Any) -> None:
    """Set the weights of a network from a file, after names, shapes and dtypes have been checked."""
    expected = name_weights(network)
    with safe_open(Path(path), framework="numpy") as opened:
        found = set(opened.keys())
        missing = sorted(set(map(_core_name, expected)) ^ set(map(_core_name, found)))
        if missing or len(found) != len(expected):
            raise ValueError(
                f"{path} must hold the {len(expected)} weights of this network; got {len(found)}, and these do not "
                f"pair up: {', '.join(missing[:4])}{' ...' if len(missing) > 4 else ''}."
            )
        by_core = {_core_name(name): name for name in found}
        values = []
        for name, array in expected.items():
            view = opened.get_slice(by_core[_core_name(name)])
            shape = tuple(view.get_shape())
            if shape != array.shape:
                raise ValueError(f"{path}: weight {name} must have shape {array.shape}; got {shape}.")
            if not files.fits(view.get_dtype(), array.dtype.name):
                raise ValueError(f"{path}: weight {name} must have dtype {array.dtype}; got {view.get_dtype()}.")
            value = opened.get_tensor(by_core[_core_name(name)])
            if not np.all(np.isfinite(value)):
                raise ValueError(f"{path}: weight {name} must be finite; got NaN or infinite values.")
            values.append(value)
    network.set_weights(values)


def _core_name(name: str) -> str:
    """Number and kind of a weight, without the layer's name, which Keras may count differently every time."""
    parts = name.split("/")
    return f"{parts[0]}/{parts[-1]}"
