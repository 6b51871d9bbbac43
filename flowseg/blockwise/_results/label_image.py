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
from flowseg._image_files.ome_zarr.images import find_image
from flowseg._image_files.ome_zarr.nodes import is_url
from flowseg._image_files.selection import ALL, Selection, choose_part
from flowseg._image_files.volumes import name_stack
from flowseg.blockwise._regions import BlockGrid, with_planes
from flowseg.blockwise._results.positions import Positions, join_positions, positions_in
from flowseg.blockwise._stores.open_source import open_source
from flowseg.blockwise._stores.source import Source, Window

# Side of a block in pixels, about, of images and of volumes: whole chunks are read.
BLOCK_SIZES = {2: 2048, 3: 160}


@dataclass(frozen=True)
class ObjectWindow:
    """A window that shows some objects whole, and nothing else.

    Parameters
    ----------
    corner : tuple of int
        First pixel in the image.
    labels : ndarray of int
        Label image of the window.
    index : ndarray of int, shape (n,)
        Which objects of `LabelImage.positions` it shows, increasing.
    """

    corner: tuple[int, ...]
    labels: NDArray[Any]
    index: NDArray[np.intp]

    @property
    def slices(self) -> Window:
        """Place in the image."""
        return tuple(slice(start, start + n) for start, n in zip(self.corner, self.labels.shape, strict=True))


class LabelImage:
    """A label image or volume of which windows are read.

    Parameters
    ----------
    source : Source
        Image of one channel.
    block_size : int, optional
        Side of the blocks that are read, in pixels; the results do not depend on it.
    """

    def __init__(self, source: Source, block_size: int | None = None) -> None:
        self.source = source
        self.shape = source.shape[:-1]
        side = BLOCK_SIZES[source.ndim]
        if block_size is None:
            size = tuple(max(chunk, side // chunk * chunk) for chunk in _readable(source.chunks, side))
        else:
            size = (block_size,) * source.ndim
        self.grid = BlockGrid(with_planes(self.shape), with_planes(size))

    def read(self, window: Window) -> NDArray[Any]:
        """Return a window, with the axes of the image."""
        return as_label_image(self.source.read(*window)[..., 0], self.source.location)

    def blocks(self) -> Iterator[Window]:
        """Yield the places of all blocks."""
        for index in range(self.grid.n):
            yield self.grid[index].slices[-len(self.shape) :]

    @cached_property
    def positions(self) -> Positions:
        """Areas, centers and boxes of all objects; the image is read once."""
        ndim = len(self.shape)
        return join_positions(
            (positions_in(self.read(window), [part.start for part in window]) for window in self.blocks()), ndim
        )

    def windows(self) -> Iterator[ObjectWindow]:
        """Yield windows that show every object once.

        Objects no larger than a block are shown together with others of their block. So a window has at most two blocks
        along each axis, or is the box of one larger object.
        """
        ndim = len(self.shape)
        low, high = np.split(self.positions.boxes, 2, axis=1)
        is_large = (high - low > self.grid.size[-ndim:]).any(axis=1)
        owner = self.grid.block_of(np.pad(low, ((0, 0), (3 - ndim, 0))).T)
        small = np.flatnonzero(~is_large)
        small = small[np.argsort(owner[small], kind="stable")]
        groups = np.split(small, np.flatnonzero(np.diff(owner[small])) + 1) if small.size else []
        for index in [*groups, *np.flatnonzero(is_large)[:, np.newaxis]]:
            corner, end = low[index].min(axis=0).tolist(), high[index].max(axis=0).tolist()
            labels = self.read(tuple(map(slice, corner, end)))
            shown = np.isin(labels, self.positions.labels[index])
            yield ObjectWindow(tuple(corner), np.where(shown, labels, 0), index)


def _readable(chunks: tuple[int, ...], side: int) -> tuple[int, ...]:
    """Return chunks for blocks of this side: planes that are stored whole are not read whole."""
    return chunks if len(chunks) == 2 else tuple(chunk if chunk <= 2 * side else side for chunk in chunks)


def open_label_image(
    location: Path | str, selection: Selection = ALL, *, ndim: int | None = None, block_size: int | None = None
) -> LabelImage:
    """Open a label image or volume of any size: an OME-Zarr, or a file that `flowseg.io.read_image` reads.

    Parameters
    ----------
    location : path
        Where it is.
    selection : Selection
        Which part of it to read.
    ndim : int, optional
        Its axes, 2 or 3; by default 3 if its planes are named Z, and none of them is selected.
    block_size : int, optional
        See `LabelImage`.

    Raises
    ------
    TypeError, ValueError
        If it has several channels, or is not of integers.
    """
    axes = _count_axes(location, selection) if ndim is None else ndim
    source = open_source(location, selection, ndim=axes, n_channels=1)
    if source.dtype.kind not in "iu":
        raise TypeError(f"{source.location} must hold integers to be labels; it has {source.dtype}.")
    return LabelImage(source, block_size)


def _count_axes(location: Path | str, selection: Selection) -> int:
    if is_url(str(location)):
        names = choose_part(find_image(str(location), selection.scene).as_source(), selection).axes
    else:
        names = name_stack(location, selection)
    return 3 if "Z" in names else 2
