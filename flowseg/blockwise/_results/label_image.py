"""A label image of any size, of which windows are read, and the objects in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._image_files.labels import as_label_image
from flowseg._image_files.selection import ALL, Selection
from flowseg.blockwise._regions import BlockGrid
from flowseg.blockwise._results.positions import Positions, join_positions, positions_in
from flowseg.blockwise._stores.open_source import open_source
from flowseg.blockwise._stores.source import Source

# Side of a block in pixels, about: whole chunks are read.
BLOCK_SIZE = 2048


@dataclass(frozen=True)
class ObjectWindow:
    """A window that shows some objects whole, and nothing else.

    Parameters
    ----------
    corner : (int, int)
        First row and column in the image.
    labels : ndarray of int, shape (rows, columns)
        Label image of the window.
    index : ndarray of int, shape (n,)
        Which objects of `LabelImage.positions` it shows, increasing.
    """

    corner: tuple[int, int]
    labels: NDArray[Any]
    index: NDArray[np.intp]

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns in the image."""
        (top, left), (height, width) = self.corner, self.labels.shape
        return slice(top, top + height), slice(left, left + width)


class LabelImage:
    """A label image of which windows are read.

    Parameters
    ----------
    source : Source
        Image of one channel.
    block_size : int, optional
        Side of the blocks that are read, in pixels; the results do not depend on it.
    """

    def __init__(self, source: Source, block_size: int | None = None) -> None:
        self.source = source
        self.shape = source.shape[:2]
        if block_size is None:
            rows, columns = (max(chunk, BLOCK_SIZE // chunk * chunk) for chunk in source.chunks)
        else:
            rows = columns = block_size
        self.grid = BlockGrid((1, *self.shape), (1, rows, columns))

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Return a window, shape (rows, columns)."""
        return as_label_image(self.source.read(rows, columns)[..., 0], self.source.location)

    def blocks(self) -> Iterator[tuple[slice, slice]]:
        """Yield rows and columns of all blocks."""
        for index in range(self.grid.n):
            _, rows, columns = self.grid[index].slices
            yield rows, columns

    @cached_property
    def positions(self) -> Positions:
        """Areas, centers and boxes of all objects; the image is read once."""
        return join_positions(
            positions_in(self.read(rows, columns), (rows.start, columns.start)) for rows, columns in self.blocks()
        )

    def windows(self) -> Iterator[ObjectWindow]:
        """Yield windows that show every object once.

        Objects no larger than a block are shown together with others of their block. So a window has at most two by two
        blocks, or is the box of one larger object.
        """
        boxes, (_, height, width) = self.positions.boxes, self.grid.size
        sides = boxes[:, 2:] - boxes[:, :2]
        is_large = (sides > (height, width)).any(axis=1)
        corners = np.concatenate([np.zeros((boxes.shape[0], 1), dtype=np.int64), boxes[:, :2]], axis=1)
        owner = self.grid.block_of(corners.T)
        small = np.flatnonzero(~is_large)
        small = small[np.argsort(owner[small], kind="stable")]
        groups = np.split(small, np.flatnonzero(np.diff(owner[small])) + 1) if small.size else []
        for index in [*groups, *np.flatnonzero(is_large)[:, np.newaxis]]:
            top, left = (int(n) for n in boxes[index, :2].min(axis=0))
            bottom, right = (int(n) for n in boxes[index, 2:].max(axis=0))
            labels = self.read(slice(top, bottom), slice(left, right))
            shown = np.isin(labels, self.positions.labels[index])
            yield ObjectWindow((top, left), np.where(shown, labels, 0), index)


def open_label_image(location: Path | str, selection: Selection = ALL, *, block_size: int | None = None) -> LabelImage:
    """Open a label image of any size: an OME-Zarr, or a file that `flowseg.io.read_image` reads.

    Raises
    ------
    TypeError, ValueError
        If it has several channels, or is not of integers.
    """
    source = open_source(location, selection, n_channels=1)
    if source.dtype.kind not in "iu":
        raise TypeError(f"{source.location} must hold integers to be labels; it has {source.dtype}.")
    return LabelImage(source, block_size)
