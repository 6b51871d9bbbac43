"""What the passes over an image still have to find before its limits are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._intensities import (
    PERCENTILES,
    Limits,
    Ranks,
    as_rule,
    find_ranks,
    fixed_limits,
    interpolate,
)
from flowseg._padding import End, lattice_step
from flowseg.blockwise._limits.radix_selection import Interval, from_keys, key_dtype
from flowseg.blockwise._regions import Block, BlockGrid, Slices

# Arrays by name, as they are kept in a file.
Record = Mapping[str, NDArray[Any]]

# Bytes of the widest numbers that have keys.
MAX_ITEMSIZE = 8

# Places of an end of the values: not padding, padding, or padding together with its neighbors.
INSIDE, SHARP, SOFT = 0, 1, 2


@dataclass(frozen=True)
class LimitsRequest:
    """An image in blocks, and the rule by which it gets its limits."""

    grid: BlockGrid
    dtype: np.dtype[Any]
    n_channels: int
    normalize: Any  # the segmenters' parameter
    ndim: int = 2  # axes of the image beside channels
    name: str = "image"  # in errors

    def __post_init__(self) -> None:
        _checks.check_image_dtype(self.dtype, self.name)
        if self.dtype.itemsize > MAX_ITEMSIZE:
            raise TypeError(
                f"{self.name} must have numbers of at most 64 bits to be segmented block by block; "
                f"got dtype {self.dtype}."
            )
        as_rule(self.normalize, self.n_channels)

    @cached_property
    def rule(self) -> tuple[Any, ...] | None:
        """The rule in the form of `as_rule`."""
        return as_rule(self.normalize, self.n_channels)

    @property
    def percents(self) -> tuple[float, float] | None:
        """The two percentiles of the rule; None where it has fixed limits."""
        return self.rule[1:] if self.rule is not None and self.rule[0] == PERCENTILES else None

    @cached_property
    def step(self) -> int:
        """Distance of the pixels on which padding is judged."""
        return lattice_step(self.grid.shape)

    @property
    def lattice_shape(self) -> tuple[int, ...]:
        """Number of these pixels along each axis."""
        return tuple(-(-n // self.step) for n in self.grid.shape)

    def lattice_in(self, block: Block) -> Slices:
        """Return the pixels of a block that are on the lattice."""
        return tuple(slice(-start % self.step, None, self.step) for start in block.start)

    def place_on_lattice(self, block: Block) -> Slices:
        """Return the place of these pixels on the lattice."""
        spans = zip(block.start, block.stop, strict=True)
        return tuple(slice(-(-start // self.step), -(-stop // self.step)) for start, stop in spans)


@dataclass(frozen=True)
class LimitsSearch:
    """What is known after some passes. Numbers are held as keys, see `_radix_selection`.

    The last axis of ``low``, ``high`` and ``below`` is for the values that the first percentile lies between and those
    that the second does. They are found where ``low`` equals ``high``.
    """

    extremes: NDArray[np.uint64]  # (channels, 2): smallest and largest value
    outside: NDArray[np.int8]  # (channels, 2): INSIDE, SHARP or SOFT
    sampled: NDArray[np.bool_]  # (channels,): whether the next pass gathers the lattice to judge padding
    n: NDArray[np.int64]  # (channels,): pixels that are not padding; -1: not counted yet
    ends: NDArray[np.uint64]  # (channels, 2): smallest and largest value that is not padding
    low: NDArray[np.uint64]  # (channels, 4)
    high: NDArray[np.uint64]  # (channels, 4)
    below: NDArray[np.int64]  # (channels, 4): pixels that are not padding, with a value below ``low``

    @classmethod
    def start(cls, request: LimitsRequest) -> Self:
        """Return the search before the first pass."""
        n = request.n_channels
        ends = np.tile(np.array([0, np.iinfo(key_dtype(request.dtype)).max], dtype=np.uint64), (n, 1))
        outside, sampled = np.zeros((n, 2), dtype=np.int8), np.zeros(n, dtype=bool)
        known = cls(ends, outside, sampled, np.zeros(n, dtype=np.int64), ends, *_no_intervals(n))
        for c in range(n):
            known.restart(c)
        return known

    @classmethod
    def from_arrays(cls, arrays: Record) -> Self:
        """Return the search that `as_arrays` was called on."""
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})

    def as_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the fields by name, for a file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def copy(self) -> Self:
        """Return a search that can be changed."""
        return type(self).from_arrays({name: array.copy() for name, array in self.as_arrays().items()})

    @property
    def is_done(self) -> bool:
        """Whether the limits are known."""
        return not self.sampled.any() and bool((self.low == self.high).all() and (self.n >= 0).all())

    @property
    def is_constant(self) -> bool:
        """Whether every channel has one value."""
        return bool((self.extremes[:, 0] == self.extremes[:, 1]).all())

    def interval(self, channel: int, k: int) -> Interval:
        """Return the keys among which the value ``k`` of a channel is."""
        at = channel, k
        return Interval(int(self.low[at]), int(self.high[at]), int(self.below[at]))

    def open_intervals(self, channel: int) -> list[Interval]:
        """Return the intervals of a channel that a pass has to count, each once."""
        intervals = (self.interval(channel, k) for k in range(self.low.shape[1]))
        return list(dict.fromkeys(interval for interval in intervals if interval.low < interval.high))

    def set_interval(self, channel: int, k: int, interval: Interval) -> None:
        """Set what `interval` returns."""
        self.low[channel, k], self.high[channel, k], self.below[channel, k] = (
            interval.low,
            interval.high,
            interval.below,
        )

    def restart(self, channel: int) -> None:
        """Search the values of a channel among all."""
        self.n[channel] = -1
        self.ends[channel] = self.extremes[channel]
        low, high = (int(key) for key in self.extremes[channel])
        for k in range(self.low.shape[1]):
            self.set_interval(channel, k, Interval(low, high))

    def ranks(self, channel: int, percents: tuple[float, float]) -> Ranks:
        """Return the ranks of two percentiles of a channel."""
        return find_ranks(int(self.n[channel]), *percents)

    def values(self, channel: int, request: LimitsRequest) -> tuple[Any, Any]:
        """Return the smallest and the largest value of a channel."""
        smallest, largest = from_keys(self.extremes[channel], request.dtype)
        return smallest, largest

    def padding(self, channel: int, request: LimitsRequest) -> tuple[End, ...]:
        """Return the ends of the values of a channel that are padding."""
        places = zip(self.values(channel, request), self.outside[channel], strict=True)
        return tuple(End(value, bool(place == SOFT)) for value, place in places if place != INSIDE)

    def limits(self, request: LimitsRequest) -> Limits | None:
        """Return the limits, where `is_done`; None for a constant image."""
        if self.is_constant:
            return None
        percents = request.percents
        if percents is None:
            return fixed_limits(request.rule, request.n_channels)
        found = []
        for c in range(request.n_channels):
            values, ends = (from_keys(keys, request.dtype) for keys in (self.low[c], self.ends[c]))
            span = (float(ends[0]), float(ends[1])) if self.outside[c].any() else (-np.inf, np.inf)
            weight = self.ranks(c, percents).weight
            found.append((*interpolate(values[0::2], values[1::2], weight, ends), *span))
        return Limits(*np.array(found).T)


def _no_intervals(n: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64]]:
    return np.zeros((n, 4), dtype=np.uint64), np.zeros((n, 4), dtype=np.uint64), np.zeros((n, 4), dtype=np.int64)
