"""Check the header of a .safetensors file before anything is made of it; see docs/reference/model_file.rst."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

from flowseg._system.strict_json import quote, read_strictly

# Bytes of a header that are read at most. Models of flowseg have about 100 kB, most of it names of weights.
MOST_HEADER = 10_000_000
# Bytes that tell the header's length.
LENGTH_BYTES = 8
# The entry of a header that is no tensor.
METADATA = "__metadata__"


def read_metadata(path: Path) -> dict[str, str]:
    """Metadata of a .safetensors file; ValueError says in a few words what is wrong with its header.

    What safetensors takes silently is refused: a tensor or an entry twice. So is a header too large for any model.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        room = size - LENGTH_BYTES
        if room < 0 or length > room:
            raise ValueError(f"it has {size} bytes and declares a header of {length}")
        if length > MOST_HEADER:
            raise ValueError(f"it declares a header of {length} bytes; {MOST_HEADER} are the most")
        text = file.read(length)
    try:
        header = read_strictly(text.decode("utf-8"))
    except UnicodeDecodeError:
        raise ValueError("its header is no text") from None
    except ValueError as error:
        raise ValueError(f"its header holds {error}") from None
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata are no texts by name")
    _check_places([_place(name, entry) for name, entry in header.items()], room - length)
    return metadata


def _place(name: str, entry: Any) -> tuple[int, int, str]:
    """First byte of a tensor, the one after its last, and its name."""
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not isinstance(offsets, list) or [type(offset) for offset in offsets] != [int, int]:
        raise ValueError(f"the tensor {quote(name)} has no place in it")
    first, last = offsets
    return first, last, name


def _check_places(places: list[tuple[int, int, str]], n_bytes: int) -> None:
    """Raise ValueError unless every tensor lies within the data and none in another."""
    places.sort()
    for first, last, name in places:
        if not 0 <= first <= last <= n_bytes:
            raise ValueError(f"the tensor {quote(name)} lies beyond the {n_bytes} bytes of data")
    for (_, last, name), (first, _, other) in pairwise(places):
        if first < last:
            raise ValueError(f"the tensors {quote(name)} and {quote(other)} lie in one another")
