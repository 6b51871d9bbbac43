"""Graph coloring: few colors for the objects of a label image, so that neighbors differ."""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Steps from a pixel to four of its eight neighbors; the other four reach it by theirs.
STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))


def find_neighbors(number: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the pairs of neighbors among objects 1..n of a label image, the smaller first, each pair once.

    Every background pixel is assigned to the nearest object. Objects are neighbors if these regions touch, also at a
    corner: touching objects, and objects that face each other across a gap.
    """
    regions = number
    if number.any() and not number.all():
        row, column = ndimage.distance_transform_edt(number == 0, return_distances=False, return_indices=True)
        regions = number[row, column]
    rows, columns = regions.shape
    codes = []
    n = int(regions.max()) + 1
    for down, across in STEPS:
        here = regions[: rows - down, max(-across, 0) : columns - max(across, 0)]
        there = regions[down:, max(across, 0) : columns - max(-across, 0)]
        differ = here != there
        a, b = here[differ], there[differ]
        codes.append(np.unique(np.minimum(a, b) * n + np.maximum(a, b)))
    return np.stack(np.divmod(np.unique(np.concatenate(codes)), n), axis=1)


def color_graph(pairs: NDArray[Any], n: int, n_colors: int) -> NDArray[np.intp]:
    """Return colors 0, 1, ... of the nodes 1..n, so that the two nodes of a pair never have the same.

    Nodes are taken in the order "smallest last" [1]_. Each gets the color used least so far of those that no neighbor
    has. A map in the plane then needs six colors at most; more than ``n_colors`` are used only where needed.

    References
    ----------
    .. [1] D. W. Matula, L. L. Beck, "Smallest-last ordering and clustering and graph coloring algorithms", Journal of
       the ACM 30, 417-427 (1983).
    """
    both = np.concatenate([pairs, pairs[:, ::-1]]) - 1
    both = both[np.argsort(both[:, 0], kind="stable")]
    starts = np.searchsorted(both[:, 0], np.arange(n + 1)).tolist()
    others = both[:, 1].tolist()
    adjacent = [others[starts[k] : starts[k + 1]] for k in range(n)]
    color = np.full(n, -1, dtype=np.intp)
    used = [0] * n_colors
    for node in reversed(_order_smallest_last(adjacent)):
        taken = {int(color[other]) for other in adjacent[node]}
        free = [c for c in range(len(used)) if c not in taken]
        if not free:
            free = [len(used)]
            used.append(0)
        chosen = min(free, key=used.__getitem__)
        used[chosen] += 1
        color[node] = chosen
    return color


def _order_smallest_last(adjacent: list[list[int]]) -> list[int]:
    """Return nodes in the order of removal, if the one with the fewest remaining neighbors is always removed next."""
    left = [len(others) for others in adjacent]
    heap = [(count, node) for node, count in enumerate(left)]
    heapq.heapify(heap)
    removed = [False] * len(adjacent)
    order = []
    while heap:
        count, node = heapq.heappop(heap)
        if removed[node] or count != left[node]:
            continue
        removed[node] = True
        order.append(node)
        for other in adjacent[node]:
            if not removed[other]:
                left[other] -= 1
                heapq.heappush(heap, (left[other], other))
    return order
