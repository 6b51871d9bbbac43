"""Percentiles from order statistics, for values in memory and for values that are counted block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ranks:
    """Places, in sorted values, of the two that each percentile lies between, and how far it is from the first."""

    below: NDArray[np.int64]
    above: NDArray[np.int64]
    weight: NDArray[np.float64]


def find_ranks(n: int, low: float, high: float) -> Ranks:
    """Return the ranks of two percentiles of ``n`` values, as `numpy.percentile` does by default."""
    place = (n - 1) * np.true_divide([low, high], 100)
    below = np.minimum(np.floor(place).astype(np.int64), n - 1)
    return Ranks(below, np.minimum(below + 1, n - 1), place - below)


def percentiles(values: NDArray[Any], low: float, high: float) -> tuple[float, float]:
    """Return two percentiles; where they are equal, the smallest and the largest value."""
    ranks = find_ranks(values.size, low, high)
    places = np.unique([0, values.size - 1, *ranks.below, *ranks.above])
    ordered = values.flatten() if values.dtype.kind == "u" else _as_exact(values).ravel()  # a copy
    ordered.partition(places)
    return interpolate(ordered[ranks.below], ordered[ranks.above], ranks.weight, ordered[[0, -1]])


def interpolate(
    below: NDArray[Any], above: NDArray[Any], weight: NDArray[np.float64], ends: NDArray[Any]
) -> tuple[float, float]:
    """Return two percentiles from the values at `Ranks` and the smallest and the largest value.

    A zero has no sign, because the order of -0.0 and 0.0 in sorted values is undefined.
    """
    first, second = _as_exact(below), _as_exact(above)
    with np.errstate(over="ignore", invalid="ignore"):  # the largest float64 numbers: then the ends take their place
        difference = second - first
        found = np.where(weight < 0.5, first + difference * weight, second - difference * (1 - weight))
    bottom, top = (float(value) + 0.0 for value in (found if found[0] < found[1] else ends))
    return bottom, top


def _as_exact(values: NDArray[Any]) -> NDArray[Any]:
    """Return values of a type that their differences fit into."""
    return values if values.dtype.kind == "u" else values.astype(np.float64)
