"""Share work out over threads; the kernels release the GIL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

# Work of less than this many seconds (a guess) is done at once: starting threads takes a tenth of it.
SMALL = 0.002

Stop = NDArray[np.int32]


def run_parts(function: Callable[[T, Stop], int], parts: Sequence[T], workers: int, *, seconds: float) -> None:
    """Call ``function(part, stop)`` for every part, in order, on ``workers`` threads.

    Long work never runs in the calling thread, which waits and can be interrupted: then ``stop[0]`` is set, which makes
    kernels return. ``seconds`` is a guess of the time that one thread takes for all.

    Raises
    ------
    MemoryError
        If a kernel reports that memory ran out.
    """
    stop = np.zeros(1, dtype=np.int32)
    if seconds < SMALL:
        statuses = [function(part, stop) for part in parts]
    else:
        with ThreadPoolExecutor(max_workers=max(1, min(workers, len(parts)))) as pool:
            try:
                futures = [pool.submit(function, part, stop) for part in parts]
                statuses = [future.result() for future in futures]
            except BaseException:
                stop[0] = 1
                pool.shutdown(cancel_futures=True)
                raise
    if any(status < 0 for status in statuses):
        raise MemoryError("there is not enough memory for the flows of the largest object.")


def split_by_cost(costs: NDArray[np.float64], n_parts: int) -> list[NDArray[np.intp]]:
    """Items 0..n-1, the most costly first, in at most ``n_parts`` parts of about equal cost."""
    order = np.argsort(-costs, kind="stable")
    if len(order) == 0:
        return []
    share = np.cumsum(costs[order])
    bounds = np.searchsorted(share, np.linspace(0, share[-1], n_parts + 1)[1:-1], side="right")
    return [part for part in np.split(order, np.unique(bounds)) if len(part)]


def split_range(n: int, size: int) -> list[tuple[int, int]]:
    """Consecutive ranges (start, stop) of at most ``size`` that cover 0..n."""
    return [(start, min(start + size, n)) for start in range(0, n, size)]
