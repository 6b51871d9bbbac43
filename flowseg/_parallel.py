"""Share a range of objects or points out over threads; the kernels release the GIL."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def map_ranges(function: Callable[[int, int], T], n: int, workers: int, *, size: int) -> list[T]:
    """Call ``function(start, stop)`` on consecutive ranges of at most ``size`` that cover ``0..n``.

    The ranges do not depend on ``workers``, and the results come in order. Ctrl-C is seen between two ranges.
    """
    ranges = [(start, min(start + size, n)) for start in range(0, n, size)]
    if workers == 1 or len(ranges) < 2:
        return [function(start, stop) for start, stop in ranges]
    with ThreadPoolExecutor(max_workers=min(workers, len(ranges))) as pool:
        futures = [pool.submit(function, start, stop) for start, stop in ranges]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
