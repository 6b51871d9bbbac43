"""The flow check: the distance between given flows and those of the masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks, _diffusion
from flowseg._flows.targets import PIXELS_PER_SECOND, split_axes, split_objects
from flowseg._labels.components import Components, find_components, touches_border
from flowseg._system.parallel import run_parts
from flowseg._system.threads import interruptibly, size_of


def compare_flows(
    objects: Components, chosen: NDArray[np.intp], flows: NDArray[np.float32], workers: int
) -> NDArray[np.float64]:
    """Return the flow errors of the chosen objects (others: 0) without storing their own flows."""
    errors = np.zeros(objects.n)

    def work(part: NDArray[np.intp], interrupt: NDArray[np.int32]) -> int:
        return _diffusion.compute_flow_errors(objects.image, objects.boxes, part, flows, errors, interrupt)

    parts, seconds = split_objects(objects, chosen, None)
    run_parts(work, parts, workers, seconds=seconds)
    return errors


def compare_flows_of_image(
    objects: Components,
    chosen: NDArray[np.intp],
    flows: NDArray[np.float32],
    workers: int,
    shape: tuple[int, ...] | None = None,
) -> NDArray[np.float64]:
    """Do the same where a volume may have one plane: it has the flows of a 2-D image.

    ``shape`` is that of the whole image, if ``objects`` are in a part of it.
    """
    axes, others = split_axes(shape or objects.image.shape) if len(flows) == objects.image.ndim else ([], [])
    if not others:
        return compare_flows(objects, chosen, flows, workers)
    order = np.array(others + axes)
    image = objects.image.reshape([objects.image.shape[axis] for axis in order])
    boxes = np.ascontiguousarray(objects.boxes[:, np.append(order, order + 3)])
    plane = Components(image, boxes, objects.sizes, objects.first)
    errors = compare_flows(plane, chosen, flows[axes].reshape(len(axes), *image.shape), workers)
    across = np.bincount(objects.image.ravel(), (flows[others].astype(np.float64) ** 2).ravel(), objects.n + 1)[1:]
    errors[chosen] += (across / objects.sizes)[chosen]
    return errors


def pass_flow_check(
    objects: Components, flows: NDArray[np.float32], keep: NDArray[np.bool_], max_error: float, workers: int
) -> NDArray[np.bool_]:
    """Return which objects pass the flow check; those not in ``keep`` and those at the border do."""
    chosen = np.flatnonzero(keep & ~touches_border(objects))
    errors = compare_flows_of_image(objects, chosen, flows, workers)
    passed = np.ones(objects.n, dtype=bool)
    passed[chosen] = errors[chosen] <= max_error
    return passed


def flow_errors(masks: ArrayLike, flows: ArrayLike, *, workers: int | None = None) -> NDArray[np.float64]:
    """Return the flow error of every object: how far given flows are from those of the masks.

    Parameters
    ----------
    masks : array_like of int, shape (rows, columns) or (planes, rows, columns)
        Label image.
    flows : array_like of float, shape (ndim, ...)
        Flows of unit length, for example predicted by a network.
    workers : int, optional
        Number of threads. By default all cores.

    Returns
    -------
    errors : ndarray of float64, shape (n_objects,)
        Mean over the pixels of each object of the squared length of the difference, in the order of increasing label.
        0 where flows agree, 4 where they are opposite.

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
    components = find_components(labels)
    if components.n == 0:
        return np.zeros(0)
    volume = array.reshape(-1, *components.image.shape)
    errors = compare_flows_of_image(components, np.arange(components.n), volume, workers)
    # The error of a label in several components is the mean over all its pixels.
    _, index = np.unique(labels.ravel()[components.first], return_inverse=True)
    return np.bincount(index, errors * components.sizes) / np.bincount(index, components.sizes)
