"""Give the objects of a label image few colors so that no two neighbours have the same."""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Steps from a pixel to half of its eight neighbours; the other half is seen from there.
STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))


def find_neighbours(number: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs of neighbours among objects 1..n of ``number`` (0 = background), the smaller first, each pair once.

    The background is shared out to the nearest objects; neighbours are those whose shares touch, if only at a corner.
    So touching objects are neighbours, and so are those that face each other across a gap.
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
    """Color 0, 1, ... for each of the nodes 1..n, so that the two nodes of a pair never have the same.

    Nodes are taken in the order "smallest last" [1]_, and each gets the color used least so far of those that no
    neighbour has. A map in the plane then needs six colors at most; beyond ``n_colors`` more are added where needed.

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
    for node in reversed(_strip(adjacent)):
        taken = {int(color[other]) for other in adjacent[node]}
        free = [c for c in range(len(used)) if c not in taken]
        if not free:
            free = [len(used)]
            used.append(0)
        chosen = min(free, key=used.__getitem__)
        used[chosen] += 1
        color[node] = chosen
    return color


def _strip(adjacent: list[list[int]]) -> list[int]:
    """Nodes in the order in which they go when the one with the fewest neighbours left always goes next."""
    left = [len(others) for others in adjacent]
    heap = [(count, node) for node, count in enumerate(left)]
    heapq.heapify(heap)
    gone = [False] * len(adjacent)
    order = []
    while heap:
        count, node = heapq.heappop(heap)
        if gone[node] or count != left[node]:
            continue
        gone[node] = True
        order.append(node)
        for other in adjacent[node]:
            if not gone[other]:
                left[other] -= 1
                heapq.heappush(heap, (left[other], other))
    return order
