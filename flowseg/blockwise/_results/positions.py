"""Areas, centers and boxes of objects, summed over blocks in integers: no order of addition matters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flowseg._labels.diameters import size_column
from flowseg._labels.measure import LENGTH_SUFFIX, SUFFIXES, Table
from flowseg._labels.overlaps import number_objects


@dataclass(frozen=True)
class Positions:
    """Where the objects of a label image, or of a block of one, are.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
        Labels, increasing.
    areas : ndarray of int64, shape (n,)
        Pixels.
    sums : ndarray of int64, shape (n, ndim)
        Sums of the coordinates of all pixels along each axis.
    boxes : ndarray of int64, shape (n, 2 * ndim)
        First coordinate along each axis, and those after the last.
    """

    labels: NDArray[np.int64]
    areas: NDArray[np.int64]
    sums: NDArray[np.int64]
    boxes: NDArray[np.int64]

    @property
    def n(self) -> int:
        """Number of objects."""
        return int(self.labels.size)

    @property
    def ndim(self) -> int:
        """Axes of the image."""
        return int(self.sums.shape[1])

    @property
    def centroids(self) -> NDArray[np.float64]:
        """Mean coordinate along each axis, shape (n, ndim)."""
        return np.asarray(self.sums / self.areas[:, np.newaxis])

    def as_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name, for a file."""
        return {"labels": self.labels, "areas": self.areas, "sums": self.sums, "boxes": self.boxes}

    def columns(self, pixel_size: tuple[float, ...] | None = None) -> Table:
        """Return the columns of `measure` that need no more than positions.

        ``pixel_size`` is the length of a pixel along each axis in micrometers, for columns in micrometers.
        """
        size = size_column(self.ndim)
        table: Table = {"label": self.labels, size: self.areas}
        table |= {f"bbox-{k}": self.boxes[:, k] for k in range(2 * self.ndim)}
        table |= {f"centroid-{k}": self.centroids[:, k] for k in range(self.ndim)}
        if pixel_size is not None:
            table[f"{size}{SUFFIXES[size]}"] = self.areas * math.prod(pixel_size)
            table |= {f"centroid{LENGTH_SUFFIX}-{k}": self.centroids[:, k] * pixel_size[k] for k in range(self.ndim)}
        return table


def positions_in(labels: NDArray[Any], corner: Sequence[int]) -> Positions:
    """Return the positions of the objects in a block, whose first pixel is ``corner`` in the image."""
    values, number, areas = number_objects(labels)
    n, ndim = values.size, labels.ndim
    sums, boxes = np.zeros((n, ndim), dtype=np.int64), np.zeros((n, 2 * ndim), dtype=np.int64)
    for axis in range(ndim):
        along = np.arange(labels.shape[axis], dtype=np.float64).reshape((-1, *[1] * (ndim - 1 - axis)))
        weights = np.broadcast_to(along, labels.shape).ravel()
        # Exact: sums in one block are far below 2 ** 53.
        within = np.bincount(number, weights, minlength=n + 1)[1:].astype(np.int64)
        sums[:, axis] = within + areas * corner[axis]
    for k, box in enumerate(ndimage.find_objects(number.reshape(labels.shape))):
        boxes[k] = [*(part.start for part in box), *(part.stop for part in box)]
    return Positions(values.astype(np.int64), areas, sums, boxes + np.array([*corner, *corner]))


def join_positions(parts: Iterable[Positions], ndim: int) -> Positions:
    """Return the positions in an image of ``ndim`` axes from those in its blocks."""
    every = [part for part in parts if part.n]
    if not every:
        return Positions(*(np.zeros(shape, dtype=np.int64) for shape in ((0,), (0,), (0, ndim), (0, 2 * ndim))))
    labels = np.concatenate([part.labels for part in every])
    order = np.argsort(labels, kind="stable")
    labels = labels[order]
    starts = np.flatnonzero(np.append(True, labels[1:] != labels[:-1]))
    low, high = np.split(np.concatenate([part.boxes for part in every])[order], 2, axis=1)
    return Positions(
        labels[starts],
        np.add.reduceat(np.concatenate([part.areas for part in every])[order], starts),
        np.add.reduceat(np.concatenate([part.sums for part in every])[order], starts),
        np.concatenate([np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)], axis=1),
    )


def positions_of_record(record: Mapping[str, NDArray[Any]]) -> Positions:
    """Return what `Positions.as_arrays` returned."""
    return Positions(record["labels"], record["areas"], record["sums"], record["boxes"])
