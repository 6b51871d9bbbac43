"""Small versions of images of any size and of their labels, for pictures of both."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._image_files.ome_zarr.images import OmeZarrImage, find_image
from flowseg._image_files.ome_zarr.nodes import join
from flowseg._image_files.selection import ALL, Selection
from flowseg.blockwise._stores.open_source import open_source
from flowseg.blockwise._stores.source import Source

# Longest side of a thumbnail in pixels: about that of a screen.
LONGEST_SIDE = 2000
# Rows and columns that are averaged at a time.
PART = 2048


def make_thumbnail(
    image: Source, labels: str | os.PathLike[str], selection: Selection = ALL, *, longest: int = LONGEST_SIDE
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return image and labels, reduced by the power of two that makes the longest side fit.

    Levels of a pyramid are read where there are any of that size. Otherwise pixels of the image are averaged, and of
    the labels every n-th one is taken. Of a volume the middle plane is shown, at full resolution between planes: in a
    projection outlines of objects would lie over each other.

    Parameters
    ----------
    image : Source
        The image.
    labels : path
        OME-Zarr of its labels.
    selection : Selection
        What `image` was selected by.
    longest : int
        Pixels that no side exceeds.

    Returns
    -------
    picture : ndarray, shape (rows, columns) or (rows, columns, channels)
    labels : ndarray of int, shape (rows, columns)
    """
    halvings = 0
    while -(-max(image.shape[-3:-1]) // 2**halvings) > longest:
        halvings += 1
    if image.ndim == 3:
        stored = open_source(os.fspath(labels), ndim=3)
        picture, reduced = _average(image, 2**halvings), _take(stored, 2**halvings)
        return picture[..., 0] if image.n_channels == 1 else picture, reduced[..., 0]
    shape = tuple(-(-n // 2**halvings) for n in image.shape[:-1])
    level = None if image.group is None else _level(find_image(image.group, selection.scene), shape)
    picture = _average(image, 2**halvings) if level is None else _whole(open_source(level, selection))
    found = _level(find_image(os.fspath(labels)), shape)
    reduced = _take(open_source(os.fspath(labels)), 2**halvings) if found is None else _whole(open_source(found))
    return picture[..., 0] if picture.shape[2] == 1 else picture, reduced[..., 0]


def _level(image: OmeZarrImage, shape: tuple[int, ...]) -> str | None:
    """Return the path of the level of this many rows and columns."""
    if image.multiscale is None or image.group is None:
        return None
    for dataset in image.multiscale.datasets:
        path = join(image.group, dataset.path)
        array = find_image(path).array
        if tuple(array.shape[image.axes.index(name)] for name in "YX") == shape:
            return path
    return None


def _read(source: Source, rows: slice, columns: slice) -> NDArray[Any]:
    """Return rows and columns of an image, or of the middle plane of a volume, with channels."""
    if source.ndim == 2:
        return source.read(rows, columns)
    middle = source.shape[0] // 2
    return np.asarray(source.read(slice(middle, middle + 1), rows, columns)[0])


def _whole(source: Source) -> NDArray[Any]:
    rows, columns = source.shape[-3:-1]
    return _read(source, slice(0, rows), slice(0, columns))


def _average(source: Source, factor: int) -> NDArray[Any]:
    """Return the means of squares of pixels; those at the end are smaller."""
    if factor == 1:
        return _whole(source)
    reduced = _empty(source, factor, np.dtype(np.float32))
    for place, part in _parts(source, factor):
        reduced[place] = _means(_means(part.astype(np.float64), factor, 0), factor, 1)
    return reduced


def _means(array: NDArray[np.float64], factor: int, axis: int) -> NDArray[np.float64]:
    starts = np.arange(0, array.shape[axis], factor)
    lengths = np.diff(np.append(starts, array.shape[axis]))
    shape = [-1 if k == axis else 1 for k in range(array.ndim)]
    return np.asarray(np.add.reduceat(array, starts, axis=axis) / lengths.reshape(shape))


def _take(source: Source, factor: int) -> NDArray[Any]:
    """Return every n-th pixel of every n-th row."""
    reduced = _empty(source, factor, source.dtype)
    for place, part in _parts(source, factor):
        reduced[place] = part[::factor, ::factor]
    return reduced


def _empty(source: Source, factor: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    rows, columns, channels = source.shape[-3:]
    return np.zeros((-(-rows // factor), -(-columns // factor), channels), dtype=dtype)


def _parts(source: Source, factor: int) -> Iterator[tuple[tuple[slice, slice], NDArray[Any]]]:
    """Yield parts that cover an image, with their places in one that is reduced by a factor."""
    rows, columns, _ = source.shape[-3:]
    step = max(PART // factor, 1) * factor
    for top in range(0, rows, step):
        for left in range(0, columns, step):
            bottom, right = min(top + step, rows), min(left + step, columns)
            place = slice(top // factor, -(-bottom // factor)), slice(left // factor, -(-right // factor))
            yield place, _read(source, slice(top, bottom), slice(left, right))
