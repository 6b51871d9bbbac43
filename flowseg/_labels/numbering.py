"""Unique values of large arrays and their counts, in short steps that can be interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._system.threads import check_canceled

# Label of pixels that nobody has annotated.
NOT_ANNOTATED = -1

# Elements of one step. Source: a tenth of a second of sorting; 8 MB of int64.
PART = 1 << 20

# Values that span fewer than this many times the number of elements are looked up in a table. Source: chosen; the
# table is then no larger than the array by much.
MAX_TABLE_RATIO = 2


def parts_of(size: int) -> Iterator[slice]:
    """Yield slices that cover 0..size, at least one; raise Canceled between them if the work has been canceled."""
    for start in range(0, max(size, 1), PART):
        check_canceled()
        yield slice(start, start + PART)


def values_of(array: NDArray[Any]) -> NDArray[Any]:
    """Return the unique values in increasing order."""
    flat = array.ravel()
    return np.unique(np.concatenate([np.unique(flat[part]) for part in parts_of(flat.size)]))


def count_pixels(masks: NDArray[Any]) -> NDArray[np.int64]:
    """Return the number of pixels of each object, the labels above 0, in increasing order of the labels."""
    flat = masks.ravel()
    largest = int(flat.max(initial=0))
    if largest >= MAX_TABLE_RATIO * flat.size:
        values, _, counts = number_values(flat)
        return counts[values > 0]
    counts = np.zeros(largest + 1, dtype=np.int64)
    for part in parts_of(flat.size):
        counts += np.bincount(np.maximum(flat[part], 0).astype(np.intp, copy=False), minlength=largest + 1)
    return counts[1:][counts[1:] > 0]


def number_values(array: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    """Return the unique integers in increasing order, the index of each element's value, flat, and the counts."""
    flat = array.ravel()
    values = values_of(flat)
    number = np.empty(flat.size, dtype=np.int64)
    counts = np.zeros(values.size, dtype=np.int64)
    low, high = (int(values[0]), int(values[-1])) if values.size else (0, 0)
    table = None
    if high - low < MAX_TABLE_RATIO * flat.size:
        table = np.zeros(high - low + 1, dtype=np.int64)
        table[_above(values, low)] = np.arange(values.size)
    for part in parts_of(flat.size):
        number[part] = np.searchsorted(values, flat[part]) if table is None else table[_above(flat[part], low)]
        counts += np.bincount(number[part], minlength=values.size)
    return values, number, counts


def _above(array: NDArray[Any], low: int) -> NDArray[np.intp]:
    """Return the differences from the lowest value, which fit although the values may not."""
    if array.dtype.kind == "u":
        return np.asarray(array - array.dtype.type(low), dtype=np.intp)
    return array.astype(np.intp) - low


def sum_by_key(keys: NDArray[Any], counts: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the unique keys in increasing order, and the sum of the counts of each."""
    unique, index = np.unique(keys, return_inverse=True)
    sums = np.zeros(unique.size, dtype=np.int64)
    np.add.at(sums, index, counts)
    return unique, sums
