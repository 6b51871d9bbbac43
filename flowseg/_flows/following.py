"""Follow flows from pixel to pixel until they settle."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks, _diffusion
from flowseg._system.parallel import run_parts, split_range
from flowseg._system.threads import interruptibly, size_of

# Points handled by one call of the kernel.
POINTS_PER_CALL = 8192

# To guess the time: steps that a core takes, and how many a point needs when nobody says.
STEPS_PER_SECOND = 1e8
GUESSED_STEPS = 50

# To guess the time of all but the steps.
PIXELS_PER_SECOND = 3e7


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
        Number of steps. By default every point goes on until it has settled: until it is within one pixel of a place
        where it was 16 steps before or more; its end is then the mean of the places since. (Where flows are shorter
        than 1/16 it settles at once.)
    workers : int, optional
        Number of threads; by default all cores. The result is the same for every number.

    Returns
    -------
    endpoints : ndarray of float32, shape (ndim, n_points)
        In pixels, in the order of ``numpy.nonzero(foreground)``.

    Raises
    ------
    TypeError, ValueError
        If flows or foreground cannot be used, do not fit each other, or a parameter is out of range.

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
    steps = _checks.as_integer(n_iter, "n_iter", minimum=0, none="until all points have settled")
    threads = _checks.as_workers(workers)
    return interruptibly(_follow, flows, foreground, steps, threads, seconds=size_of(foreground) / PIXELS_PER_SECOND)


def _follow(flows: ArrayLike, foreground: ArrayLike, n_iter: int | None, workers: int) -> NDArray[np.float32]:
    array = _checks.as_flows(flows)
    inside = _checks.as_foreground(foreground, array.shape[1:])
    state = np.negative(inside, dtype=np.int32, order="C")
    volume = (1,) * (3 - inside.ndim) + inside.shape
    ends, _ = walk(array.reshape(-1, *volume), state.reshape(volume), np.flatnonzero(inside), n_iter, workers)
    return ends[3 - inside.ndim :]


def walk(
    flows: NDArray[np.float32],
    state: NDArray[np.int32],
    pixels: NDArray[np.intp],
    n_iter: int | None,
    workers: int,
    *,
    look: bool = False,
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Where points end that start from pixels (flat indices) of a three-axis image; ``state`` is 0 in the background.

    With ``look`` they also stop where all pixels around have the same positive ``state``: the second array says which
    (0: the point settled before).
    """
    ends = np.empty((3, pixels.size), dtype=np.float32)
    known = np.zeros(pixels.size if look else 0, dtype=np.int32)

    def work(part: tuple[int, int], stop: NDArray[np.int32]) -> int:
        if n_iter is None:
            return _diffusion.follow(flows, state, pixels, ends, known, *part, stop)
        return _diffusion.follow_steps(flows, state, pixels, n_iter, ends, *part, stop)

    seconds = pixels.size * (GUESSED_STEPS if n_iter is None else n_iter) / STEPS_PER_SECOND
    run_parts(work, split_range(pixels.size, POINTS_PER_CALL), workers, seconds=seconds)
    return ends, known
