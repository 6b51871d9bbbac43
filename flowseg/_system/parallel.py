"""Distribute work over threads; the kernels release the GIL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from flowseg._system.threads import Canceled, Interrupt, Threads, interrupt_here, results_of

T = TypeVar("T")

# Estimated seconds below which work is done at once: starting threads takes a tenth of it.
SMALL = 0.002

# Status of kernels that were interrupted, as in _diffusion.pyx.
INTERRUPTED = -2


def run_parts(function: Callable[[T, Interrupt], int], parts: Sequence[T], workers: int, *, seconds: float) -> None:
    """Call ``function(part, interrupt)`` for every part, in order, on ``workers`` threads.

    Long work never runs in the calling thread, which waits and can be interrupted: then ``interrupt[0]`` is set, which
    makes kernels return. ``seconds`` is an estimate of the time that one thread takes for all.

    Raises
    ------
    MemoryError
        If a kernel reports that memory ran out.
    """
    if seconds < SMALL:
        interrupt = interrupt_here()
        statuses = [function(part, interrupt) for part in parts]
    else:
        with Threads(max(1, min(workers, len(parts)))) as threads:
            statuses = results_of([threads.submit(function, part, threads.flag.interrupt) for part in parts])
    if INTERRUPTED in statuses:
        raise Canceled
    if any(status < 0 for status in statuses):
        raise MemoryError("there is not enough memory for the flows of the largest object.")


def split_by_cost(costs: NDArray[np.float64], n_parts: int) -> list[NDArray[np.intp]]:
    """Return items 0..n-1 in at most ``n_parts`` ranges of about equal cost, the most costly range first.

    Ranges, because neighboring items share memory; no range exceeds an equal share by more than one item's cost.
    """
    if len(costs) == 0:
        return []
    share = np.cumsum(costs)
    bounds = np.searchsorted(share, np.linspace(0, share[-1], n_parts + 1)[1:-1], side="right")
    parts = [part for part in np.split(np.arange(len(costs)), np.unique(bounds)) if len(part)]
    return sorted(parts, key=lambda part: -float(costs[part].sum()))


def split_range(n: int, size: int) -> list[tuple[int, int]]:
    """Return consecutive ranges (start, stop) of at most ``size`` that cover 0..n."""
    return [(start, min(start + size, n)) for start in range(0, n, size)]
