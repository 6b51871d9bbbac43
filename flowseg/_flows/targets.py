"""From masks to flows: the target of the training."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks, _diffusion
from flowseg._labels.components import Components, find_components
from flowseg._system.parallel import run_parts, split_by_cost
from flowseg._system.threads import check_canceled, interruptibly, size_of

# Parts that the objects of an image are split into, and seconds that a part takes at least. Source: chosen; enough for
# many threads, and none so small that its call costs more than its work.
N_PARTS = 32
SECONDS_PER_PART = 0.0005

# Estimates of the time, to split work evenly; results do not depend on them. Source: rough figures for one core.
PIXELS_PER_SECOND = 3e7  # of an image, without the diffusion
UPDATES_PER_SECOND = 4e9  # a pixel in one iteration is an update
PIXEL_COST = 100  # of a pixel besides its updates, in updates
RIM = 2  # pixels around an object, along each axis


def masks_to_flows(
    masks: ArrayLike,
    *,
    n_iter: int | None = None,
    spacing: ArrayLike | None = None,
    workers: int | None = None,
) -> NDArray[np.float32]:
    """Compute the flows of masks: directions that lead every pixel of an object to the object's center.

    Heat spreads from the center of each object inside this object only. The flow is the unit gradient of the logarithm
    of the heat.

    Parameters
    ----------
    masks : array_like of int, shape (rows, columns) or (planes, rows, columns)
        Label image: 0 is background, k is object k. Any integer dtype, any numbers, gaps allowed. Negative pixels are
        background. Every connected component of a label is an object.
    n_iter : int, optional
        Number of diffusion iterations for every object. By default twice the sum of the object's extents, in pixels.
    spacing : sequence of float, optional
        Distance between neighboring pixels along each axis, in any unit, for images whose planes are further apart
        than their columns. By default 1 along every axis. Flows are directions in pixels for every spacing.
    workers : int, optional
        Number of threads. By default all cores. The result is the same for every number.

    Returns
    -------
    flows : ndarray of float32, shape (ndim, ...)
        One component per axis, row before column. Unit length inside objects, 0 outside. Inside an object only its
        center may be 0.

    Raises
    ------
    TypeError
        If `masks` is not of integers.
    ValueError
        If `masks` has another number of axes, no pixel, or is a binary 0/255 mask.

    See Also
    --------
    flows_to_masks : Masks from flows.

    Notes
    -----
    The center of an object is its pixel nearest to the per-axis median of its coordinates, and of several the first in
    raster order. ``n_iter`` times, 1 is added to the heat of the center, then the heat is replaced by its mean
    over the box of 3 pixels along each axis, kept on the object's pixels only. The flow is the central difference of
    log(1 + heat), with 0 outside the object, divided by its norm [1]_. Objects never exchange heat.

    A volume of one plane, row or column has the flows of the 2-D image that it is, and 0 along the axis of one pixel.

    Heat may not reach all of an object that is long and thin or curled. There the flow is the mean direction of the
    shortest paths inside the object; where they cancel, the first of them in raster order. Apart from this and from the
    choice of the center, flows do not depend on whether the image is flipped or transposed.

    With `spacing`, less heat spreads along an axis of larger spacing, by the square of the ratio to the smallest
    spacing, and the gradient is taken per unit of distance.

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
    >>> flows[:, 2, 1]  # left of the center: points to the right
    array([0., 1.], dtype=float32)
    """
    iterations = _checks.as_integer(n_iter, "n_iter", minimum=1, none="twice each object's extent")
    threads = _checks.as_workers(workers)

    def work() -> NDArray[np.float32]:
        array = _checks.as_masks(masks)
        return _compute_flows(array, iterations, _checks.as_spacing(spacing, array.ndim), threads)

    return interruptibly(work, seconds=size_of(masks) / PIXELS_PER_SECOND)


def masks_to_flows_unchecked(masks: NDArray[Any], workers: int) -> NDArray[np.float32]:
    """Compute the flows of checked masks; a part of an image may look binary, which `masks_to_flows` refuses."""
    return _compute_flows(masks, None, np.ones(masks.ndim), workers)


def split_axes(shape: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Return the axes of an image that count and the others: a volume of one plane is a 2-D image."""
    others = [axis for axis, n in enumerate(shape) if n == 1][: len(shape) - 2]
    return [axis for axis in range(len(shape)) if axis not in others], others


def _compute_flows(
    masks: NDArray[Any], n_iter: int | None, spacing: NDArray[np.float64], workers: int
) -> NDArray[np.float32]:
    axes, others = split_axes(masks.shape)
    found = _diffuse(find_components(masks.squeeze(tuple(others))), len(axes), n_iter, spacing[axes], workers)
    if not others:
        return found
    flows = np.zeros((masks.ndim, *masks.shape), dtype=np.float32)
    flows[axes] = found.reshape(len(axes), *masks.shape)
    return flows


def _diffuse(
    components: Components, ndim: int, n_iter: int | None, spacing: NDArray[np.float64], workers: int
) -> NDArray[np.float32]:
    """Compute the flows of all components."""
    flows = np.zeros((ndim, *components.image.shape), dtype=np.float32)
    steps = -1 if n_iter is None else n_iter
    distances = np.concatenate([np.ones(3 - ndim), spacing / spacing.min()])

    def work(part: NDArray[np.intp], interrupt: NDArray[np.int32]) -> int:
        return _diffusion.compute_flows(components.image, components.boxes, part, distances, steps, flows, interrupt)

    parts, seconds = split_objects(components, np.flatnonzero(components.sizes > 1), n_iter)  # one pixel has no flow
    run_parts(work, parts, workers, seconds=seconds)
    return flows.reshape((ndim, *components.image.shape[3 - ndim :]))


def split_objects(
    objects: Components, chosen: NDArray[np.intp], n_iter: int | None
) -> tuple[list[NDArray[np.intp]], float]:
    """Split the chosen objects into parts of about equal cost; return them and the estimated seconds of all."""
    extent = objects.boxes[chosen, 3:] - objects.boxes[chosen, :3]
    updates = (extent + RIM).prod(axis=1) * (2.0 * (extent - 1).sum(axis=1) if n_iter is None else float(n_iter))
    costs = updates + PIXEL_COST * objects.sizes[chosen]
    check_canceled()
    seconds = float(costs.sum()) / UPDATES_PER_SECOND
    n_parts = int(np.clip(seconds / SECONDS_PER_PART, 1, N_PARTS))
    return [chosen[part] for part in split_by_cost(costs, n_parts)], seconds
