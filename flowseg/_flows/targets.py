"""From masks to flows: the training target, and how far given flows are from it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks, _diffusion
from flowseg._labels.components import Pieces, find_pieces
from flowseg._system.parallel import run_parts, split_by_cost
from flowseg._system.threads import check_canceled, interruptibly, size_of

# Objects are shared out over threads in at most so many parts of equal cost, whatever the number of threads, and of at
# least so many seconds (a guess), since a part has a price too.
N_PARTS = 32
SECONDS_PER_PART = 0.0005

# To guess the time of all but the diffusion.
PIXELS_PER_SECOND = 3e7

# To guess the time: what a core does, and what a pixel costs besides its updates, in updates.
UPDATES_PER_SECOND = 4e9
PIXEL_COST = 100
RIM = 2

# What kernels get in the place of flows that they are not to write or not to read.
NO_FLOWS = np.empty((0, 0, 0, 0), dtype=np.float32)


def masks_to_flows(
    masks: ArrayLike,
    *,
    n_iter: int | None = None,
    spacing: ArrayLike | None = None,
    workers: int | None = None,
) -> NDArray[np.float32]:
    """Directions that lead every pixel of every object to the object's centre.

    Heat spreads from the centre of each object inside this object only; the flow is the unit gradient of the
    logarithm of the heat.

    Parameters
    ----------
    masks : array_like of int, shape (rows, columns) or (planes, rows, columns)
        Label image: 0 is background, k is object k. Any integer dtype, any numbers, gaps allowed; negative
        pixels are taken as background. A label in several pieces is taken as several objects.
    n_iter : int, optional
        Number of diffusion iterations for every object. By default each object has its own: twice the sum of
        its extents, in pixels.
    spacing : sequence of float, optional
        Distance between neighbouring pixels along each axis, in any unit, for images with planes further apart
        than columns. By default 1 along every axis. Flows are directions in pixels whatever the spacing.
    workers : int, optional
        Number of threads; by default all cores. The result is the same for every number.

    Returns
    -------
    flows : ndarray of float32, shape (ndim, ...)
        One component per axis, in the order of the axes (row before column). Unit length inside objects, 0
        outside. Only a centre may be 0 inside an object.

    Raises
    ------
    TypeError
        If `masks` is not of integers.
    ValueError
        If `masks` has another number of axes, no pixel, or is a binary 0/255 mask.

    See Also
    --------
    flows_to_masks : the way back.

    Notes
    -----
    For one object: the centre is its pixel nearest to the per-axis median of its coordinates (the first in raster
    order where several are). ``n_iter`` times, add 1 to the heat of the centre, then replace the heat by its mean
    over the box of 3 pixels along each axis, kept on the object's pixels only. The flow is the central difference
    of log(1 + heat), with 0 outside the object, divided by its norm [1]_. Objects never exchange heat and no
    difference is read across a border. Where no heat arrives, in objects that are long and thin or curled, the
    flow is the mean direction of the shortest ways inside the object; where they cancel, the first of them in raster
    order. Apart from this and from the choice of the centre, flows do not depend on how the image is flipped or
    transposed.

    With `spacing`, an axis of larger spacing passes on less heat, by the square of the ratio to the
    smallest spacing, and the gradient is taken per unit of distance.

    References
    ----------
    .. [1] C. Stringer, T. Wang, M. Michaelos, M. Pachitariu, "Cellpose: a generalist algorithm for cellular
       segmentation", Nature Methods 18, 100-106 (2021).

    Examples
    --------
    >>> import numpy as np
    >>> import flowseg
    >>> masks = np.zeros((5, 7), dtype=np.uint8)
    >>> masks[1:4, 1:6] = 1
    >>> flows = flowseg.masks_to_flows(masks)
    >>> flows.shape
    (2, 5, 7)
    >>> flows[:, 2, 1]  # left of the centre: no rows to go, columns to the right
    array([0., 1.], dtype=float32)
    """
    iterations = _checks.as_integer(n_iter, "n_iter", minimum=1, none="twice each object's extent")
    threads = _checks.as_workers(workers)

    def work() -> NDArray[np.float32]:
        array = _checks.as_masks(masks)
        distances = _checks.as_spacing(spacing, array.ndim)
        return _diffuse(find_pieces(array), array.ndim, iterations, distances, threads)

    return interruptibly(work, seconds=size_of(masks) / PIXELS_PER_SECOND)


def make_flows(masks: NDArray[Any], workers: int) -> NDArray[np.float32]:
    """`masks_to_flows` of an image that has been checked before (a part of it may look binary)."""
    return _diffuse(find_pieces(masks), masks.ndim, None, np.ones(masks.ndim), workers)


def _diffuse(
    pieces: Pieces, ndim: int, n_iter: int | None, spacing: NDArray[np.float64], workers: int
) -> NDArray[np.float32]:
    """The flows of all pieces."""
    flows = np.zeros((ndim, *pieces.image.shape), dtype=np.float32)
    steps = -1 if n_iter is None else n_iter
    distances = np.concatenate([np.ones(3 - ndim), spacing / spacing.min()])

    def work(part: NDArray[np.intp], stop: NDArray[np.int32]) -> int:
        return _diffusion.diffuse(
            pieces.image, pieces.boxes, part, ndim, distances, steps, flows, NO_FLOWS, np.empty(0), stop
        )

    parts, seconds = _share_out(pieces, np.flatnonzero(pieces.sizes > 1), n_iter)  # one pixel has no flow
    run_parts(work, parts, workers, seconds=seconds)
    return flows.reshape((ndim, *pieces.image.shape[3 - ndim :]))


def _share_out(pieces: Pieces, chosen: NDArray[np.intp], n_iter: int | None) -> tuple[list[NDArray[np.intp]], float]:
    """The chosen pieces in parts of about equal cost, and a guess of the seconds that all take."""
    extent = pieces.boxes[chosen, 3:] - pieces.boxes[chosen, :3]
    updates = (extent + RIM).prod(axis=1) * (2.0 * (extent - 1).sum(axis=1) if n_iter is None else float(n_iter))
    costs = updates + PIXEL_COST * pieces.sizes[chosen]
    check_canceled()
    seconds = float(costs.sum()) / UPDATES_PER_SECOND
    n_parts = int(np.clip(seconds / SECONDS_PER_PART, 1, N_PARTS))
    return [chosen[part] for part in split_by_cost(costs, n_parts)], seconds
