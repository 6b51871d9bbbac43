"""Arrays of files as label images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._system.invalid_file import InvalidFileError


def as_label_image(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Return the array of a file as integers; raise InvalidFileError, which begins with ``name``, if it is no masks."""
    n_bad = array.size - np.count_nonzero(np.isfinite(array))
    if n_bad:
        raise InvalidFileError(f"{name} must be finite; got {n_bad} NaN or infinite values of {array.size}.")
    array = _as_whole_numbers(array, name)
    fault = _checks.find_mask_fault(array, name)
    if fault:
        raise InvalidFileError(fault)
    return array


def _as_whole_numbers(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Return labels stored as floats as integers; other floats are left."""
    if array.dtype.kind != "f" or np.any(array != np.rint(array)):
        return array
    largest = 2 ** (np.finfo(array.dtype).nmant + 1)  # up to here floats hold every whole number
    most = np.abs(array).max(initial=0)
    if most > largest:
        raise InvalidFileError(f"{name} must have labels of at most {largest} when stored as floats; got {most:g}.")
    return array.astype(np.int32 if most <= np.iinfo(np.int32).max else np.int64)
