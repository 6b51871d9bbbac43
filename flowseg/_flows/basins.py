"""Basins: the pixels whose flows lead to one sink."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flowseg import _diffusion
from flowseg._flows.following import find_endpoints
from flowseg._system.parallel import run_parts, split_range
from flowseg._system.threads import check_canceled

# Pixels of one call of the kernel. Source: chosen; some milliseconds of work.
PIXELS_PER_CALL = 65536

# Numbers of basins, and of one more node, fit into an int32.
MAX_BASINS = 2**31 - 2

# Speed in pixels of the foreground per second, to estimate the time. Source: a rough figure for one core.
PIXELS_PER_SECOND = 1e7


def find_basins(flows: NDArray[np.float32], state: NDArray[np.int32], n_iter: int | None, workers: int) -> int:
    """Replace the foreground in ``state`` by the numbers of basins, 1..n; return n.

    ``state`` is an image of three axes with 0 in the background and -1 in the foreground. With ``n_iter`` every pixel
    takes that many steps, and a basin is what ends on one pixel. Without, paths go from successor to successor.
    """
    if n_iter is not None:
        return _find_basins_by_endpoint(flows, state, n_iter, workers)
    n = _diffusion.number_basins(find_successors(flows, state, workers), state, MAX_BASINS)
    check_canceled()
    if n < 0:
        raise ValueError(f"flows must have at most {MAX_BASINS} sinks; these have more.")
    return n


def find_successors(flows: NDArray[np.float32], state: NDArray[np.int32], workers: int) -> NDArray[np.uint16]:
    """Return how far the successor of every foreground pixel is, as codes of `_diffusion.number_basins`."""
    shifts = np.empty(state.shape, dtype=np.uint16)

    def work(part: tuple[int, int], interrupt: NDArray[np.int32]) -> int:
        return _diffusion.find_successors(flows, state, shifts, *part, interrupt)

    run_parts(work, split_range(state.size, PIXELS_PER_CALL), workers, seconds=state.size / PIXELS_PER_SECOND)
    return shifts


def _find_basins_by_endpoint(flows: NDArray[np.float32], state: NDArray[np.int32], n_iter: int, workers: int) -> int:
    pixels = np.empty(np.count_nonzero(state), dtype=np.intp)
    _diffusion.list_unassigned(state, pixels)
    endpoints = find_endpoints(flows, state, pixels, n_iter, workers)
    state.ravel()[pixels] = numbers = number_endpoints(endpoints, state)
    return int(numbers.max(initial=0))


def _nearest_pixels(endpoints: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Return the pixel nearest to each endpoint, shape (3, n_points)."""
    last = np.array(shape, dtype=np.int64).reshape(3, 1) - 1  # float32 rounds up beyond 2 ** 24
    return np.ascontiguousarray(np.minimum(np.rint(endpoints), last), dtype=np.int32)


def number_endpoints(endpoints: NDArray[np.float32], state: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return numbers 1..n of endpoints by the pixel of ``state`` that they lie on."""
    saved, numbers = np.empty((2, endpoints.shape[1]), dtype=np.int32)
    _diffusion.number_endpoints(_nearest_pixels(endpoints, state.shape), state, saved, numbers)
    return numbers
