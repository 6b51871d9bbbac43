"""How large objects are: in training, and what to make of an estimate from a first pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._flows import diameters
from flowseg._thresholds import is_auto

# Sizes that differ by less than this factor are one: no second pass is made for an estimate so near.
SAME_SIZE = 1.1


@dataclass(frozen=True)
class Sizes:
    """Whether to estimate the diameter of images that none is given for, and the bounds of such an estimate."""

    estimate: bool
    low: float  # smallest and largest diameter of the training images, in pixels
    high: float

    def bound(self, diameter: float) -> float:
        """The nearest diameter that a training image had."""
        return min(max(diameter, self.low), self.high)


def image_diameter(masks: NDArray[Any]) -> float:
    """Median diameter of the objects of one image; NaN where there is none."""
    values = diameters(masks)
    return float(np.median(values)) if values.size else float("nan")


def image_diameters(masks: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """Those of all images that have objects."""
    values = np.array([image_diameter(m) for m in masks])
    return values[np.isfinite(values)]


def is_same_size(a: float, b: float) -> bool:
    """Whether two diameters are so near that it makes no difference."""
    return max(a, b) <= SAME_SIZE * min(a, b)


def check_estimate(value: Any) -> None:
    """Raise unless ``estimate_diameters`` is a flag or "auto"."""
    if not is_auto(value, "estimate_diameters"):
        _checks.check_flag(value, "estimate_diameters")


def read_sizes(document: Any) -> Sizes:
    """Sizes of a model file's JSON, checked."""
    names = [field.name for field in fields(Sizes)]
    if not isinstance(document, dict) or set(document) != set(names):
        raise ValueError(f"sizes must be an object with {', '.join(names)}; got {document!r}.")
    _checks.check_flag(document["estimate"], "sizes' estimate")
    low, high = (_checks.as_number(document[n], f"sizes' {n}", low=0.0, open_low=True) for n in ("low", "high"))
    if low > high:
        raise ValueError(f"sizes must have low no larger than high; got {low:g} and {high:g}.")
    return Sizes(bool(document["estimate"]), low, high)


def describe_sizes(sizes: Sizes) -> dict[str, Any]:
    """For a model file."""
    return asdict(sizes)
