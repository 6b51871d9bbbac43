"""Connected components of a label image, with their boxes, sizes and first pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _diffusion
from flowseg._system.threads import check_canceled

# Components of one image. Source: they are numbered in 32 bits, and arrays hold one entry more.
MAX_COMPONENTS = 2**31 - 2


@dataclass(frozen=True)
class Components:
    """Objects 1..n of an image of three axes; a 2-D image is one plane."""

    image: NDArray[np.int32]
    boxes: NDArray[np.intp]  # (n, 6): first and past-the-end coordinates
    sizes: NDArray[np.intp]  # (n,): number of pixels
    first: NDArray[np.intp]  # (n,): flat index of the first pixel

    @property
    def n(self) -> int:
        """Number of objects."""
        return len(self.sizes)


def find_components(masks: NDArray[Any]) -> Components:
    """Return the connected components of every label, numbered 1..n in raster order.

    Pixels that share a corner are connected. Labels may be any integers; 0 and below are background.
    """
    labels = _as_unsigned(masks)
    image = np.zeros(labels.shape, dtype=np.int32)
    parent, _, n, _ = _number_components(labels, int(np.iinfo(masks.dtype).max), image)
    return renumber(image, parent, n)


def number_components(labels: NDArray[np.integer]) -> NDArray[np.int32]:
    """Return a label image whose objects are the connected components of every label, 1..n in raster order."""
    return find_components(labels).image.reshape(labels.shape)


def split_into_components(labels: NDArray[np.int32]) -> tuple[Components, NDArray[np.int32]]:
    """Replace labels of three axes, 0 or above, by their connected components; return these and the label of each."""
    parent, label_of, n, last = _number_components(labels.view(np.uint32), np.iinfo(np.int32).max, labels)
    label = np.empty(n, dtype=np.int32)
    label[parent[1 : last + 1] - 1] = label_of[1 : last + 1]
    return renumber(labels, parent, n), label


def _number_components(
    labels: NDArray[Any], limit: int, image: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[Any], int, int]:
    """Return parents and labels of provisional numbers, the number of components, and the last provisional number."""
    n_runs = _diffusion.count_runs(labels, limit)
    check_canceled()
    if n_runs > MAX_COMPONENTS:
        raise ValueError(f"masks must have at most {MAX_COMPONENTS} objects; got up to {n_runs}.")
    parent = np.empty(n_runs + 1, dtype=np.int32)
    label_of = np.empty(n_runs + 1, dtype=labels.dtype)
    return parent, label_of, *_diffusion.find_components(labels, limit, image, parent, label_of)


def renumber(image: NDArray[np.int32], number: NDArray[np.int32], n: int) -> Components:
    """Replace every pixel k by ``number[k]``, 0..n, in place; return the objects that result."""
    check_canceled()
    boxes = np.empty((n, 6), dtype=np.intp)
    sizes = np.zeros(n, dtype=np.intp)
    first = np.empty(n, dtype=np.intp)
    _diffusion.renumber(image, number, boxes, sizes, first)
    check_canceled()
    return Components(image, boxes, sizes, first)


def _as_unsigned(masks: NDArray[Any]) -> NDArray[Any]:
    """Return the same bits as unsigned integers of three axes: negative labels become the largest."""
    native = np.require(masks, masks.dtype.newbyteorder("="), ["C_CONTIGUOUS", "ALIGNED"])
    return native.view(f"u{masks.dtype.itemsize}").reshape((1,) * (3 - masks.ndim) + masks.shape)


def touches_border(objects: Components) -> NDArray[np.bool_]:
    """Return which objects reach the image's border, along axes of more than one pixel."""
    shape = np.array(objects.image.shape)
    at_border = (objects.boxes[:, :3] == 0) | (objects.boxes[:, 3:] == shape)
    return np.asarray((at_border & (shape > 1)).any(axis=1))
