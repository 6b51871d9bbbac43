"""The levels of a label image: along which axes each is reduced."""

from __future__ import annotations

import math
from collections.abc import Sequence

# For every level after the first, the step along each axis, in pixels of the level before.
Steps = tuple[tuple[int, ...], ...]

# Images are halved until the smaller side is below this many pixels.
SMALLEST_LEVEL = 1024
# Volumes are halved until they have at most this many voxels, which a viewer shows at once in 3-D. Source: chosen; 64
# MiB of int32.
LEVEL_VOXELS = 256**3
# No axis of a volume becomes shorter than this many voxels. Source: chosen; below it little can be recognized.
SHORTEST_SIDE = 32
# A coarse axis is left alone as long as its voxels are longer than the shortest side by more than this factor: halving
# it would make them longer still.
NEARLY_CUBIC = math.sqrt(2)


def choose_steps(shape: Sequence[int], lengths: Sequence[float]) -> Steps:
    """Return the steps between the levels of an image or a volume, whose pixels have these lengths along each axis."""
    steps: list[tuple[int, ...]] = []
    now, sides = tuple(shape), list(lengths)
    while True:
        step = _next_step(now, sides)
        if max(step) == 1:
            return tuple(steps)
        steps.append(step)
        now = _reduce(now, step)
        sides = [length * n for length, n in zip(sides, step, strict=True)]


def _next_step(shape: tuple[int, ...], lengths: list[float]) -> tuple[int, ...]:
    if len(shape) == 2:
        return (2, 2) if min(shape) >= SMALLEST_LEVEL else (1, 1)
    long_enough = [n >= 2 * SHORTEST_SIDE for n in shape]
    if math.prod(shape) <= LEVEL_VOXELS or not any(long_enough):
        return (1,) * len(shape)
    shortest = min(length for length, is_long in zip(lengths, long_enough, strict=True) if is_long)
    pairs = zip(lengths, long_enough, strict=True)
    return tuple(2 if is_long and length <= NEARLY_CUBIC * shortest else 1 for length, is_long in pairs)


def level_shapes(shape: tuple[int, ...], steps: Steps) -> list[tuple[int, ...]]:
    """Return the shapes of all levels, the full resolution first."""
    shapes = [shape]
    for step in steps:
        shapes.append(_reduce(shapes[-1], step))
    return shapes


def level_factors(ndim: int, steps: Steps) -> list[tuple[int, ...]]:
    """Return for every level how many pixels of the full resolution it has one of, along each axis."""
    factors = [(1,) * ndim]
    for step in steps:
        factors.append(tuple(a * b for a, b in zip(factors[-1], step, strict=True)))
    return factors


def _reduce(shape: tuple[int, ...], step: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-(-n // size) for n, size in zip(shape, step, strict=True))
