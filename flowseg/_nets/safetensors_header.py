"""The header of a .safetensors file, checked before it is used; see docs/reference/model_file.rst."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

from flowseg._system.invalid_file import InvalidFileError
from flowseg._system.strict_json import quote, read_strictly

# Bytes of a header that are read at most. Models of flowseg have about 100 kB, mostly names of weights.
MAX_HEADER = 10_000_000
# Bytes of the header's length.
LENGTH_BYTES = 8
# The entry of a header that is no tensor.
METADATA = "__metadata__"


def damaged(path: Path, found: str) -> InvalidFileError:
    """Return the error of a file that is no .safetensors file of ours."""
    return InvalidFileError(
        f"{path} must be a flowseg model in .safetensors format; it is damaged, cut short or of another format "
        f"({found})."
    )


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a .safetensors file; InvalidFileError where its header is damaged.

    Repeated tensors and entries, which safetensors accepts silently, are refused. So is a header too large for a model.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        room = size - LENGTH_BYTES
        if room < 0 or length > room:
            raise damaged(path, f"it has {size} bytes and declares a header of {length}")
        if length > MAX_HEADER:
            raise damaged(path, f"it declares a header of {length} bytes; {MAX_HEADER} are the most")
        raw = file.read(length)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise damaged(path, "its header is no text") from None
    header = read_strictly(text, lambda found: damaged(path, f"its header holds {found}"))
    if not isinstance(header, dict):
        raise damaged(path, "its header is no JSON object")
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise damaged(path, "its metadata are no texts by name")
    _check_places([_place(name, entry, path) for name, entry in header.items()], room - length, path)
    return metadata


def _place(name: str, entry: Any, path: Path) -> tuple[int, int, str]:
    """Return the first byte of a tensor, the one after its last, and its name."""
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not isinstance(offsets, list) or [type(offset) for offset in offsets] != [int, int]:
        raise damaged(path, f"the tensor {quote(name)} has no place in it")
    first, last = offsets
    return first, last, name


def _check_places(places: list[tuple[int, int, str]], n_bytes: int, path: Path) -> None:
    """Raise InvalidFileError unless every tensor lies within the data and none overlaps another."""
    places.sort()
    for first, last, name in places:
        if not 0 <= first <= last <= n_bytes:
            raise damaged(path, f"the tensor {quote(name)} lies beyond the {n_bytes} bytes of data")
    for (_, last, name), (first, _, other) in pairwise(places):
        if first < last:
            raise damaged(path, f"the tensors {quote(name)} and {quote(other)} lie in one another")
