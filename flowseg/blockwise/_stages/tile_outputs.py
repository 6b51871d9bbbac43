"""Outputs of a network that are kept tile by tile, and read window by window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._nets.scaled_view import ScaledView
from flowseg._nets.tiles import Grid, Interval, Tile, cut_axis, empty_outputs

ReadTile = Callable[[int], NDArray[np.float32]]


class TileOutputs:
    """Outputs of the size that the network saw, made of the cores of its tiles.

    Parameters
    ----------
    seen : tuple of int
        Rows and columns of the image as the network saw it.
    grid : Grid
        The network's tile grid.
    n_outputs : int
        Numbers per pixel.
    read_tile : callable
        Returns the core of a tile by its number, shape (rows, columns, n_outputs).
    """

    def __init__(self, seen: tuple[int, int], grid: Grid, n_outputs: int, read_tile: ReadTile) -> None:
        self.rows, self.columns = (cut_axis(n, grid) for n in seen)
        self.shape = (*seen, n_outputs)
        self._read_tile = read_tile

    @property
    def n_tiles(self) -> int:
        """Number of tiles."""
        return len(self.rows) * len(self.columns)

    def tile(self, index: int) -> Tile:
        """Return a tile by its number; tiles are numbered row by row."""
        row, column = divmod(index, len(self.columns))
        return Tile(self.rows[row], self.columns[column])

    def __getitem__(self, window: tuple[slice, slice]) -> NDArray[np.float32]:
        """Return a window of rows and columns."""
        (top, bottom), (left, right) = (part.indices(n)[:2] for part, n in zip(window, self.shape[:2], strict=True))
        found = empty_outputs((bottom - top, right - left, self.shape[2]))
        for i, rows in _touched(self.rows, top, bottom):
            for j, columns in _touched(self.columns, left, right):
                core = self._read_tile(i * len(self.columns) + j)
                found[_overlap(rows, top, bottom)[0], _overlap(columns, left, right)[0]] = core[
                    _overlap(rows, top, bottom)[1], _overlap(columns, left, right)[1]
                ]
        return found

    def read(self, shape: tuple[int, int], rows: slice, columns: slice) -> NDArray[np.float32]:
        """Return a window of the outputs scaled back to an image of ``shape``, as `_nets.inference` scales them."""
        if shape == self.shape[:2]:
            return self[rows, columns]
        return ScaledView(self, shape).read((rows.start, rows.stop), (columns.start, columns.stop))


def _touched(intervals: list[Interval], start: int, stop: int) -> list[tuple[int, Interval]]:
    return [(k, one) for k, one in enumerate(intervals) if one.core_start < stop and one.core_stop > start]


def _overlap(interval: Interval, start: int, stop: int) -> tuple[slice, slice]:
    """Return the part of a core that lies in a window: its place in the window, and in the core."""
    first, last = max(interval.core_start, start), min(interval.core_stop, stop)
    return slice(first - start, last - start), slice(first - interval.core_start, last - interval.core_start)


def as_planes(outputs: NDArray[Any], n_flows: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return flows, shape (n_flows, 1, rows, columns), and cellprob, shape (1, rows, columns), contiguous."""
    channels = np.ascontiguousarray(np.moveaxis(outputs, -1, 0), dtype=np.float32)[:, np.newaxis]
    return channels[:n_flows], channels[n_flows]
