"""Model files: one .safetensors file with the weights by name and one JSON document; see docs/reference/model_file.rst.

Nothing in a file is executed or turned into code.
"""

from __future__ import annotations

import json
import numbers
import os
import reprlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from flowseg import __version__, _checks
from flowseg._intensities import DEFAULT
from flowseg._nets.sizes import Sizes, read_sizes, scale_factor
from flowseg._nets.tensor_files import MOST_HEADER, read_metadata
from flowseg._segmenters.document_checks import FORMAT_VERSION, check_document
from flowseg._segmenters.fitted import Fitted, FixedParameters
from flowseg._segmenters.noise import read_least_sharpness
from flowseg._segmenters.pipeline import PredictionSettings
from flowseg._segmenters.training import find_grid, make_network
from flowseg._system import files
from flowseg._system.strict_json import read_strictly, shorten

# What `network` says in the file of a segmenter that was trained with a network of the user's own.
OWN_NETWORK = "own"
METADATA_KEY = "flowseg"
# Characters of a document at most: half of what is read of a header, which quotes it and names the weights.
MOST_DOCUMENT = MOST_HEADER // 2
# Bytes of a 3 x 3 kernel of float32 from one channel to one.
KERNEL_BYTES = 4 * 3 * 3


def write_model(
    path: str | os.PathLike[str],
    kind: str,
    parameters: Mapping[str, Any],
    fitted: Fitted,
    decoding: Mapping[str, Any],
    card: Mapping[str, Any] | None,
) -> None:
    """Write a fitted segmenter, whole or not at all; ``decoding`` is the codec's document of what was learned for it.

    Parameters that are no plain values are left to chance or to the user.
    """
    learned = {"diameter": fitted.diameter, "sizes": asdict(fitted.sizes), "least_sharpness": fitted.least_sharpness}
    document = {
        "format_version": FORMAT_VERSION,
        "flowseg_version": __version__,
        "estimator": kind,
        "parameters": {name: _plain(name, value) for name, value in parameters.items()},
        "learned": learned | dict(decoding),
        "history": fitted.history,
        **_describe_card(card),
        **({} if fitted.trained_with is None else {"trained_with": dict(fitted.trained_with)}),
    }
    write_document(path, document, name_weights(fitted.network))


def write_document(path: str | os.PathLike[str], document: dict[str, Any], weights: dict[str, NDArray[Any]]) -> None:
    """Write weights and document, whole or not at all."""
    text = json.dumps(document, sort_keys=True)
    if len(text) > MOST_DOCUMENT:  # it could not be read again
        raise ValueError(
            f"card and history must have at most {MOST_DOCUMENT} characters with the rest of the model's document; "
            f"got {len(text)}."
        )
    files.write_safetensors(_checks.as_path(path, "path"), weights, {METADATA_KEY: text})


def _describe_card(card: Mapping[str, Any] | None) -> dict[str, Any]:
    try:
        return {} if card is None else {"card": read_strictly(json.dumps(dict(card), allow_nan=False))}
    except (TypeError, ValueError, RecursionError):
        raise TypeError(f"card must be a dict of plain JSON values; got {reprlib.repr(card)}.") from None


def _plain(name: str, value: Any) -> Any:
    if name == "network" and not isinstance(value, str):
        return OWN_NETWORK
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, tuple | list) or (name == "filters" and np.ndim(value) == 1):
        return [_plain(name, item) for item in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if name == "random_state":
        return None
    return value.item() if isinstance(value, np.ndarray) else float(value)


def _as_tuple(value: Any) -> Any:
    """Lists of a JSON document, also in one another, as tuples."""
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value


def read_parameters(
    document: dict[str, Any], path: str | os.PathLike[str], cls: type[Any], kind: str, network: Any
) -> dict[str, Any]:
    """Parameters to make a segmenter of the class from; ``network`` is the user's own."""
    if document["estimator"] != kind:
        raise ValueError(f"{path} must hold a {kind}; got a {document['estimator']}.")
    parameters = {"normalize": DEFAULT} | document["parameters"]  # files of before it was a parameter have none
    known = set(cls().get_params(deep=False))
    if set(parameters) != known:
        odd = sorted(set(parameters) ^ known)
        raise ValueError(f"{path} must have the parameters of {cls.__name__}; these do not pair up: {', '.join(odd)}.")
    if parameters["network"] == OWN_NETWORK:
        if network is None:
            raise ValueError(
                f"{path} was trained with a network of your own: pass it, or the function that builds it, as network=."
            )
        parameters["network"] = network
    elif network is not None:
        raise ValueError(f"network must be None for a model with the network {parameters['network']!r}.")
    for name in ("filters", "normalize"):
        parameters[name] = _as_tuple(parameters[name])
    return parameters


@contextmanager
def naming(path: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Say of what is wrong with a value which file it comes from."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} must hold {what}; {shorten(error)}") from None


def read_fitted(
    document: dict[str, Any],
    path: str | os.PathLike[str],
    fixed: FixedParameters,
    prediction: PredictionSettings,
    crop_size: int,
) -> Fitted:
    """What the segmenter of a file has learned; a network is built for the weights once their size is plausible."""
    learned, diameter = document["learned"], document["learned"]["diameter"]
    check_size(path, fixed)
    network = make_network(fixed, prediction, seed=0, crop_size=crop_size)
    read_weights(path, network)

    from flowseg._nets.training import forget_training

    forget_training(network)
    grid = find_grid(fixed, network)
    with naming(path, "what was learned"):
        sizes = read_sizes(learned.get("sizes"))
        least_sharpness = read_least_sharpness(learned)
        decoding = prediction.codec.read_document(learned)
        _check_sizes(sizes, diameter, fixed)
    return Fitted(
        network=network,
        grid=grid,
        sizes=sizes,
        diameter=diameter,
        history=document["history"],
        least_sharpness=least_sharpness,
        fixed=fixed,
        decoding=decoding,
        trained_with=document.get("trained_with"),
    )


def _check_sizes(sizes: Sizes, diameter: float, fixed: FixedParameters) -> None:
    """Raise where what a model file says of sizes does not fit together."""
    scale_factor(sizes.working, diameter, "diameter must be")
    if not isinstance(fixed.diameter, str) and fixed.diameter != sizes.working:
        raise ValueError(f"sizes' working must be the parameter diameter, {fixed.diameter:g}; got {sizes.working:g}.")


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


def check_size(path: str | os.PathLike[str], fixed: FixedParameters) -> None:
    """Refuse parameters of a network that the file is too small to hold, before it is built."""
    n_channels, widths = fixed.n_channels, list(fixed.filters)
    if not fixed.is_own:
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
