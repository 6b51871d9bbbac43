"""The JSON document of a model file: what a segmenter is, without its weights."""

from __future__ import annotations

import json
import numbers
import os
import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from flowseg import __version__
from flowseg._intensities import DEFAULT
from flowseg._segmenters.document_checks import FORMAT_VERSION
from flowseg._system.strict_json import read_strictly, shorten

# What `network` says in the file of a segmenter that was trained with a network of the user's own.
OWN_NETWORK = "own"


def describe(segmenter: Any, card: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Document of a fitted segmenter; parameters that are no plain values are left to chance or to the user."""
    try:
        about = {} if card is None else {"card": read_strictly(json.dumps(dict(card), allow_nan=False))}
    except (TypeError, ValueError, RecursionError):
        raise TypeError(f"card must be a dict of plain JSON values; got {reprlib.repr(card)}.") from None
    parameters = {name: _plain(name, value) for name, value in segmenter.get_params(deep=False).items()}
    return {
        "format_version": FORMAT_VERSION,
        "flowseg_version": __version__,
        "estimator": segmenter._kind,
        "parameters": parameters,
        "learned": {"diameter": segmenter.diameter_} | segmenter._learned_decoding(),
        "history": segmenter.history_,
        **about,
        **({} if segmenter._trained_with is None else {"trained_with": segmenter._trained_with}),
    }


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


def rebuild(cls: type[Any], document: dict[str, Any], path: str | os.PathLike[str], network: Any) -> Any:
    """Unfitted segmenter of class ``cls`` with the parameters of the document, which are checked."""
    if document["estimator"] != cls._kind:
        raise ValueError(f"{path} must hold a {cls._kind}; got a {document['estimator']}.")
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
    segmenter = cls(**parameters)
    try:
        segmenter._check_settings()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} must hold valid parameters; {shorten(error)}") from None
    return segmenter
