"""The flow check: how far given flows are from those that the masks have."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks, _diffusion
from flowseg._flows.targets import NO_FLOWS, PIXELS_PER_SECOND, _share_out
from flowseg._labels.components import Pieces, find_pieces
from flowseg._system.parallel import run_parts
from flowseg._system.threads import interruptibly, size_of


def compare_flows(
    pieces: Pieces, chosen: NDArray[np.intp], flows: NDArray[np.float32], workers: int
) -> NDArray[np.float64]:
    """Flow errors of the chosen pieces (others: 0), without storing their own flows."""
    ndim = flows.shape[0]
    errors = np.zeros(pieces.n)

    def work(part: NDArray[np.intp], stop: NDArray[np.int32]) -> int:
        return _diffusion.diffuse(pieces.image, pieces.boxes, part, ndim, np.ones(3), -1, NO_FLOWS, flows, errors, stop)

    parts, seconds = _share_out(pieces, chosen, None)
    run_parts(work, parts, workers, seconds=seconds)
    return errors


def flow_errors(masks: ArrayLike, flows: ArrayLike, *, workers: int | None = None) -> NDArray[np.float64]:
    """How far given flows are from those that the masks have.

    Parameters
    ----------
    masks : array_like of int, shape (rows, columns) or (planes, rows, columns)
        Label image.
    flows : array_like of float, shape (ndim, ...)
        Flows of unit length, for example predicted ones.
    workers : int, optional
        Number of threads; by default all cores.

    Returns
    -------
    errors : ndarray of float64, shape (n_objects,)
        Per object, in the order of increasing label, the mean over its pixels of the squared length of
        the difference: 0 where both agree, 4 where they are opposite.

    Raises
    ------
    TypeError, ValueError
        If masks or flows cannot be used, or do not fit each other.

    Examples
    --------
    >>> import flowseg
    >>> _, masks = flowseg.synthetic.cells((64, 64), 3, rng=0)
    >>> flows = flowseg.masks_to_flows(masks)
    >>> flowseg.flow_errors(masks, -flows).round(1)
    array([4., 4., 4.])
    """
    threads = _checks.as_workers(workers)
    return interruptibly(_flow_errors, masks, flows, threads, seconds=size_of(masks) / PIXELS_PER_SECOND)


def _flow_errors(masks: ArrayLike, flows: ArrayLike, workers: int) -> NDArray[np.float64]:
    labels = _checks.as_masks(masks)
    array = _checks.as_flows(flows)
    _checks.check_same_shape(array.shape, (labels.ndim, *labels.shape), "flows", "one component per axis of masks")
    pieces = find_pieces(labels)
    if pieces.n == 0:
        return np.zeros(0)
    errors = compare_flows(pieces, np.arange(pieces.n), array.reshape(-1, *pieces.image.shape), workers)
    # A label in several pieces has the mean of their errors by pixel.
    _, index = np.unique(labels.ravel()[pieces.first], return_inverse=True)
    return np.bincount(index, errors * pieces.sizes) / np.bincount(index, pieces.sizes)
