"""Labkit's labelings."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._image_files.reading import read_masks
from flowseg._labels.components import number_components
from flowseg._system import memory
from flowseg._system.invalid_file import InvalidFileError, StoredFile
from flowseg.io._documents import name_kind, read_json
from flowseg.io._entries import Choice, Entries

StrPath = str | os.PathLike[str]

KIND = "Labkit labeling"

# Bytes for each pixel: its label, and the number of its component.
PIXEL_BYTES = 12

# Pixels from the origin at most: beyond, no image has any, and differences would not fit 64 bits.
MAX_COORDINATE = 1 << 60

# Labkit's first label, which marks no object.
BACKGROUND = "background"


def read_labkit(path: StrPath, *, classes: str | Sequence[str] | None = None) -> NDArray[np.int32]:
    """Read masks from a labeling that Labkit saved.

    Parameters
    ----------
    path : path
        ``.labeling`` or ``.json`` file, or TIFF of label numbers.
    classes : str or sequence of str, optional
        Names of the labels to take from a ``.labeling``; by default all but ``background``.

    Returns
    -------
    masks : ndarray of int32, shape (rows, columns) or (planes, rows, columns)
        Every connected component of every label is an object, numbered 1..n in raster order. Pixels of several labels
        belong to the one with the fewest.

    Raises
    ------
    InvalidFileError
        If the file is no labeling, or holds pixels outside of its interval.
    TypeError, ValueError
        If the file has none of the chosen labels.

    Warns
    -----
    UserWarning
        If labels are left out: ``background``, and those that are not chosen.

    Examples
    --------
    >>> import flowseg
    >>> flowseg.io.write_masks("labkit.tif", [[1, 1, 0, 1, 2]])  # label numbers: two components of 1, one of 2
    >>> flowseg.io.read_labkit("labkit.tif")
    array([[1, 1, 0, 2, 3]], dtype=int32)
    """
    file, choice = Path(path), Choice(classes)
    if file.suffix.lower() == ".bson":
        raise ValueError(f"path must end in .labeling, .json or .tif; got {file}, ImgLib2's: save as .labeling.")
    if file.suffix.lower() in (".tif", ".tiff"):
        return _read_tiff(file, choice)
    stored = StoredFile(file, KIND)
    entries = Entries(stored)
    document = read_json(stored)
    if not isinstance(document, dict) or not isinstance(document.get("labels"), dict):
        raise stored.invalid(name_kind(document) or "something without labels")
    low, high = _read_interval(document.get("interval"), stored)
    found = {str(name): pixels for name, pixels in document["labels"].items() if pixels}
    if not all(isinstance(pixels, list) for pixels in found.values()):
        raise stored.invalid("a label whose pixels are no list")
    choice.check(set(found), file)
    with memory.naming(file):
        labels = np.zeros(tuple((high - low + 1).tolist()), dtype=np.int32)
        for k, (name, pixels) in enumerate(sorted(found.items(), key=lambda item: -len(item[1])), start=1):
            if not choice.takes(name):
                entries.leave_out(f"the label {name!r}, which is not chosen")
            elif choice.names is None and name.lower() == BACKGROUND:
                entries.leave_out(f"the label {name!r}")
            else:
                labels[_places(pixels, low, high, f"label {name!r}", stored)] = k
                entries.n_good += 1
        entries.close()
        return number_components(labels)


def _read_interval(interval: Any, stored: StoredFile) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first and the last pixel of an interval that memory can hold, plane or row first."""
    ends = [interval.get(name) if isinstance(interval, dict) else None for name in ("min", "max")]
    low, high = (end[::-1] if isinstance(end, list) else [None] for end in ends)
    is_right = all(type(number) is int and abs(number) <= MAX_COORDINATE for number in (*low, *high))
    if not is_right or len(low) != len(high):
        raise stored.invalid("an interval whose min and max are not whole numbers, one per axis")
    shape = tuple(last - first + 1 for first, last in zip(low, high, strict=True))
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise stored.invalid(f"an interval of shape {shape}")
    memory.check(PIXEL_BYTES * math.prod(shape), f"with an interval of shape {shape} it", stored.path)
    return np.array(low), np.array(high)


def _places(
    pixels: list[Any], low: NDArray[np.int64], high: NDArray[np.int64], name: str, stored: StoredFile
) -> tuple[NDArray[np.int64], ...]:
    """Return the index of a label's pixels in the interval."""
    with stored.parsing(TypeError, ValueError, OverflowError):
        places = np.array(pixels)
    if places.dtype.kind != "i" or places.ndim != 2 or places.shape[1] != low.size:
        raise stored.invalid(f"pixels of {name} that are not whole numbers, one per axis")
    places = places[:, ::-1]
    if np.any(places < low) or np.any(places > high):
        raise stored.invalid(f"pixels of {name} outside of the interval")
    return tuple((places - low).T)


def _read_tiff(file: Path, choice: Choice) -> NDArray[np.int32]:
    if choice.names is not None:
        raise ValueError(f"classes must be None for {file}, which holds no names of labels; got {choice.names!r}.")
    if file.with_suffix(".bson").exists():
        raise InvalidFileError(
            f"{file} must be a TIFF of label numbers; got numbers of sets of labels, which {file.stem}.bson beside it "
            "holds: save as .labeling."
        )
    return number_components(read_masks(file))
