"""Open arrays and groups of zarr, in folders and behind URLs."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._image_files.source import Index, picked_shape
from flowseg._system import memory
from flowseg._system.invalid_file import SYSTEM_ERRORS, InvalidFileError
from flowseg._system.optional_packages import need
from flowseg._system.printable import one_line

# Files that hold the metadata of a node: of format 3, and of format 2.
ARRAY_METADATA = ("zarr.json", ".zarray")
NODE_METADATA = (*ARRAY_METADATA, ".zgroup", ".zattrs")
# A scheme of fsspec has two letters at least: one letter and a colon is a drive of Windows.
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(://|::)")
# Characters of another library's error that a sentence quotes.
LONGEST_REASON = 200

# Options of fsspec for a URL, such as ``{"anon": True}``.
StorageOptions = dict[str, Any]


def is_url(location: str) -> bool:
    """Return whether a location is a URL for fsspec, such as ``s3://bucket/image.ome.zarr``."""
    return URL.match(location) is not None and not os.path.exists(location)


def is_zarr(location: str | os.PathLike[str]) -> bool:
    """Return whether a location is a URL or a folder of zarr, by its files or by its name."""
    text = os.fspath(location)
    if is_url(text):
        return True
    path = Path(text)
    return path.is_dir() and (path.suffix.lower() == ".zarr" or any((path / name).exists() for name in NODE_METADATA))


def join(location: str, *parts: str) -> str:
    """Return the location of a node inside another one."""
    if is_url(location):
        return "/".join([location.rstrip("/"), *parts])
    return str(Path(location, *parts))


def parent_of(location: str) -> tuple[str, str]:
    """Return the location of the node around another one, and the name of this one in it."""
    parent, _, name = location.rstrip("/").replace(os.sep, "/").rpartition("/")
    return parent, name


def open_node(location: str, options: StorageOptions | None = None) -> Any:
    """Return the zarr.Array or zarr.Group at a location, or None where there is neither.

    Consolidated metadata are not used: what is written to a group later is not in them.
    """
    zarr = need("zarr", "large")
    errors = need("zarr.errors", "large")
    given = options if is_url(location) else None
    with parsing_zarr(location):
        for open_one in (zarr.open_array, zarr.open_group):
            extra = {} if open_one is zarr.open_array else {"use_consolidated": False}
            try:
                return open_one(location, mode="r", storage_options=given, **extra)
            except (FileNotFoundError, errors.NodeTypeValidationError, errors.ContainsGroupError):
                continue
    return None


@contextmanager
def parsing_zarr(location: str) -> Iterator[None]:
    """Translate exceptions of zarr and of the storage behind it; only their calls belong in the block."""
    try:
        yield
    except (InvalidFileError, ImportError, memory.NeedsMemoryError):
        raise
    except MemoryError as error:
        raise MemoryError(f"{location} must fit into memory; {one_line(str(error)) or 'it does not'}.") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in SYSTEM_ERRORS:
            raise
        reason = one_line(str(error), LONGEST_REASON).rstrip(".") or type(error).__name__
        raise InvalidFileError(f"{location} must be readable zarr; got: {reason}.") from error


def read_part(array: Any, index: Index, location: str, options: StorageOptions | None = None) -> NDArray[Any]:
    """Return a part of a zarr.Array at a location; chunks that are not stored have its fill value.

    zarr takes every chunk of a store that vanishes for one that was never written. That is why the metadata are looked
    for again after the read.
    """
    part = read_array(array, index, location)
    check_in_place(location, options)
    return part


def read_array(array: Any, index: Index, location: str) -> NDArray[Any]:
    """Return a part of a zarr.Array, wherever it is."""
    shape = picked_shape(array.shape, index)
    memory.check(math.prod(array.chunks) * np.dtype(array.dtype).itemsize, "a chunk of it", Path(location))
    listed = next(((axis, entry) for axis, entry in enumerate(index) if isinstance(entry, list)), None)
    with parsing_zarr(location):
        if listed is None:
            part = np.asarray(array[index])
        else:
            axis, numbers = listed
            parts = [np.asarray(array[(*index[:axis], n, *index[axis + 1 :])]) for n in numbers]
            part = np.stack(parts, axis=sum(not isinstance(entry, int) for entry in index[:axis]))
    if part.shape != shape:
        raise InvalidFileError(f"{location} must hold its chunks; a part of shape {shape} has shape {part.shape}.")
    return part.astype(part.dtype.newbyteorder("="), copy=False)


def check_in_place(location: str, options: StorageOptions | None = None) -> None:
    """Raise FileNotFoundError if an array is no longer at its location."""
    if is_url(location):
        is_there = open_node(location, options) is not None
    else:
        is_there = any(os.path.exists(os.path.join(location, name)) for name in ARRAY_METADATA)
    if not is_there:
        raise FileNotFoundError(f"{location} must stay in place while it is in use; it has vanished.")
