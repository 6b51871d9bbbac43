"""From flows to masks: pixels whose flows lead to one sink are one object."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks, _diffusion
from flowseg._flows.basins import find_basins
from flowseg._flows.cleanup import keep_largest_components, keep_objects
from flowseg._flows.flow_check import pass_flow_check
from flowseg._flows.joining import join_basins
from flowseg._labels.components import renumber
from flowseg._labels.holes import fill_holes as without_holes
from flowseg._system.threads import interruptibly, size_of

# Speed in pixels per second, to estimate the time. Source: a rough figure for one core, with little foreground.
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
    """Return the masks of the objects that flows and foreground describe.

    Parameters
    ----------
    flows : array_like of float, shape (ndim, ...)
        Directions of unit length, row before column.
    cellprob : array_like of float, shape (...)
        Logit of "this pixel is in an object".
    cellprob_threshold : float
        Pixels with a larger `cellprob` are foreground; 0.0 is a probability of 0.5.
    flow_threshold : float, optional
        Objects with a flow error above this are dropped, see `flow_errors`. None switches the check off. Objects that
        touch the image's border are not checked.
    min_size : int
        Objects of fewer pixels are dropped.
    n_iter : int, optional
        Number of steps for every pixel. By default pixels lead from one to the next until they come back, see Notes.
    fill_holes : bool
        Whether holes in objects are filled, see `fill_holes`. Objects inside a hole stay.
    workers : int, optional
        Number of threads. By default all cores. The result is the same for every number.

    Returns
    -------
    masks : ndarray of int32, shape (...)
        0 is background. Objects are numbered 1..n without gaps, in raster order of their first pixels.
        Each is one connected component.

    Raises
    ------
    TypeError, ValueError
        If flows or cellprob cannot be used (not finite, not numbers), do not fit each other, or a parameter is
        out of range.

    Notes
    -----
    The successor of a pixel is the foreground pixel nearest to where a short path along the flow comes to. The path
    ends 2.5 pixels from its start, or after 16 steps. Pixels that lead to the same cycle of successors form a basin.
    With `n_iter`, pixels whose endpoints lie on the same pixel do.

    Two basins that touch are joined if the flows on the two sides of their common border agree or converge, on average
    over the border. They agree if their dot product is more than half the mean squared flow of the basin that has less;
    flows longer than 1 count as 1 long, those shorter than 1/256 as 1/256. They converge if the components of their
    directions across the border differ by more than 0.5, pointing at each other. Where two objects touch, flows part.
    Pairs that are the best of both are joined first, and then borders with a third basin count as one. This rule takes
    the place of the fixed counts of the original recipe [1]_, and joins the spurious sinks that noise makes.

    Successors, basins and joins depend on their surroundings only. A cut through an image changes no object far from
    it.

    Of an object in several components the largest stays. Each of the others is merged into the object that it touches
    along most pixel faces, or dropped if it touches none.

    An object that the image's border cuts often has its center outside the image. Networks learn to point there, so
    that their flows differ from those of the visible mask, though both are right. So such objects are not checked.

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
    >>> bool(flowseg.flows_to_masks(flows, cellprob).max() == masks.max())
    True
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
    """Return the masks, after a check of the arrays; the other arguments have been checked."""
    array = _checks.as_flows(flows)
    logits = _checks.as_cellprob(cellprob, array.shape[1:])
    volume = (1,) * (3 - logits.ndim) + logits.shape
    flows_3d = array.reshape(-1, *volume)
    state = np.zeros(volume, dtype=np.int32)
    if _diffusion.mark_foreground(logits.reshape(volume), threshold, state) == 0:
        return state.reshape(logits.shape)
    n = find_basins(flows_3d, state, n_iter, workers)
    renumber(state, join_basins(flows_3d, state, n), n)
    objects = keep_largest_components(flows_3d, state)
    keep = objects.sizes >= max(smallest, 1)
    if max_error is not None:
        keep &= pass_flow_check(objects, flows_3d, keep, max_error, workers)
    return keep_objects(objects, keep).image.reshape(logits.shape)
