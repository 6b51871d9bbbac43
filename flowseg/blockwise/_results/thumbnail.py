"""Small versions of images of any size and of their labels, for pictures of both."""

from __future__ import annotations

import os
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
    the labels every n-th one is taken.

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
    while -(-max(image.shape[:2]) // 2**halvings) > longest:
        halvings += 1
    shape = tuple(-(-n // 2**halvings) for n in image.shape[:2])
    level = None if image.group is None else _level(find_image(image.group, selection.scene), shape)
    picture = _average(image, 2**halvings) if level is None else _whole(open_source(level, selection))
    stored = _level(find_image(os.fspath(labels)), shape)
    reduced = _take(open_source(os.fspath(labels)), 2**halvings) if stored is None else _whole(open_source(stored))
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


def _whole(source: Source) -> NDArray[Any]:
    return source.read(slice(0, source.shape[0]), slice(0, source.shape[1]))


def _average(source: Source, factor: int) -> NDArray[Any]:
    """Return the means of squares of pixels; those at the end are smaller."""
    if factor == 1:
        return _whole(source)
    rows, columns, channels = source.shape
    reduced = np.zeros((-(-rows // factor), -(-columns // factor), channels), dtype=np.float32)
    step = max(PART // factor, 1) * factor
    for top in range(0, rows, step):
        for left in range(0, columns, step):
            part = source.read(slice(top, min(top + step, rows)), slice(left, min(left + step, columns)))
            means = _means(_means(part.astype(np.float64), factor, 0), factor, 1)
            height, width = means.shape[:2]
            reduced[top // factor : top // factor + height, left // factor : left // factor + width] = means
    return reduced


def _means(array: NDArray[np.float64], factor: int, axis: int) -> NDArray[np.float64]:
    starts = np.arange(0, array.shape[axis], factor)
    lengths = np.diff(np.append(starts, array.shape[axis]))
    shape = [-1 if k == axis else 1 for k in range(array.ndim)]
    return np.asarray(np.add.reduceat(array, starts, axis=axis) / lengths.reshape(shape))


def _take(source: Source, factor: int) -> NDArray[Any]:
    """Return every n-th pixel of every n-th row."""
    rows, columns, channels = source.shape
    reduced = np.zeros((-(-rows // factor), -(-columns // factor), channels), dtype=source.dtype)
    step = max(PART // factor, 1) * factor
    for top in range(0, rows, step):
        for left in range(0, columns, step):
            part = source.read(slice(top, min(top + step, rows)), slice(left, min(left + step, columns)))
            taken = part[::factor, ::factor]
            height, width = taken.shape[:2]
            reduced[top // factor : top // factor + height, left // factor : left // factor + width] = taken
    return reduced
