"""Follow the flows from pixels to their endpoints."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks, _diffusion
from flowseg._system.parallel import run_parts, split_range
from flowseg._system.threads import interruptibly, size_of

# Points of one call of the kernel. Source: chosen; some milliseconds of work.
POINTS_PER_CALL = 8192

# Estimates of the time, for the number of threads; results do not depend on them. Source: rough figures for one core.
STEPS_PER_SECOND = 1e8
STEPS_TO_SETTLE = 50  # of a point
PIXELS_PER_SECOND = 3e7  # of an image, without the steps


def follow_flows(
    flows: ArrayLike, foreground: ArrayLike, *, n_iter: int | None = None, workers: int | None = None
) -> NDArray[np.float32]:
    """Return the endpoint of every foreground pixel when it follows the flows.

    Parameters
    ----------
    flows : array_like of float, shape (ndim, ...)
        Direction to take at each pixel, in pixels per step, row before column. No step is longer than one pixel.
    foreground : array_like of bool or int, shape (...)
        Pixels to start from. Flows elsewhere count as 0.
    n_iter : int, optional
        Number of steps. By default every point goes on until it has settled: until it is within one pixel of where it
        was at least 16 steps before. Its endpoint is then the mean of its positions since.
    workers : int, optional
        Number of threads. By default all cores. The result is the same for every number.

    Returns
    -------
    endpoints : ndarray of float32, shape (ndim, n_points)
        Coordinates in pixels, one row per axis, in the order of ``numpy.nonzero(foreground)``.

    Raises
    ------
    TypeError, ValueError
        If flows or foreground cannot be used, do not fit each other, or a parameter is out of range.

    Notes
    -----
    Points take Euler steps along the flow, which is interpolated linearly between pixel centers. They cannot leave the
    image. Flows shorter than 1/16 settle at once.

    Examples
    --------
    >>> import numpy as np
    >>> import flowseg
    >>> masks = np.zeros((7, 7), dtype=int)
    >>> masks[1:6, 1:6] = 1
    >>> endpoints = flowseg.follow_flows(flowseg.masks_to_flows(masks), masks)
    >>> bool(np.all(np.abs(endpoints - 3) < 1))  # all 25 are at the center
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
    pixels = np.flatnonzero(inside)
    endpoints = find_endpoints(array.reshape(-1, *volume), state.reshape(volume), pixels, n_iter, workers)
    return endpoints[3 - inside.ndim :]


def find_endpoints(
    flows: NDArray[np.float32],
    state: NDArray[np.int32],
    pixels: NDArray[np.intp],
    n_iter: int | None,
    workers: int,
) -> NDArray[np.float32]:
    """Return the endpoints of pixels (flat indices) of an image of three axes; ``state`` is 0 in the background."""
    endpoints = np.empty((3, pixels.size), dtype=np.float32)

    def work(part: tuple[int, int], interrupt: NDArray[np.int32]) -> int:
        if n_iter is None:
            return _diffusion.follow_until_settled(flows, state, pixels, endpoints, *part, interrupt)
        return _diffusion.follow_steps(flows, state, pixels, n_iter, endpoints, *part, interrupt)

    seconds = pixels.size * (STEPS_TO_SETTLE if n_iter is None else n_iter) / STEPS_PER_SECOND
    run_parts(work, split_range(pixels.size, POINTS_PER_CALL), workers, seconds=seconds)
    return endpoints
