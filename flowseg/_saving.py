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

from flowseg import _checks, _files

FORMAT_VERSION = 1
METADATA_KEY = "flowseg"
REQUIRED = ("format_version", "flowseg_version", "estimator", "parameters", "learned", "history")


def write_model(path: str | os.PathLike[str], document: dict[str, Any], weights: dict[str, NDArray[Any]]) -> None:
    """Write weights and document, whole or not at all."""
    metadata = {METADATA_KEY: json.dumps(document, sort_keys=True)}
    _files.write_safetensors(_checks.as_path(path, "path"), weights, metadata)


def read_document(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read and check the document of a model file, not its weights."""
    file = _checks.as_path(path, "path")
    if not file.is_file():
        state = "is a folder" if file.is_dir() else "does not exist"
        raise FileNotFoundError(f"path must be a model file; got {file}, which {state}.")
    try:
        with safe_open(file, framework="numpy") as opened:
            metadata = opened.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{file} must be a flowseg model in .safetensors format; it is damaged, cut short or of another format "
            f"({error})."
        ) from None
    if METADATA_KEY not in metadata:
        raise ValueError(f"{file} must be a flowseg model; got a .safetensors file without flowseg's metadata.")
    return _check_document(metadata[METADATA_KEY], file)


def _check_document(text: str, file: Path) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{file} must hold a JSON document as metadata; got something else.") from None
    if not isinstance(document, dict) or any(key not in document for key in REQUIRED):
        raise ValueError(f"{file} must hold a JSON document with {', '.join(REQUIRED)}; got another one.")
    version = document["format_version"]
    if not isinstance(version, int) or version < 1:
        raise ValueError(f"{file} must have a format version of at least 1; got {version!r}.")
    if version > FORMAT_VERSION:
        raise ValueError(
            f"{file} was written by a newer flowseg ({document['flowseg_version']}): its format version is {version}, "
            f"this flowseg reads up to {FORMAT_VERSION}. Update flowseg to read it."
        )
    if any(not isinstance(document[name], dict) for name in ("parameters", "learned", "history")):
        raise ValueError(f"{file} must hold 'parameters', 'learned' and 'history' as JSON objects; got something else.")
    if any(not isinstance(losses, list) for losses in document["history"].values()):
        raise ValueError(f"{file} must hold lists of losses as 'history'; got something else.")
    if not isinstance(document["estimator"], str):
        raise ValueError(f"{file} must hold the estimator's name; got {document['estimator']!r}.")
    return document


def check_size(path: str | os.PathLike[str], segmenter: Any) -> None:
    """Refuse parameters of a network that the file is too small to hold, before it is built."""
    if not isinstance(segmenter.network, str):
        return
    widths = [segmenter.n_channels, *segmenter.filters]
    least = sum(4 * 9 * a * b for a, b in pairwise(widths))  # one 3 x 3 kernel per level
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
            if not _files.fits(view.get_dtype(), array.dtype.name):
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
