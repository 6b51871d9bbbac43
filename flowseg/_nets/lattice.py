"""The lattice that a network sees: the lengths of its pixels along each axis, and how an image is brought to it.

Spacing is the distance between the pixels of an image along each axis. Images are scaled so that the network's pixels
are as long along every axis, but for coarse axes: there they are 2, 4, ... times as long, and the first 1, 2, ...
levels of the network are not pooled along the axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from flowseg import _checks

# Spacings that differ by less than this share count as equal: files hold rounded ones. Source: chosen.
SAME_SPACING = 0.01

# Crops that are narrower than this share of their length are not rotated: they would show little of a narrow image.
# Source: chosen.
NARROW = 0.5

Spacing = tuple[float, ...]


@dataclass(frozen=True)
class PixelShape:
    """The shape of the pixels of an image."""

    ratios: Spacing  # length along each axis, over the length along the finest one
    relative_size: float  # length along the finest axis, over that of the training images; 1 where it is not known
    coarse_levels: tuple[int, ...]  # of the network, see `Lattice`

    def factors(self, factor: float) -> tuple[float, ...]:
        """Return the factors that the image is scaled by along each axis, where the finest one is by ``factor``."""
        return tuple(factor * r / 2**level for r, level in zip(self.ratios, self.coarse_levels, strict=True))


@dataclass(frozen=True)
class Lattice:
    """The lattice of a network."""

    spacing: Spacing | None  # median of the training images; None: they had none
    coarse_levels: tuple[int, ...]  # along each axis: the network's pixels are 2 to the power of this as long

    @property
    def ndim(self) -> int:
        """Axes of an image, without channels."""
        return len(self.coarse_levels)

    def pixel(self, spacing: Spacing | None) -> PixelShape:
        """Return the shape of the pixels of an image; without spacing it is that of the training images."""
        known = self.spacing if spacing is None else spacing
        if known is None:
            return PixelShape((1.0,) * self.ndim, 1.0, self.coarse_levels)
        size = 1.0 if self.spacing is None else min(known) / min(self.spacing)
        return PixelShape(ratios_of(known), size, self.coarse_levels)

    def differs(self, spacing: Spacing | None) -> bool:
        """Return whether a spacing is known to be another one than that of the training images."""
        return not (spacing is None or self.spacing is None or is_same_spacing(spacing, self.spacing))


def ratios_of(spacing: Spacing) -> Spacing:
    """Return the lengths of a pixel along each axis over the shortest."""
    return tuple(length / min(spacing) for length in spacing)


def is_same_spacing(a: Spacing, b: Spacing) -> bool:
    """Return whether two spacings are equal along every axis, but for rounding."""
    return all(abs(math.log(first / second)) <= SAME_SPACING for first, second in zip(a, b, strict=True))


def learn_lattice(spacings: Sequence[Spacing | None], ndim: int, n_poolings: int) -> Lattice:
    """Return the lattice for training images with these spacings, and a network with this many poolings."""
    known = [spacing for spacing in spacings if spacing is not None]
    if not known:
        return Lattice(None, (0,) * ndim)
    median = tuple(map(float, np.median(known, axis=0)))
    levels = tuple(min(max(round(math.log2(ratio)), 0), n_poolings) for ratio in ratios_of(median))
    return Lattice(median, levels)


def find_turns(lattice: Lattice, crop_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a number for each axis: crops may be turned between axes of the same number, by quarter turns.

    Between the last two any angle is possible, unless crops are narrow. Other axes have the same number if their
    spacing is known to be equal, and crops have as many pixels along both: microscopes blur along the planes' axis more
    than in a plane, and a turned crop of a thin volume would show little of it.
    """
    numbers = list(range(lattice.ndim))
    for axis, other in combinations(reversed(range(lattice.ndim)), 2):
        if _can_turn(lattice, crop_shape, other, axis):
            numbers[other] = numbers[axis]
    return tuple(numbers)


def _can_turn(lattice: Lattice, crop_shape: tuple[int, ...], first: int, second: int) -> bool:
    if lattice.coarse_levels[first] != lattice.coarse_levels[second]:
        return False
    lengths = sorted((crop_shape[first], crop_shape[second]))
    if (first, second) == (lattice.ndim - 2, lattice.ndim - 1):
        return lengths[0] >= NARROW * lengths[1]
    spacing = lattice.spacing
    is_same = spacing is not None and is_same_spacing((spacing[first],), (spacing[second],))
    return is_same and lengths[0] == lengths[1]


def find_crop_shape(
    lattice: Lattice, size: int, steps: Sequence[int], shapes: Sequence[tuple[int, ...]], *, fill: bool
) -> tuple[int, ...]:
    """Return the shape of training crops: ``size`` pixels along fine axes, fewer of the longer ones along coarse axes.

    Parameters
    ----------
    lattice : Lattice
        The network's lattice.
    size : int
        Pixels along a fine axis.
    steps : sequence of int
        Along each axis the crop has a multiple of it.
    shapes : sequence of tuple of int
        Shapes of the scaled images. Crops of volumes are no longer than the longest of them need.
    fill : bool
        Whether crops of volumes that are thin along an axis are longer along the others, so that they have as many
        pixels.
    """
    lengths = [-(-size // 2**level) for level in lattice.coarse_levels]
    if lattice.ndim == 2:  # a small image is shown with its mirror images around it
        return tuple(_round_up(length, step) for length, step in zip(lengths, steps, strict=True))
    longest = [_round_up(max(of_axis), step) for of_axis, step in zip(zip(*shapes, strict=True), steps, strict=True)]
    crop = [min(_round_up(length, step), most) for length, step, most in zip(lengths, steps, longest, strict=True)]
    for _ in range(lattice.ndim if fill else 0):  # an axis may turn out to be too short for its share
        growing = [axis for axis in range(lattice.ndim) if crop[axis] < longest[axis]]
        missing = math.prod(lengths) / math.prod(crop)
        for axis in growing:
            share = int(crop[axis] * missing ** (1 / len(growing)))
            crop[axis] = max(crop[axis], min(share // steps[axis] * steps[axis], longest[axis]))
    return tuple(crop)


def _round_up(length: int, step: int) -> int:
    return -(-length // step) * step


def read_lattice(document: Any, ndim: int, n_poolings: int) -> Lattice:
    """Return the lattice in a model file's JSON, checked; files without one are of models without spacing."""
    if document is None:
        return Lattice(None, (0,) * ndim)
    if not isinstance(document, dict) or set(document) != {"spacing", "coarse_levels"}:
        raise ValueError(f"lattice must be an object with coarse_levels, spacing; got {document!r}.")
    spacing, levels = document["spacing"], document["coarse_levels"]
    if not isinstance(levels, list) or len(levels) != ndim:
        raise ValueError(f"lattice's coarse_levels must be {ndim} integers; got {levels!r}.")
    checked = tuple(_checks.as_integer(n, "lattice's coarse_levels", minimum=0) for n in levels)
    if max(checked) > n_poolings:
        raise ValueError(f"lattice's coarse_levels must be at most {n_poolings} for this network; got {levels!r}.")
    if spacing is None:
        return Lattice(None, checked)
    return Lattice(tuple(map(float, _checks.as_spacing(spacing, ndim))), checked)
