"""Diameters: of training objects, of an image, the scale factor, and the next pass of a size estimate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._checks import is_auto
from flowseg._labels.diameters import diameters, diameters_of_sizes
from flowseg._nets.lattice import PixelShape

# Bounds in pixels of the working diameter that "auto" chooses. Smaller objects are enlarged, because outlines come out
# no finer than the pixels that the network sees; larger ones cost time and gain nothing (docs/explanation/recipe.rst).
MIN_WORKING, MAX_WORKING = 24.0, 40.0
# The same for volumes, where time grows with the cube of the diameter.
MIN_WORKING_3D, MAX_WORKING_3D = 12.0, 16.0

# No image is reduced by a smaller factor than this: little would be left of it.
EXTREME_SCALE = 1 / 32

# No image is enlarged by a larger factor than this: one pixel of it becomes 144.
MAX_SCALE = 12.0

# No image is enlarged more than this for the size of its own objects: a stray pixel is not an object.
MAX_ENLARGEMENT = 4.0

# How many times smaller than in other passes objects are in the first pass of an estimate, by the axes of an image.
# With the pretrained model, diameters found at a half differ from those at full size by 2 % (median), and the pass
# costs a quarter. At a third, images with few objects go wrong. In volumes, objects have too few voxels for that.
FIRST_REDUCTION = {2: 2.0, 3: 1.0}

# Sizes that differ by less than this factor count as equal: no further pass is made for such an estimate.
SAME_SIZE = 1.1

# Diameters that a coarse pass finds can be off by a tenth. Within this factor of the typical diameter, a pass for that
# one decides: without this rule, one test image lost a fifth of its nuclei.
NEAR_TYPICAL = SAME_SIZE**2

# Passes of an estimate at most. Each after the second sees the image smaller than the one before, which is cheaper.
MAX_PASSES = 8


@dataclass(frozen=True)
class Sizes:
    """The size at which a network sees objects, and the range of sizes that it was trained on."""

    working: float  # diameter in pixels that typical objects are scaled to
    estimate: bool  # whether to estimate diameters that are not given, within the bounds:
    low: float  # smallest and largest diameter of the training images, in pixels
    high: float

    def widened(self, other: Sizes) -> Sizes:
        """Return these sizes with bounds that include the bounds of ``other``."""
        return replace(self, low=min(self.low, other.low), high=max(self.high, other.high))

    def for_pixels(self, relative_size: float) -> Sizes:
        """Return these sizes with bounds in pixels of another length, ``relative_size`` times as long."""
        if relative_size == 1:
            return self
        low, high = self.low / relative_size, self.high / relative_size
        least, most = self.working / MAX_SCALE, self.working / EXTREME_SCALE
        return replace(self, low=float(np.clip(low, least, most)), high=float(np.clip(high, least, most)))

    def bound(self, diameter: float) -> float:
        """Return the nearest diameter within the range of the training images."""
        return min(max(diameter, self.low), self.high)

    def bound_enlargement(self, diameter: float) -> float:
        """Return the nearest diameter for which an image is not enlarged too much."""
        return max(diameter, min(self.low, self.working / MAX_ENLARGEMENT))

    def next_pass(self, seen: float, found: float, *, first: bool, bounded: bool) -> float | None:
        """Return the diameter for the next pass of an estimate; None if the last pass is to be kept.

        A network breaks objects far larger than those that it was trained on into parts, and their diameter is
        underestimated: so estimates are repeated as long as they grow.

        Parameters
        ----------
        seen, found : float
            Diameter that the last pass was made for, and diameter of the objects that it found (NaN: none).
        first : bool
            Whether it was the first one: only its estimate may be smaller, which enlarges the image.
        bounded : bool
            Whether to stay within the diameters of the training images.
        """
        if np.isnan(found):
            return None
        size = self.bound(found) if bounded else self.bound_enlargement(found)
        return None if is_same_size(size, seen) or (size < seen and not first) else size


@dataclass(frozen=True)
class SizeSearch:
    """The passes of one estimate: the first is coarse, and each other is made for what the one before it found."""

    sizes: Sizes
    typical: float  # diameter of typical objects in pixels of the image, along its finest axis
    ndim: int  # axes of the image
    bounded: bool  # whether to stay within the diameters of the training images

    @property
    def first(self) -> float:
        """Diameter that the first pass is made for."""
        most = max(self.typical, self.sizes.working / EXTREME_SCALE)
        return min(FIRST_REDUCTION[self.ndim] * self.typical, most)

    def next_pass(self, size: float, seen: float, found: float) -> float | None:
        """Return the diameter for the next pass; None if the last pass is to be kept.

        Where a coarse pass finds nothing, or objects of about the typical diameter, the second pass begins again at
        that diameter: objects may be too small for the first one, or its estimate may be a little off.

        Parameters
        ----------
        size, seen : float
            Diameter that the last pass was made for, as it was asked for, and as its factor has it.
        found : float
            Diameter of the objects that it found (NaN: none).
        """
        is_coarse = size == self.first != self.typical
        if is_coarse and (np.isnan(found) or ratio_of(found, self.typical) <= NEAR_TYPICAL):
            return self.typical
        is_first = size in (self.first, self.typical)
        return self.sizes.next_pass(seen, found, first=is_first, bounded=self.bounded)

    def is_last(self, size: float, before: float) -> bool:
        """Return whether a pass is the last, since it is made for smaller objects than the one ``before``, as seen."""
        return size < before and size != self.typical


def image_diameter(masks: NDArray[Any], ratios: Sequence[float] | None = None) -> float:
    """Return the median diameter of the objects of one image, in pixels of the finest axis; NaN without objects.

    ``ratios`` are the lengths of a pixel along its axes over the shortest of them; None: they are equal.
    """
    return _median(diameters(masks, spacing=ratios))


def diameter_of_sizes(sizes: NDArray[np.int64], ratios: Sequence[float] = (1.0, 1.0)) -> float:
    """Return the same from the numbers of pixels of these objects alone, in any order."""
    return _median(diameters_of_sizes(sizes, ratios))


def _median(values: NDArray[np.float64]) -> float:
    return float(np.median(values)) if values.size else float("nan")


def image_diameters(
    masks: Sequence[NDArray[Any]], pixels: Sequence[PixelShape | None] | None = None
) -> NDArray[np.float64]:
    """Return the median diameter of each image that has objects, in pixels of the finest axis of the lattice.

    ``pixels`` are the shapes of their pixels; None: as long along every axis.
    """
    shapes = [None] * len(masks) if pixels is None else pixels
    values = np.array([_lattice_diameter(m, p) for m, p in zip(masks, shapes, strict=True)], dtype=np.float64)
    return values[np.isfinite(values)]


def _lattice_diameter(masks: NDArray[Any], pixel: PixelShape | None) -> float:
    return image_diameter(masks) if pixel is None else image_diameter(masks, pixel.ratios) * pixel.relative_size


def choose_working(diameter: float | str, typical: float, ndim: int = 2) -> float:
    """Return the working diameter for the parameter ``diameter``; for "auto" it is the typical one within bounds."""
    if not isinstance(diameter, str):
        return float(diameter)
    low, high = (MIN_WORKING, MAX_WORKING) if ndim == 2 else (MIN_WORKING_3D, MAX_WORKING_3D)
    return min(max(typical, low), high)


def bounds_of(diameters: NDArray[np.float64], working: float) -> tuple[float, float]:
    """Return the smallest and the largest diameter of training images, within the scales that are possible."""
    least = min(working / MAX_ENLARGEMENT, float(np.median(diameters)))
    return max(float(diameters.min()), least), min(float(diameters.max()), working / EXTREME_SCALE)


def scale_factor(working: float, size: float, name: str) -> float:
    """Return the factor that gives objects of diameter ``size`` the working diameter; an error calls it ``name``."""
    factor = working / size
    if not is_possible_scale(factor):
        change = f"enlarge the image {factor:.3g} times" if factor > 1 else f"reduce the image {1 / factor:.3g} times"
        raise ValueError(
            f"{name} must be from {working / MAX_SCALE:.3g} to {working / EXTREME_SCALE:.3g} pixels for a working "
            f"diameter of {working:.3g} pixels; got {size:.3g}, which would {change}."
        )
    return float(factor)


def is_possible_scale(factor: float) -> bool:
    """Return whether images may be scaled by a factor."""
    return EXTREME_SCALE <= factor <= MAX_SCALE


def check_scales(scales: Sequence[float], ratios: Sequence[float]) -> None:
    """Raise where an image would be enlarged along an axis more than any image is."""
    if max(scales) > MAX_SCALE:
        raise ValueError(
            f"spacing must be such that no axis is enlarged more than {MAX_SCALE:g} times for the network; got lengths "
            f"of a pixel of ({', '.join(f'{ratio:.3g}' for ratio in ratios)}) times the shortest, which would enlarge "
            f"one {max(scales):.3g} times."
        )


def is_same_size(a: float, b: float) -> bool:
    """Return whether two diameters are nearly equal."""
    return max(a, b) <= SAME_SIZE * min(a, b)


def ratio_of(a: float, b: float) -> float:
    """Return the larger of two diameters over the smaller one."""
    return max(a, b) / min(a, b)


def check_sizes(diameter: Any, estimate_diameters: Any) -> None:
    """Raise unless both parameters are "auto" or have a valid value."""
    if not is_auto(diameter, "diameter", "a number"):
        _checks.as_number(diameter, "diameter", low=4.0)
    if not is_auto(estimate_diameters, "estimate_diameters", "True, False"):
        _checks.check_flag(estimate_diameters, "estimate_diameters")


def read_sizes(document: Any) -> Sizes:
    """Return the sizes in a model file's JSON, checked."""
    names = [field.name for field in fields(Sizes)]
    if not isinstance(document, dict) or set(document) != set(names):
        raise ValueError(f"sizes must be an object with {', '.join(names)}; got {document!r}.")
    _checks.check_flag(document["estimate"], "sizes' estimate")
    numbers = ("working", "low", "high")
    working, low, high = (_checks.as_number(document[n], f"sizes' {n}", low=0.0, open_low=True) for n in numbers)
    if low > high:
        raise ValueError(f"sizes must have low no larger than high; got {low:g} and {high:g}.")
    for name, size in (("low", low), ("high", high)):
        scale_factor(working, size, f"sizes' {name}")
    return Sizes(working, bool(document["estimate"]), low, high)
