"""Directions of vectors in an image that the network has seen at other proportions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Pixels of which vectors are turned at a time: their lengths are all that is kept beside the outputs.
BAND_PIXELS = 1 << 20


def straighten(outputs: NDArray[np.float32], vectors: slice | None, factors: Sequence[float]) -> None:
    """Turn vectors from the network's lattice into the image, in place; their lengths stay.

    A network that has seen an image scaled by other factors along other axes gives directions between the pixels that
    it has seen. One of them leads ``1 / factor`` times as many pixels of the image along each axis.

    Where all factors are equal nothing is done. Every pixel is treated by itself, so that windows of the outputs can
    be straightened one by one.

    Parameters
    ----------
    outputs : ndarray of float32, shape (rows, columns, n_outputs) or (planes, rows, columns, n_outputs)
        Outputs in the size of the image; changed.
    vectors : slice or None
        Outputs that form a vector, in the order of the axes; None: there is none.
    factors : sequence of float
        Factor that the image was scaled by along each axis.
    """
    if vectors is None or len(set(factors)) == 1:
        return
    n_rows = max(1, BAND_PIXELS // max(1, int(np.prod(outputs.shape[1:-1]))))
    for start in range(0, outputs.shape[0], n_rows):
        components = np.moveaxis(outputs[start : start + n_rows, ..., vectors], -1, 0)
        before = _lengths(components)
        for component, factor in zip(components, factors, strict=True):
            component /= np.float32(factor)
        after = _lengths(components)
        scale = np.divide(before, after, out=np.ones_like(before), where=after > 0)
        for component in components:
            component *= scale


def _lengths(components: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the length of each vector, added up component by component: the same in any memory layout."""
    squares = components[0] * components[0]
    for component in components[1:]:
        squares += component * component
    lengths: NDArray[np.float32] = np.sqrt(squares, out=squares)
    return lengths
