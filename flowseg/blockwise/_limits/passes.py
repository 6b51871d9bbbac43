"""Limits of the intensities of an image in blocks: those of the whole image, bit for bit.

The first pass over the blocks has the extremes and counts of values. It is the only one for integers of 16 bits without
padding. Where an extreme is frequent, the second gathers the lattice on which `_intensities` judges padding. Then come
passes that count the values of the pixels that are not padding, at most four for 64 bits.

    search = plan_next([first_pass(...) for every block], request)
    while not search.is_done:
        search = plan_next([next_pass(..., search) for every block], request, search)
    limits = search.limits(request)

A pass over a block takes memory for the block only. Its record has a few hundred kilobytes per channel at most, in the
pass that gathers the lattice the block's share of `MAX_LATTICE` pixels. Planning takes the records one at a time, and
at most 2 MB per channel, and the lattice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._intensities import Limits
from flowseg._padding import fills_enough, find_ends, mark_unpadded
from flowseg.blockwise._limits.radix_selection import Interval, as_keys, key_dtype
from flowseg.blockwise._limits.search import SHARP, SOFT, LimitsRequest, LimitsSearch, Record
from flowseg.blockwise._regions import Block

# Pixels around a block that passes after the first one need.
MARGIN = 1


def limits_of_source(read: Callable[[Block], NDArray[Any]], request: LimitsRequest) -> Limits | None:
    """Return the limits of an image of which boxes are read; None for a constant image.

    Parameters
    ----------
    read : callable
        Returns a box of the image, shape (planes, rows, columns, channels).
    request : LimitsRequest
        The image's blocks and the rule.
    """
    grid = request.grid
    blocks = [grid[index] for index in range(grid.n)]
    search = plan_next((first_pass(read(block), block, request) for block in blocks), request)
    while not search.is_done:
        now = search
        windows = ((read(block.window(MARGIN, grid.shape)), block) for block in blocks)
        search = plan_next((next_pass(window, block, request, now) for window, block in windows), request, now)
    return search.limits(request)


def first_pass(window: NDArray[Any], block: Block, request: LimitsRequest) -> dict[str, NDArray[Any]]:
    """Return the record of the first pass over a block of shape (planes, rows, columns, channels)."""
    n, lattice = request.n_channels, request.lattice_in(block)
    extremes, at_extremes = np.zeros((n, 2), dtype=np.uint64), np.zeros((n, 2), dtype=np.int64)
    search, counts = LimitsSearch.start(request), _BlockCounts(request)
    n_bad = window.size - np.count_nonzero(np.isfinite(window)) if window.dtype.kind == "f" else 0
    for c in range(n):
        keys = as_keys(window[..., c])
        found = keys.min(), keys.max()
        extremes[c] = found
        at_extremes[c] = [np.count_nonzero(keys[lattice] == key) for key in found]
        counts.add(c, keys, search.open_intervals(c))
    return {"n_bad": np.array(n_bad), "extremes": extremes, "at_extremes": at_extremes, **counts.as_arrays()}


def next_pass(
    window: NDArray[Any], block: Block, request: LimitsRequest, search: LimitsSearch
) -> dict[str, NDArray[Any]]:
    """Return the record of a further pass over a block, from ``block.window(MARGIN, grid.shape)``."""
    place = block.inside(block.window(MARGIN, request.grid.shape))
    counts, samples = _BlockCounts(request), []
    for c in range(request.n_channels):
        channel = window[..., c]
        core = channel[place]
        if search.sampled[c]:
            samples.append(core[request.lattice_in(block)])
        intervals = search.open_intervals(c)
        if intervals:
            ends = search.padding(c, request)
            counts.add(c, as_keys(core[mark_unpadded(channel, ends)[place]] if ends else core), intervals)
    record = counts.as_arrays()
    if samples:
        record["samples"] = np.stack(samples).astype(request.dtype.newbyteorder("="))
    return record


def plan_next(records: Iterable[Record], request: LimitsRequest, search: LimitsSearch | None = None) -> LimitsSearch:
    """Return what the next pass has to find, from the records of the last pass over all blocks, in their order.

    ``search`` is what that pass had to find; None after the first one. The result is done if `LimitsSearch.is_done`.

    Raises
    ------
    ValueError
        If the image is not finite, as in `predict`.
    """
    before = LimitsSearch.start(request) if search is None else search
    total, extremes, lattice = _ImageCounts(request, before), _Extremes(request), _Lattice(request, before)
    for index, record in enumerate(records):
        total.add(record)
        lattice.add(record, request.grid[index])
        if search is None:
            extremes.add(record)
    after = before.copy()
    if search is None:
        extremes.check(request)
        after.extremes[...] = extremes.values
        if after.is_constant or request.percents is None:
            return _finish(after)
        after.sampled[...] = extremes.may_be_padding(request)
    else:
        after.sampled[...] = False
    for c in range(request.n_channels):
        if lattice.is_sampled[c] and _leave_out(after, c, lattice.channel(c), request):
            after.restart(c)
        elif total.intervals[c]:
            _narrow(after, c, total, request)
    return after


def _finish(search: LimitsSearch) -> LimitsSearch:
    """Set a search to done where nothing depends on counts."""
    search.n[...] = 0
    search.low[...] = search.high[...] = search.extremes[:, :1]
    return search


def _leave_out(search: LimitsSearch, channel: int, lattice: NDArray[Any], request: LimitsRequest) -> bool:
    """Judge padding on the lattice, and return whether a channel has some."""
    values = search.values(channel, request)
    ends = find_ends(lattice, *values)
    for end in ends:
        search.outside[channel, int(end.value == values[1])] = SOFT if end.soft else SHARP
    return bool(ends)


def _narrow(search: LimitsSearch, channel: int, total: _ImageCounts, request: LimitsRequest) -> None:
    """Search the values of a channel in the bins that hold them."""
    if total.n[channel] == 0:  # every pixel is beside padding: only between the pixels of the lattice is that possible
        search.outside[channel] = np.minimum(search.outside[channel], SHARP)
        search.restart(channel)
        return
    search.n[channel], search.ends[channel] = total.n[channel], total.ends[channel]
    ranks = search.ranks(channel, request.percents or (0.0, 100.0))
    low, high = (int(key) for key in total.ends[channel])
    for k, rank in enumerate(np.stack([ranks.below, ranks.above], axis=1).ravel()):
        interval = search.interval(channel, k)
        if interval.low < interval.high:
            counts = total.counts[channel][total.intervals[channel].index(interval)]
            search.set_interval(channel, k, interval.narrow(counts, int(rank)).clip(low, high))


class _BlockCounts:
    """Counts of the values of one block, as arrays for a file."""

    def __init__(self, request: LimitsRequest) -> None:
        n = request.n_channels
        self.n = np.zeros(n, dtype=np.int64)
        self.ends = _no_ends(request)
        self.lengths: list[int] = []
        self.bins: list[NDArray[np.uint16]] = []
        self.counts: list[NDArray[np.int64]] = []

    def add(self, channel: int, keys: NDArray[Any], intervals: Sequence[Interval]) -> None:
        """Count the keys of the pixels of a channel that are not padding."""
        self.n[channel] = keys.size
        if keys.size:
            self.ends[channel] = keys.min(), keys.max()
        for interval in intervals:
            counts = interval.count(keys)
            bins = np.flatnonzero(counts)
            self.lengths.append(bins.size)
            self.bins.append(bins.astype(np.uint16))
            self.counts.append(counts[bins])

    def as_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name."""
        counts = np.concatenate([*self.counts, np.zeros(0, dtype=np.int64)])
        return {
            "n": self.n,
            "ends": self.ends,
            "lengths": np.array(self.lengths, dtype=np.int64),
            "bins": np.concatenate([*self.bins, np.zeros(0, dtype=np.uint16)]),
            "counts": counts.astype(np.min_scalar_type(int(counts.max(initial=0)))),
        }


class _ImageCounts:
    """Sums of the counts of all blocks, for every channel and interval."""

    def __init__(self, request: LimitsRequest, search: LimitsSearch) -> None:
        self.n = np.zeros(request.n_channels, dtype=np.int64)
        self.ends = _no_ends(request)
        self.intervals = [search.open_intervals(c) for c in range(request.n_channels)]
        self.counts = [[np.zeros(i.n_bins, dtype=np.int64) for i in intervals] for intervals in self.intervals]

    def add(self, record: Record) -> None:
        """Add the counts of a block."""
        self.n += record["n"]
        _widen(self.ends, record["ends"])
        flat = [counts for of_channel in self.counts for counts in of_channel]
        stops = np.cumsum(record["lengths"])
        for counts, stop, length in zip(flat, stops, record["lengths"], strict=True):
            part = slice(int(stop - length), int(stop))
            counts[record["bins"][part]] += record["counts"][part].astype(np.int64)


class _Extremes:
    """The smallest and the largest value of every channel, and how many pixels of the lattice have them."""

    def __init__(self, request: LimitsRequest) -> None:
        self.values = _no_ends(request)
        self.counts = np.zeros((request.n_channels, 2), dtype=np.int64)
        self.n_bad = 0

    def add(self, record: Record) -> None:
        """Add the first pass over a block."""
        before = self.values.copy()
        _widen(self.values, record["extremes"])
        self.counts[self.values != before] = 0
        self.counts += np.where(record["extremes"] == self.values, record["at_extremes"], 0)
        self.n_bad += int(record["n_bad"])

    def check(self, request: LimitsRequest) -> None:
        """Raise ValueError unless all values are finite."""
        _checks.check_all_finite(self.n_bad, int(np.prod(request.grid.shape)) * request.n_channels, request.name)

    def may_be_padding(self, request: LimitsRequest) -> NDArray[np.bool_]:
        """Return the channels with a value that is as frequent as padding."""
        size = int(np.prod(request.lattice_shape))
        return np.array([any(fills_enough(int(n), size) for n in channel) for channel in self.counts])


class _Lattice:
    """The pixels on which padding is judged, put together from all blocks."""

    def __init__(self, request: LimitsRequest, search: LimitsSearch) -> None:
        self.request = request
        self.is_sampled = search.sampled
        n = int(np.count_nonzero(search.sampled))
        self.values = np.empty((n, *request.lattice_shape), dtype=request.dtype.newbyteorder("="))

    def add(self, record: Record, block: Block) -> None:
        """Put the pixels of a block in their place."""
        if "samples" in record:
            self.values[(slice(None), *self.request.place_on_lattice(block))] = record["samples"]

    def channel(self, channel: int) -> NDArray[Any]:
        """Return the pixels of a channel that was sampled, with the axes of the image."""
        values = self.values[np.count_nonzero(self.is_sampled[:channel])]
        return np.asarray(values.reshape(values.shape[-self.request.ndim :]))


def _no_ends(request: LimitsRequest) -> NDArray[np.uint64]:
    """Return ends that every key widens."""
    largest = np.iinfo(key_dtype(request.dtype)).max
    return np.tile(np.array([largest, 0], dtype=np.uint64), (request.n_channels, 1))


def _widen(ends: NDArray[np.uint64], others: NDArray[np.uint64]) -> None:
    """Widen the ranges of channels by those of others."""
    np.minimum(ends[:, 0], others[:, 0], out=ends[:, 0])
    np.maximum(ends[:, 1], others[:, 1], out=ends[:, 1])
