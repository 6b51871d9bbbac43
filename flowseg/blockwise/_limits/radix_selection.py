"""Exact order statistics of numbers that are read in parts, by counting.

Every number has a *key*, an unsigned integer that sorts as the number does. One pass counts the keys of an interval in
65,536 bins; the bin that holds a wanted rank is the interval of the next pass. 16 bits take one pass and 64 bits four.
Counts of parts are added, so the result does not depend on how the numbers were divided.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Bits that one pass decides.
BITS = 16


@dataclass(frozen=True)
class Interval:
    """Keys from ``low`` to ``high``, both included, and the number of keys below them."""

    low: int
    high: int
    below: int = 0

    @property
    def shift(self) -> int:
        """Bits of a key, counted from ``low``, that do not show in the number of its bin."""
        return max(0, (self.high - self.low).bit_length() - BITS)

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return ((self.high - self.low) >> self.shift) + 1

    def count(self, keys: NDArray[Any]) -> NDArray[np.int64]:
        """Return how many of some keys lie in each bin."""
        low, high = keys.dtype.type(self.low), keys.dtype.type(self.high)
        if self.low > 0 or self.high < np.iinfo(keys.dtype).max:
            keys = keys[(keys >= low) & (keys <= high)] - low
        bins = (keys.ravel() >> keys.dtype.type(self.shift)).astype(np.intp)
        return np.bincount(bins, minlength=self.n_bins).astype(np.int64, copy=False)

    def narrow(self, counts: NDArray[np.int64], rank: int) -> Interval:
        """Return the bin that holds the key of a rank, from 0, among all keys."""
        totals = self.below + np.cumsum(counts)
        k = int(np.searchsorted(totals, rank, side="right"))
        low = self.low + (k << self.shift)
        high = min(low + (1 << self.shift) - 1, self.high)
        return Interval(low, high, int(totals[k] - counts[k]))

    def clip(self, low: int, high: int) -> Interval:
        """Return the same interval without keys that are known to be absent: below ``low`` or above ``high``."""
        return Interval(max(self.low, low), min(self.high, high), self.below)


def key_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the unsigned type of the keys of numbers."""
    return np.dtype(f"u{dtype.itemsize}")


def as_keys(values: NDArray[Any]) -> NDArray[Any]:
    """Return the keys of finite integers or floats; -0.0 has the key of 0.0."""
    native = np.asarray(values, dtype=values.dtype.newbyteorder("="), order="C")
    if native.dtype.kind == "u":
        return native
    unsigned = key_dtype(native.dtype)
    sign = unsigned.type(1 << (8 * unsigned.itemsize - 1))
    if native.dtype.kind == "i":
        return np.asarray(native.view(unsigned) ^ sign)
    bits = (native + native.dtype.type(0)).view(unsigned)
    return np.asarray(np.where(bits >= sign, ~bits, bits | sign))


def from_keys(keys: NDArray[np.uint64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the numbers, of native byte order, that have these keys."""
    native, unsigned = dtype.newbyteorder("="), key_dtype(dtype)
    bits = keys.astype(unsigned)
    if dtype.kind == "u":
        return np.asarray(bits)
    sign = unsigned.type(1 << (8 * unsigned.itemsize - 1))
    if dtype.kind == "i":
        return np.asarray((bits ^ sign).view(native))
    return np.where(bits >= sign, bits ^ sign, ~bits).view(native)
