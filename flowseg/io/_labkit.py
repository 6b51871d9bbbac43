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
from flowseg._system import files, memory
from flowseg.io._entries import Choice, Entries, name_kind, read_json

StrPath = str | os.PathLike[str]

KIND = "Labkit labeling"

# Bytes for each pixel: its label, and the number of its piece.
PIXEL_BYTES = 12

# The label that Labkit starts with for what is no object.
BACKGROUND = "background"


def read_labkit(path: StrPath, *, classes: str | Sequence[str] | None = None) -> NDArray[np.int32]:
    """Masks from what Labkit saved.

    Parameters
    ----------
    path : path
        ``.labeling`` or ``.json`` file, or a TIFF of label numbers.
    classes : str or sequence of str, optional
        Names of the labels to take, of a ``.labeling``; by default all but ``background``.

    Returns
    -------
    masks : ndarray of int32, shape (rows, columns) or (planes, rows, columns)
        Every connected piece of every label is an object, numbered 1..n in raster order. Pixels of several labels
        belong to the one with the fewest.

    Raises
    ------
    TypeError, ValueError
        If the file cannot be read, or holds pixels outside of its interval, or none of the chosen labels.

    Warns
    -----
    UserWarning
        If labels are left out: those that are not chosen, ``background``.

    Examples
    --------
    >>> import flowseg
    >>> flowseg.io.write_masks("labkit.tif", [[1, 1, 0, 1, 2]])  # label numbers: two pieces of 1, one of 2
    >>> flowseg.io.read_labkit("labkit.tif")
    array([[1, 1, 0, 2, 3]], dtype=int32)
    """
    file, choice = Path(path), Choice(classes)
    if file.suffix.lower() == ".bson":
        raise ValueError(f"path must end in .labeling, .json or .tif; got {file}, ImgLib2's: save as .labeling.")
    if file.suffix.lower() in (".tif", ".tiff"):
        return _read_tiff(file, choice)
    entries = Entries(file, KIND)
    with files.naming_what_is_damaged(file, KIND):
        document = read_json(file)
        if not isinstance(document, dict) or not isinstance(document.get("labels"), dict):
            raise ValueError(name_kind(document) or "something without labels")
        low, high = (np.array(document["interval"][name][::-1]) for name in ("min", "max"))
        labels = np.zeros(_shape_of(low, high), dtype=np.int32)
        found = {str(name): pixels for name, pixels in document["labels"].items() if pixels}
    choice.check(set(found), file)
    with files.naming_what_is_damaged(file, KIND):
        for k, (name, pixels) in enumerate(sorted(found.items(), key=lambda item: -len(item[1])), start=1):
            if not choice.takes(name):
                entries.leave_out(f"the label {name!r}, which is not chosen")
            elif choice.names is None and name.lower() == BACKGROUND:
                entries.leave_out(f"the label {name!r}")
            else:
                labels[_places(pixels, low, high, name)] = k
                entries.n_good += 1
    entries.close()
    with memory.naming(file):
        return number_components(labels)


def _shape_of(low: NDArray[Any], high: NDArray[Any]) -> tuple[int, ...]:
    """Shape of an interval that can be held."""
    if low.dtype.kind != "i" or high.dtype.kind != "i" or low.ndim != 1 or low.shape != high.shape:
        raise ValueError("an interval whose min and max are not whole numbers, one per axis")
    shape = tuple(last - first + 1 for first, last in zip(low.tolist(), high.tolist(), strict=True))
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise ValueError(f"an interval of shape {shape}")
    memory.check(PIXEL_BYTES * math.prod(shape), f"with an interval of shape {shape} it")
    return shape


def _places(pixels: Any, low: NDArray[Any], high: NDArray[Any], name: str) -> tuple[NDArray[np.integer], ...]:
    places = np.array(pixels)[:, ::-1]
    if places.dtype.kind != "i" or places.shape[1] != low.size or np.any(places < low) or np.any(places > high):
        raise ValueError(f"pixels of label {name!r} outside of the interval")
    return tuple((places - low).T)


def _read_tiff(file: Path, choice: Choice) -> NDArray[np.int32]:
    if choice.names is not None:
        raise ValueError(f"classes must be None for {file}, which holds no names of labels; got {choice.names!r}.")
    if file.with_suffix(".bson").exists():
        raise ValueError(
            f"{file} must be a TIFF of label numbers; got numbers of sets of labels, which {file.stem}.bson beside it "
            "holds: save as .labeling."
        )
    return number_components(read_masks(file))
