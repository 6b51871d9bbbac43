"""Outputs of a network that are kept tile by tile, and read window by window."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._nets.scaled_view import ScaledView, Window
from flowseg._nets.tiles import Grid, Interval, Tile, cut_axes, empty_outputs

ReadTile = Callable[[int], NDArray[np.float32]]


class TileOutputs:
    """Outputs of the size that the network saw, made of the cores of its tiles.

    Parameters
    ----------
    seen : tuple of int
        Shape of the image as the network saw it, without channels.
    grid : Grid
        The network's tile grid.
    n_outputs : int
        Numbers per pixel.
    read_tile : callable
        Returns the core of a tile by its number, shape (rows, columns, n_outputs).
    """

    def __init__(self, seen: tuple[int, ...], grid: Grid, n_outputs: int, read_tile: ReadTile) -> None:
        self.axes = cut_axes(seen, grid)
        self.shape = (*seen, n_outputs)
        self._n_parts = tuple(map(len, self.axes))
        self._read_tile = read_tile

    @property
    def n_tiles(self) -> int:
        """Number of tiles."""
        return math.prod(self._n_parts)

    def tile(self, index: int) -> Tile:
        """Return a tile by its number; tiles are numbered in raster order."""
        return tuple(axis[k] for axis, k in zip(self.axes, np.unravel_index(index, self._n_parts), strict=True))

    def __getitem__(self, window: tuple[slice, ...]) -> NDArray[np.float32]:
        """Return a window: a slice with start and stop along each axis."""
        bounds = [part.indices(n)[:2] for part, n in zip(window, self.shape[:-1], strict=True)]
        found = empty_outputs((*(stop - start for start, stop in bounds), self.shape[-1]))
        touched = (_touched(axis, *one) for axis, one in zip(self.axes, bounds, strict=True))
        for parts in product(*touched):
            index = int(np.ravel_multi_index([k for k, _ in parts], self._n_parts))
            overlaps = [_overlap(interval, *one) for (_, interval), one in zip(parts, bounds, strict=True)]
            core = self._read_tile(index)
            found[tuple(in_window for in_window, _ in overlaps)] = core[tuple(in_core for _, in_core in overlaps)]
        return found

    def read(self, shape: tuple[int, ...], window: Window) -> NDArray[np.float32]:
        """Return a window of the outputs scaled back to an image of ``shape``, as `_nets.inference` scales them."""
        if shape == self.shape[:-1]:
            return self[tuple(slice(*bounds) for bounds in window)]
        return ScaledView(self, shape).read(window)


def _touched(intervals: list[Interval], start: int, stop: int) -> list[tuple[int, Interval]]:
    return [(k, one) for k, one in enumerate(intervals) if one.core_start < stop and one.core_stop > start]


def _overlap(interval: Interval, start: int, stop: int) -> tuple[slice, slice]:
    """Return the part of a core that lies in a window: its place in the window, and in the core."""
    first, last = max(interval.core_start, start), min(interval.core_stop, stop)
    return slice(first - start, last - start), slice(first - interval.core_start, last - interval.core_start)


def as_planes(outputs: NDArray[Any], n_flows: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return flows, shape (n_flows, planes, rows, columns), and cellprob, contiguous; an image is one plane."""
    channels = np.ascontiguousarray(np.moveaxis(outputs, -1, 0), dtype=np.float32)
    channels = channels.reshape(-1, *[1] * (4 - channels.ndim), *channels.shape[1:])
    return channels[:n_flows], channels[n_flows]
