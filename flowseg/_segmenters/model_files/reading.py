"""Read a model file: its document, its parameters, and what its segmenter has learned."""

from __future__ import annotations

import os
from typing import Any

from safetensors import SafetensorError, safe_open

from flowseg import _checks
from flowseg._intensities import DEFAULT
from flowseg._nets.lattice import Lattice, read_lattice
from flowseg._nets.prediction_network import SINGLE
from flowseg._nets.safetensors_header import damaged, read_metadata
from flowseg._nets.sizes import Sizes, read_sizes, scale_factor
from flowseg._nets.tiles import Grid
from flowseg._segmenters.fitted import Fitted, FixedParameters
from flowseg._segmenters.fitting.new_network import find_grid, make_network
from flowseg._segmenters.likeness.ranges import read_ranges
from flowseg._segmenters.model_files.document_checks import CUSTOM_NETWORK, METADATA_KEY, check_document, naming
from flowseg._segmenters.model_files.weights import check_size, read_weights
from flowseg._segmenters.noise_check import read_least_sharpness
from flowseg._segmenters.object_classes.class_head import read_class_head
from flowseg._segmenters.pipeline import PredictionSettings
from flowseg._system.invalid_file import InvalidFileError
from flowseg._system.printable import LONGEST, one_line


def read_document(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the document of a model file, checked; weights are not read."""
    file = _checks.as_path(path, "path")
    if not file.is_file():
        state = "is a folder" if file.is_dir() else "is no file" if file.exists() else "does not exist"
        raise FileNotFoundError(f"path must be a model file; got {file}, which {state}.")
    try:
        metadata = read_metadata(file)
        with safe_open(file, framework="numpy"):  # checks shapes and types
            pass
    except (SafetensorError, OSError) as error:
        raise damaged(file, one_line(str(error), LONGEST)) from None
    if METADATA_KEY not in metadata:
        raise InvalidFileError(f"{file} must be a flowseg model; got a .safetensors file without flowseg's metadata.")
    return check_document(metadata[METADATA_KEY], file)


def _as_tuple(value: Any) -> Any:
    """Return lists of a JSON document, also nested ones, as tuples."""
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value


def read_parameters(
    document: dict[str, Any], path: str | os.PathLike[str], cls: type[Any], kind: str, network: Any
) -> dict[str, Any]:
    """Return the parameters of a segmenter of the class; ``network`` is a custom one that the user passes."""
    if document["estimator"] != kind:
        raise ValueError(f"{path} must hold a {kind}; got a {document['estimator']}.")
    defaults = {"normalize": DEFAULT, "ndim": 2, "precision": SINGLE}  # of what older files lack
    parameters: dict[str, Any] = defaults | document["parameters"]
    known = set(cls().get_params(deep=False))
    if set(parameters) != known:
        odd = sorted(set(parameters) ^ known)
        raise InvalidFileError(
            f"{path} must have the parameters of {cls.__name__}; these do not pair up: {', '.join(odd)}."
        )
    if parameters["network"] == CUSTOM_NETWORK:
        if network is None:
            raise ValueError(
                f"{path} was trained with a custom network: pass it, or the function that builds it, as network=."
            )
        parameters["network"] = network
    elif network is not None:
        raise ValueError(f"network must be None for a model with the network {parameters['network']!r}.")
    for name in ("filters", "normalize"):
        parameters[name] = _as_tuple(parameters[name])
    return parameters


def read_fitted(
    document: dict[str, Any],
    path: str | os.PathLike[str],
    fixed: FixedParameters,
    prediction: PredictionSettings,
    crop_size: int,
) -> Fitted:
    """Return what the segmenter of a file has learned; the network is built after the size of the file is checked."""
    lattice = _read_lattice(document, path, fixed)
    head = read_class_head(document["learned"].get("classes"))
    if head is not None and fixed.is_custom:
        raise InvalidFileError(f"{path} must not hold classes of objects: its network is a custom one.")
    n_classes = 0 if head is None else len(head.names)
    check_size(path, fixed, lattice.coarse_levels, n_classes)
    network = make_network(fixed, prediction, lattice, seed=0, crop_size=crop_size, n_classes=n_classes)
    read_weights(path, network, () if fixed.is_custom else lattice.coarse_levels)

    from flowseg._nets.network_copies import forget_training

    forget_training(network)
    return read_learned(document, path, fixed, prediction, network, find_grid(fixed, network, lattice))


def _read_lattice(document: dict[str, Any], path: str | os.PathLike[str], fixed: FixedParameters) -> Lattice:
    """Return the lattice of the segmenter of a file."""
    with naming(path, "what was learned"):
        return read_lattice(document["learned"].get("lattice"), fixed.ndim, fixed.n_poolings)


def read_learned(
    document: dict[str, Any],
    path: str | os.PathLike[str],
    fixed: FixedParameters,
    prediction: PredictionSettings,
    network: Any,
    grid: Grid,
) -> Fitted:
    """Return what the segmenter of a file has learned, with a network whose weights have been read.

    Without a network, None, outputs that are there can still be decoded.
    """
    learned, diameter = document["learned"], document["learned"]["diameter"]
    with naming(path, "what was learned"):
        sizes = read_sizes(learned.get("sizes"))
        least_sharpness = read_least_sharpness(learned)
        decoding = prediction.codec.read_document(learned)
        ranges = read_ranges(learned.get("ranges"))
        classes = read_class_head(learned.get("classes"))
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
        lattice=_read_lattice(document, path, fixed),
        ranges=ranges,
        classes=classes,
    )


def _check_sizes(sizes: Sizes, diameter: float, fixed: FixedParameters) -> None:
    """Raise unless the sizes in a model file fit each other."""
    scale_factor(sizes.working, diameter, "diameter")
    if not isinstance(fixed.diameter, str) and fixed.diameter != sizes.working:
        raise ValueError(f"sizes' working must be the parameter diameter, {fixed.diameter:g}; got {sizes.working:g}.")
