"""From flows to masks: follow the flows; pixels that meet are one object."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks, _diffusion
from flowseg._flows.basins import find_basins, join_unparted
from flowseg._flows.cleanup import keep_objects, one_piece_each
from flowseg._flows.flow_check import compare_flows
from flowseg._labels.components import Pieces, renumber, touches_border
from flowseg._labels.holes import fill_holes as without_holes
from flowseg._system.threads import interruptibly, size_of

# To guess the time: pixels per second, of which few may be foreground.
PIXELS_PER_SECOND = 1e7


def flows_to_masks(
    flows: ArrayLike,
    cellprob: ArrayLike,
    *,
    cellprob_threshold: float = 0.0,
    flow_threshold: float | None = 0.4,
    min_size: int = 15,
    n_iter: int | None = None,
    fill_holes: bool = False,
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
        Number of steps for every pixel. By default a pixel walks until it settles or comes to where all pixels around
        it are known to end together.
    fill_holes : bool
        Whether holes in objects are filled (see `fill_holes`); objects inside a hole stay. Off by default.
    workers : int, optional
        Number of threads; by default all cores. The result is the same for every number.

    Returns
    -------
    masks : ndarray of int32, shape (...)
        0 is background; objects are numbered 1..n without gaps, in raster order of their first pixels.
        Each is one connected piece.

    Raises
    ------
    TypeError, ValueError
        If flows or cellprob cannot be used (not finite, not numbers), do not fit each other, or a parameter is
        out of range.

    Notes
    -----
    Pixels whose ends lie on the same pixel form a basin. Two basins that touch are one object if, on average over their
    common border, the flows on its two sides agree (their dot product is more than half the mean squared flow of the
    basin that has less) or meet (the components of their directions across the border differ by more than 0.5,
    pointing at each other); where two objects touch, flows part. This replaces the fixed counts of the original
    recipe [1]_ and mends what noise breaks: spurious places where flows end.

    Of an object in several pieces the largest stays; each of the others goes to the object that it touches along most
    pixel faces, or to the background where it touches none.

    An object that the image's border cuts has its centre elsewhere than its visible part has, often outside:
    networks learn to point there, so that their flows disagree with those of the visible mask though both
    are right. This is why such objects are not checked.

    References
    ----------
    .. [1] C. Stringer, T. Wang, M. Michaelos, M. Pachitariu, "Cellpose: a generalist algorithm for cellular
       segmentation", Nature Methods 18, 100-106 (2021).

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
    threshold = _checks.as_number(cellprob_threshold, "cellprob_threshold", low=-np.inf)
    max_error = _checks.as_number(flow_threshold, "flow_threshold", low=0.0, none="no flow check")
    smallest = _checks.as_integer(min_size, "min_size", minimum=0)
    steps = _checks.as_integer(n_iter, "n_iter", minimum=0, none="until all points have settled")
    threads = _checks.as_workers(workers)
    _checks.check_flag(fill_holes, "fill_holes")
    seconds = size_of(cellprob) / PIXELS_PER_SECOND
    masks = interruptibly(_find_masks, flows, cellprob, threshold, max_error, smallest, steps, threads, seconds=seconds)
    return without_holes(masks) if fill_holes else masks


def _find_masks(
    flows: ArrayLike,
    cellprob: ArrayLike,
    threshold: float,
    max_error: float | None,
    smallest: int,
    n_iter: int | None,
    workers: int,
) -> NDArray[np.int32]:
    """The same with arguments that have been checked but for the arrays."""
    array = _checks.as_flows(flows)
    logits = _checks.as_cellprob(cellprob, array.shape[1:])
    volume = (1,) * (3 - logits.ndim) + logits.shape
    flows_3d = array.reshape(-1, *volume)
    state = np.zeros(volume, dtype=np.int32)
    if _diffusion.mark_foreground(logits.reshape(volume), threshold, state) == 0:
        return state.reshape(logits.shape)
    n = find_basins(flows_3d, state, n_iter, workers)
    renumber(state, join_unparted(flows_3d, state, n), n)
    objects = one_piece_each(flows_3d, state)
    keep = objects.sizes >= max(smallest, 1)
    if max_error is not None:
        keep &= _agree(objects, flows_3d, keep, max_error, workers)
    return keep_objects(objects, keep).image.reshape(logits.shape)


def _agree(
    objects: Pieces, flows: NDArray[np.float32], keep: NDArray[np.bool_], max_error: float, workers: int
) -> NDArray[np.bool_]:
    """Whether each object passes the flow check, as far as it is worth one."""
    chosen = np.flatnonzero(keep & ~touches_border(objects))
    errors = compare_flows(objects, chosen, flows, workers)
    passed = np.ones(objects.n, dtype=bool)
    passed[chosen] = errors[chosen] <= max_error
    return passed
