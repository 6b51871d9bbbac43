"""The connected pieces of a label image, with their boxes, sizes and first pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _diffusion
from flowseg._system.threads import check_canceled

# Pieces are numbered in 32 bits.
MAX_PIECES = 2**31 - 2


@dataclass(frozen=True)
class Pieces:
    """Objects 1..n of an image of three axes (two-dimensional ones are one plane)."""

    image: NDArray[np.int32]
    boxes: NDArray[np.intp]  # (n, 6): first coordinates, past-the-end coordinates
    sizes: NDArray[np.intp]  # (n,): pixels
    first: NDArray[np.intp]  # (n,): flat index of the first pixel

    @property
    def n(self) -> int:
        return len(self.sizes)


def find_pieces(masks: NDArray[Any]) -> Pieces:
    """Number the connected pieces of equal label 1..n in raster order; pixels of 0 and below are background.

    Pixels that share a corner are connected. One pass over the label image, and one over the objects; labels may
    be any integers.
    """
    labels = _as_unsigned(masks)
    image = np.zeros(labels.shape, dtype=np.int32)
    parent, _, n, _ = _number_pieces(labels, int(np.iinfo(masks.dtype).max), image)
    return renumber(image, parent, n)


def split_into_pieces(labels: NDArray[np.int32]) -> tuple[Pieces, NDArray[np.int32]]:
    """The same in place, for labels of 0 and above of three axes; also the label that each piece had."""
    parent, label_of, n, last = _number_pieces(labels.view(np.uint32), np.iinfo(np.int32).max, labels)
    label = np.empty(n, dtype=np.int32)
    label[parent[1 : last + 1] - 1] = label_of[1 : last + 1]
    return renumber(labels, parent, n), label


def _number_pieces(
    labels: NDArray[Any], limit: int, image: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[Any], int, int]:
    n_runs = _diffusion.count_runs(labels, limit)
    check_canceled()
    if n_runs > MAX_PIECES:
        raise ValueError(f"masks must have at most {MAX_PIECES} objects; got up to {n_runs}.")
    parent = np.empty(n_runs + 1, dtype=np.int32)
    label_of = np.empty(n_runs + 1, dtype=labels.dtype)
    return parent, label_of, *_diffusion.find_pieces(labels, limit, image, parent, label_of)


def renumber(image: NDArray[np.int32], number: NDArray[np.int32], n: int) -> Pieces:
    """Write ``number[k]``, of 0..n, over every pixel of label k, in place, and measure the result."""
    check_canceled()
    boxes = np.empty((n, 6), dtype=np.intp)
    sizes = np.zeros(n, dtype=np.intp)
    first = np.empty(n, dtype=np.intp)
    _diffusion.renumber(image, number, boxes, sizes, first)
    check_canceled()
    return Pieces(image, boxes, sizes, first)


def _as_unsigned(masks: NDArray[Any]) -> NDArray[Any]:
    """The same bits as unsigned integers of three axes: negative labels become the largest."""
    native = np.require(masks, masks.dtype.newbyteorder("="), ["C_CONTIGUOUS", "ALIGNED"])
    return native.view(f"u{masks.dtype.itemsize}").reshape((1,) * (3 - masks.ndim) + masks.shape)


def touches_border(pieces: Pieces) -> NDArray[np.bool_]:
    """For every object, whether it reaches the image's border (along axes of more than one pixel)."""
    shape = np.array(pieces.image.shape)
    at_border = (pieces.boxes[:, :3] == 0) | (pieces.boxes[:, 3:] == shape)
    return (at_border & (shape > 1)).any(axis=1)
