"""From flows to masks: follow the flows; pixels that meet are one object."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from skimage.measure import label as connected_pieces

from flowseg import _checks, _diffusion
from flowseg._flows import flow_errors
from flowseg._parallel import map_ranges

# Points handled by one call of the kernel.
POINTS_PER_CALL = 8192


def follow_flows(
    flows: ArrayLike, foreground: ArrayLike, *, n_iter: int | None = None, workers: int | None = None
) -> NDArray[np.float32]:
    """Where every foreground pixel ends when it follows the flows.

    Parameters
    ----------
    flows : array_like of float, shape (ndim, ...)
        Direction to take at each pixel, in pixels per step, row before column. No step is longer than one pixel.
    foreground : array_like of bool or int, shape (...)
        Pixels to start from; flows elsewhere count as 0.
    n_iter : int, optional
        Number of steps. By default every point goes on until it has settled: until it stays within one pixel of a
        place for 16 steps or comes back to one; its end is then the mean of the places since.
    workers : int, optional
        Number of threads; by default all cores. The result is the same for every number.

    Returns
    -------
    endpoints : ndarray of float32, shape (ndim, n_points)
        In pixels, in the order of ``numpy.nonzero(foreground)``.

    Notes
    -----
    Euler steps of the flow interpolated linearly between pixel centres: at whole coordinates the flow of this
    very pixel counts. Points are held inside the image.

    Examples
    --------
    >>> import numpy as np
    >>> import flowseg
    >>> masks = np.zeros((7, 7), dtype=int)
    >>> masks[1:6, 1:6] = 1
    >>> ends = flowseg.follow_flows(flowseg.masks_to_flows(masks), masks)
    >>> bool(np.all(np.abs(ends - 3) < 1))  # all 25 at the centre
    True
    """
    array = _checks.as_flows(flows)
    inside = _checks.as_foreground(foreground, array.shape[1:])
    steps = _checks.as_integer(n_iter, "n_iter", minimum=0, none="until all points have settled")
    return _follow(array, inside, steps, _checks.as_workers(workers))


def _follow(
    flows: NDArray[np.float32], inside: NDArray[np.bool_], n_iter: int | None, workers: int
) -> NDArray[np.float32]:
    ndim = inside.ndim
    field = np.ascontiguousarray(np.where(inside, flows, np.float32(0)).reshape(ndim, -1).T)
    pixels = np.flatnonzero(inside)
    endpoints = np.empty((ndim, pixels.size), dtype=np.float32)
    shape = np.array(inside.shape, dtype=np.intp)
    steps = -1 if n_iter is None else n_iter

    def work(start: int, stop: int) -> None:
        _diffusion.follow(field, shape, pixels, steps, endpoints, start, stop)

    map_ranges(work, pixels.size, workers, size=POINTS_PER_CALL)
    return endpoints


def flows_to_masks(
    flows: ArrayLike,
    cellprob: ArrayLike,
    *,
    cellprob_threshold: float = 0.0,
    flow_threshold: float | None = 0.4,
    min_size: int = 15,
    n_iter: int | None = None,
    workers: int | None = None,
) -> NDArray[np.int32]:
    """Masks of the objects that flows and foreground describe.

    Parameters
    ----------
    flows : array_like of float, shape (ndim, ...)
        Directions of unit length, row before column.
    cellprob : array_like of float, shape (...)
        Logit of "this pixel is in an object".
    cellprob_threshold : float
        Pixels with a larger `cellprob` are foreground; 0.0 is a probability of 0.5.
    flow_threshold : float, optional
        Objects with a flow error above this are dropped (see `flow_errors`); None switches the check off. Objects
        that touch the image's border are not checked.
    min_size : int
        Objects of fewer pixels are dropped.
    n_iter : int, optional
        Number of steps; by default until all points have settled.
    workers : int, optional
        Number of threads; by default all cores. The result is the same for every number.

    Returns
    -------
    masks : ndarray of int32, shape (...)
        0 is background; objects are numbered 1..n without gaps, in raster order of their first pixels.
        Each is one connected piece.

    Notes
    -----
    Points whose ends lie on the same pixel, or on pixels at most two apart by way of others, are one object. Of an
    object in several pieces the largest stays; each of the others goes to the object that it touches along most
    pixel edges, or to the background where it touches none.

    An object that the image's border cuts has its centre elsewhere than its visible part has, often outside:
    networks learn to point there, so that their flows disagree with those of the visible mask though both
    are right. This is why such objects are not checked.

    Examples
    --------
    >>> import numpy as np
    >>> import flowseg
    >>> _, masks = flowseg.synthetic.cells((96, 96), 8, rng=0)
    >>> flows = flowseg.masks_to_flows(masks)
    >>> cellprob = np.where(masks > 0, 5.0, -5.0)
    >>> flowseg.flows_to_masks(flows, cellprob).max() == masks.max()
    np.True_
    """
    array = _checks.as_flows(flows)
    logits = _checks.as_cellprob(cellprob, array.shape[1:])
    threshold = _checks.as_number(cellprob_threshold, "cellprob_threshold", low=-np.inf)
    max_error = _checks.as_number(flow_threshold, "flow_threshold", low=0.0, none="no flow check")
    smallest = _checks.as_integer(min_size, "min_size", minimum=0)
    steps = _checks.as_integer(n_iter, "n_iter", minimum=0, none="until all points have settled")
    threads = _checks.as_workers(workers)

    inside = logits > threshold
    masks = np.zeros(inside.shape, dtype=np.int32)
    if not inside.any():
        return masks
    endpoints = _follow(array, inside, steps, threads)
    masks[inside] = _group(endpoints, inside.shape)
    masks = _one_piece_each(masks)
    keep = np.bincount(masks.ravel()) >= max(smallest, 1)
    if max_error is not None:
        masks = _keep_labels(masks, keep)  # too small anyway: not worth a check
        keep = _touches_border(masks)
        keep[0] = True
        to_check = np.where(keep[masks], 0, masks)
        keep[~keep] = flow_errors(to_check, array, workers=threads) <= max_error
    return _in_raster_order(_keep_labels(masks, keep))


def _group(endpoints: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Number the end points' groups from 1."""
    n_missing = 3 - len(shape)
    ends = np.zeros((3, endpoints.shape[1]), dtype=np.int32)
    np.rint(endpoints, out=ends[n_missing:], casting="unsafe")
    node = np.zeros((1,) * n_missing + shape, dtype=np.int32)
    groups = np.empty(endpoints.shape[1], dtype=np.int32)
    if _diffusion.group(ends, node, groups) < 0:
        raise MemoryError("flows_to_masks ran out of memory.")
    return groups + 1


def _one_piece_each(masks: NDArray[np.int32]) -> NDArray[np.int32]:
    """Keep the largest piece of each object; give the others to the object they touch most, or drop them."""
    pieces = connected_pieces(masks, connectivity=masks.ndim)
    sizes = np.bincount(pieces.ravel())
    n_pieces = sizes.size - 1
    object_of = np.zeros(n_pieces + 1, dtype=np.int64)
    object_of[pieces] = masks
    # The pieces by object, then by size: the last of each object is its largest.
    order = np.lexsort((-np.arange(n_pieces + 1), sizes, object_of))
    last = np.flatnonzero(np.diff(object_of[order], append=object_of.max() + 1))
    is_main = np.zeros(n_pieces + 1, dtype=bool)
    is_main[order[last]] = True
    is_main[0] = False
    new = np.where(is_main, np.arange(n_pieces + 1), 0)
    stray, touched = _most_touched(pieces, is_main)
    new[stray] = touched
    return _compact(new[pieces])


def _most_touched(pieces: NDArray[Any], is_main: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Pairs (stray piece, the main piece that it shares most pixel faces with; the first of equals)."""
    pairs = []
    for axis in range(pieces.ndim):
        a = np.moveaxis(pieces, axis, 0)[:-1].ravel()
        b = np.moveaxis(pieces, axis, 0)[1:].ravel()
        border = (a != b) & (a > 0) & (b > 0)
        a, b = a[border], b[border]
        pairs += [np.stack([a, b]), np.stack([b, a])]
    stray, main = np.concatenate(pairs, axis=1)
    wanted = ~is_main[stray] & is_main[main]
    if not wanted.any():
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp)
    (stray, main), counts = np.unique(np.stack([stray[wanted], main[wanted]]), axis=1, return_counts=True)
    order = np.lexsort((main, -counts, stray))
    first = np.unique(stray[order], return_index=True)[1]
    return stray[order][first], main[order][first]


def _touches_border(masks: NDArray[np.int32]) -> NDArray[np.bool_]:
    """For every label from 0, whether it reaches the image's border."""
    touches = np.zeros(int(masks.max()) + 1, dtype=bool)
    for axis in (a for a in range(masks.ndim) if masks.shape[a] > 1):
        for end in (0, -1):
            touches[np.take(masks, end, axis=axis)] = True
    return touches


def _keep_labels(masks: NDArray[np.int32], keep: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Drop the objects that are not to be kept and close the gaps."""
    new = np.zeros(keep.size, dtype=np.int32)
    new[1:] = np.where(keep[1:], np.cumsum(keep[1:]), 0)
    return new[masks]


def _compact(masks: NDArray[Any]) -> NDArray[np.int32]:
    present = np.bincount(masks.ravel()) > 0
    return _keep_labels(masks, present)


def _in_raster_order(masks: NDArray[np.int32]) -> NDArray[np.int32]:
    """Number objects 1..n by their first pixels."""
    labels, first = np.unique(masks, return_index=True)
    objects = labels > 0
    new = np.zeros(masks.max() + 1, dtype=np.int32)
    new[labels[objects][np.argsort(first[objects])]] = np.arange(1, np.count_nonzero(objects) + 1)
    return new[masks]
