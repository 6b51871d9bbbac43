"""Checks of the JSON document in a model file: every part that is read, with one sentence per error."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flowseg import _checks
from flowseg._nets.safetensors_header import MAX_HEADER
from flowseg._nets.sizes import read_sizes
from flowseg._segmenters.auto_values import as_ndim
from flowseg._segmenters.learned_decoding.object_scores import read_calibration
from flowseg._segmenters.learned_decoding.thresholds import read_thresholds
from flowseg._segmenters.likeness.ranges import read_ranges
from flowseg._segmenters.noise_check import read_least_sharpness
from flowseg._segmenters.object_classes.class_head import read_class_head
from flowseg._system.invalid_file import InvalidFileError
from flowseg._system.printable import LONGEST, one_line
from flowseg._system.strict_json import MOST_QUOTED, read_strictly

FORMAT_VERSION = 1
# Entry of the file's metadata that holds the document.
METADATA_KEY = "flowseg"
# Characters of a document at most: half of the bytes of a header, which quotes it and names the weights.
MAX_DOCUMENT = MAX_HEADER // 2
# Value of `network` in the file of a segmenter with a custom network.
CUSTOM_NETWORK = "own"
REQUIRED = ("format_version", "flowseg_version", "estimator", "parameters", "learned", "history")
OBJECTS = ("parameters", "learned", "history")
# Losses of a training that diverged are infinite.
OPEN_ENDED = ("history",)


def check_document(text: str, file: Path) -> dict[str, Any]:
    """Return the document in a model file's metadata; raise InvalidFileError if a part of it is wrong."""
    document = _parse(text, file)
    _check_version(document, file)
    if any(not isinstance(document[name], dict) for name in OBJECTS):
        raise InvalidFileError(
            f"{file} must hold 'parameters', 'learned' and 'history' as JSON objects; got something else."
        )
    for losses in document["history"].values():
        if not isinstance(losses, list) or not all(type(loss) in (int, float) for loss in losses):
            raise InvalidFileError(f"{file} must hold lists of losses as 'history'; got something else.")
    if not isinstance(document["estimator"], str):
        raise InvalidFileError(f"{file} must hold the estimator's name; got {_quote(document['estimator'])}.")
    for name in ("card", "trained_with"):
        if not isinstance(document.get(name, {}), dict):
            raise InvalidFileError(f"{file} must hold {name!r} as a JSON object, if at all; got something else.")
    if not all(isinstance(value, str | int | list | None) for value in document.get("trained_with", {}).values()):
        raise InvalidFileError(
            f"{file} must hold words, numbers and lists of them as 'trained_with'; got something else."
        )
    _check_parameters(document["parameters"], file)
    _check_learned(document["learned"], file)
    return document


def _parse(text: str, file: Path) -> dict[str, Any]:
    def invalid(found: str) -> InvalidFileError:
        return InvalidFileError(f"{file} must hold a JSON document as metadata; got {found}.")

    document = read_strictly(text, invalid, open_ended=OPEN_ENDED)
    try:
        json.dumps(document, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise invalid("halves of characters in it") from None
    if not isinstance(document, dict) or any(key not in document for key in REQUIRED):
        raise InvalidFileError(f"{file} must hold a JSON document with {', '.join(REQUIRED)}; got another one.")
    return document


def _check_version(document: dict[str, Any], file: Path) -> None:
    version = document["format_version"]
    if type(version) is not int or version < 1:  # true is not a number
        raise InvalidFileError(f"{file} must have a format version of at least 1; got {_quote(version)}.")
    if not isinstance(document["flowseg_version"], str):
        raise InvalidFileError(f"{file} must hold the version of flowseg that wrote it; got something else.")
    if version > FORMAT_VERSION:
        raise InvalidFileError(
            f"{file} was written by a newer flowseg ({document['flowseg_version']}): its format version is {version}, "
            f"this flowseg reads up to {FORMAT_VERSION}. Update flowseg to read it."
        )


def _check_parameters(parameters: dict[str, Any], file: Path) -> None:
    """Check the parameters of the network; the others are checked when the segmenter is made."""
    with naming(file, "valid parameters"):
        if "filters" in parameters:
            _checks.as_filters(parameters["filters"])
        if "ndim" in parameters:
            as_ndim(parameters["ndim"])
        if "n_channels" in parameters:
            _checks.as_integer(parameters["n_channels"], "n_channels", minimum=1)


def _check_learned(learned: dict[str, Any], file: Path) -> None:
    """Check the parts that are there; missing ones raise when the segmenter is made."""
    diameter = learned.get("diameter")
    if not isinstance(diameter, float) or not math.isfinite(diameter) or diameter <= 0:
        raise InvalidFileError(f"{file} must hold a learned diameter above 0; got {_quote(diameter)}.")
    with naming(file, "what was learned"):
        read_least_sharpness(learned)
        read_ranges(learned.get("ranges"))
        read_class_head(learned.get("classes"))
        for name, read in (("sizes", read_sizes), ("thresholds", read_thresholds), ("score", read_calibration)):
            if name in learned:
                read(learned[name])


@contextmanager
def naming(path: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Name the file in errors about values that it holds, which are sentences about ``what``."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise InvalidFileError(f"{path} must hold {what}; {one_line(str(error), LONGEST)}") from None


def _quote(value: Any) -> str:
    """Return a value as in the file, shortened."""
    text = json.dumps(value)
    return text if len(text) <= MOST_QUOTED else f"{text[:MOST_QUOTED]}..."
