"""How large objects are: in training, and what to make of an estimate from a first pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._checks import is_auto
from flowseg._labels.diameters import diameters

# Bounds in pixels of the working diameter that "auto" chooses. Smaller objects are enlarged, because outlines come out
# no finer than the pixels that the network sees; larger ones cost time and gain nothing (docs/explanation/recipe.rst).
LEAST_WORKING, MOST_WORKING = 24.0, 40.0

# Below this factor between the working and an image's diameter an image would hardly be an image any more.
EXTREME_SCALE = 1 / 32

# No image is enlarged more than this: an object of 3 pixels still gets 36, and one pixel of an image becomes 144.
MOST_ENLARGED = 12.0

# No image is enlarged more than this for the size of its own objects: a stray pixel is no object of one pixel.
MAX_ENLARGEMENT = 4.0

# Sizes that differ by less than this factor are one: no other pass is made for an estimate so near.
SAME_SIZE = 1.1

# Passes of an estimate at most. Each after the second is farther off than the one before, which is cheaper.
MOST_PASSES = 8


@dataclass(frozen=True)
class Sizes:
    """At which size a network sees objects, and what to make of images whose objects' size nobody tells."""

    working: float  # diameter in pixels that typical objects are scaled to
    estimate: bool  # whether to estimate the diameter where none is given, within the bounds:
    low: float  # smallest and largest diameter of the training images, in pixels
    high: float

    def widened(self, other: Sizes) -> Sizes:
        """With the bounds of another, too."""
        return replace(self, low=min(self.low, other.low), high=max(self.high, other.high))

    def bound(self, diameter: float) -> float:
        """The nearest diameter that a training image had."""
        return min(max(diameter, self.low), self.high)

    def bound_enlargement(self, diameter: float) -> float:
        """The nearest diameter that an image is not enlarged too much for."""
        return max(diameter, min(self.low, self.working / MAX_ENLARGEMENT))

    def next_pass(self, seen: float, found: float, *, first: bool, bounded: bool) -> float | None:
        """Diameter that the next pass of an estimate should be made for; None if the last one is the one to keep.

        A network sees objects far larger than those that it is set for in pieces, and calls them smaller than they are:
        so estimates are made anew as long as they grow.

        Parameters
        ----------
        seen, found : float
            Diameter that the last pass was made for, and that of what it found (NaN: nothing).
        first : bool
            Whether it was the first one: only its estimate may be smaller, and have an image enlarged.
        bounded : bool
            Whether to stay within the diameters of the training images.
        """
        if np.isnan(found):
            return None
        size = self.bound(found) if bounded else self.bound_enlargement(found)
        return None if is_same_size(size, seen) or (size < seen and not first) else size


def image_diameter(masks: NDArray[Any]) -> float:
    """Median diameter of the objects of one image; NaN where there is none."""
    values = diameters(masks)
    return float(np.median(values)) if values.size else float("nan")


def image_diameters(masks: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """Those of all images that have objects."""
    values = np.array([image_diameter(m) for m in masks])
    return values[np.isfinite(values)]


def choose_working(diameter: float | str, typical: float) -> float:
    """Working diameter for the parameter ``diameter``: itself, or for "auto" the typical one within bounds."""
    return min(max(typical, LEAST_WORKING), MOST_WORKING) if isinstance(diameter, str) else float(diameter)


def bounds_of(diameters: NDArray[np.float64], working: float) -> tuple[float, float]:
    """Smallest and largest diameter of training images, as far as the network can be shown them."""
    least = min(working / MAX_ENLARGEMENT, float(np.median(diameters)))
    return max(float(diameters.min()), least), min(float(diameters.max()), working / EXTREME_SCALE)


def scale_factor(working: float, size: float, subject: str) -> float:
    """Factor that gives objects of diameter ``size`` the working diameter."""
    factor = working / size
    if not EXTREME_SCALE <= factor <= MOST_ENLARGED:
        change = f"enlarge the image {factor:.3g} times" if factor > 1 else f"reduce the image {1 / factor:.3g} times"
        raise ValueError(
            f"{subject} from {working / MOST_ENLARGED:.3g} to {working / EXTREME_SCALE:.3g} pixels for a working "
            f"diameter of {working:.3g} pixels; got {size:.3g}, which would {change}."
        )
    return float(factor)


def is_same_size(a: float, b: float) -> bool:
    """Whether two diameters are so near that it makes no difference."""
    return max(a, b) <= SAME_SIZE * min(a, b)


def check_sizes(diameter: Any, estimate_diameters: Any) -> None:
    """Raise unless both parameters are "auto" or what else they can be."""
    if not is_auto(diameter, "diameter", "a number"):
        _checks.as_number(diameter, "diameter", low=4.0)
    if not is_auto(estimate_diameters, "estimate_diameters", "True, False"):
        _checks.check_flag(estimate_diameters, "estimate_diameters")


def read_sizes(document: Any) -> Sizes:
    """Sizes of a model file's JSON, checked."""
    names = [field.name for field in fields(Sizes)]
    if not isinstance(document, dict) or set(document) != set(names):
        raise ValueError(f"sizes must be an object with {', '.join(names)}; got {document!r}.")
    _checks.check_flag(document["estimate"], "sizes' estimate")
    numbers = ("working", "low", "high")
    working, low, high = (_checks.as_number(document[n], f"sizes' {n}", low=0.0, open_low=True) for n in numbers)
    if low > high:
        raise ValueError(f"sizes must have low no larger than high; got {low:g} and {high:g}.")
    for name, size in (("low", low), ("high", high)):
        scale_factor(working, size, f"sizes' {name} must be")
    return Sizes(working, bool(document["estimate"]), low, high)
