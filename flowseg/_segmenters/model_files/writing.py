"""Write a fitted segmenter to a model file."""

from __future__ import annotations

import json
import numbers
import os
import reprlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import __version__, _checks
from flowseg._segmenters.fitted import Fitted
from flowseg._segmenters.model_files.document_checks import (
    CUSTOM_NETWORK,
    FORMAT_VERSION,
    MAX_DOCUMENT,
    METADATA_KEY,
)
from flowseg._segmenters.model_files.weights import name_weights
from flowseg._system import files
from flowseg._system.strict_json import read_strictly


def write_model(
    path: str | os.PathLike[str],
    kind: str,
    parameters: Mapping[str, Any],
    fitted: Fitted,
    decoding: Mapping[str, Any],
    card: Mapping[str, Any] | None,
) -> None:
    """Write a fitted segmenter atomically; ``decoding`` is the codec's document of what was learned for it.

    A custom network and a RandomState are not kept: they are not plain values.
    """
    learned = {
        "diameter": fitted.diameter,
        "sizes": asdict(fitted.sizes),
        "least_sharpness": fitted.least_sharpness,
        "lattice": asdict(fitted.lattice),
        **({} if fitted.ranges is None else {"ranges": asdict(fitted.ranges)}),
        **({} if fitted.classes is None else {"classes": fitted.classes.as_document()}),
    }
    # The network is built from them, whatever "auto" stands for in later versions.
    resolved = {"filters": fitted.fixed.filters}
    document = {
        "format_version": FORMAT_VERSION,
        "flowseg_version": __version__,
        "estimator": kind,
        "parameters": {name: _plain(name, value) for name, value in (dict(parameters) | resolved).items()},
        "learned": learned | dict(decoding),
        "history": fitted.history,
        **_describe_card(card),
        **({} if fitted.trained_with is None else {"trained_with": dict(fitted.trained_with)}),
    }
    write_document(path, document, name_weights(fitted.network))


def write_document(path: str | os.PathLike[str], document: dict[str, Any], weights: dict[str, NDArray[Any]]) -> None:
    """Write weights and document atomically."""
    text = json.dumps(document, sort_keys=True)
    if len(text) > MAX_DOCUMENT:  # reading would refuse it
        raise ValueError(
            f"card and history must have at most {MAX_DOCUMENT} characters with the rest of the model's document; "
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
        return CUSTOM_NETWORK
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
