"""Graph coloring: few colors for the objects of a label image, so that neighbors differ."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Steps from a pixel to four of its eight neighbors; the other four reach it by theirs.
STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))
# Voxels of a volume in which gaps between objects are looked at: a second for the planes of all three directions.
GAP_VOXELS = 1 << 24


def find_visible_neighbors(number: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the pairs of objects that are neighbors in any view of a label image or volume, as `find_neighbors` does.

    An image is its only view. Those of a volume are its planes in all three directions, and what is seen first along
    each axis. Of a volume of more than `GAP_VOXELS` every second voxel along each axis, or every third and so on, shows
    which objects face each other across a gap; those that touch are all found.
    """
    step = int(np.ceil((number.size / GAP_VOXELS) ** (1 / 3))) if number.ndim == 3 else 1
    pairs = [find_neighbors(view) for view in views_of(number[(slice(None, None, step),) * number.ndim])]
    if step > 1:
        touching = np.concatenate([_find_borders(view) for view in views_of(number)])
        pairs.append(touching[touching[:, 0] > 0])
    return np.unique(np.concatenate(pairs), axis=0)


def views_of(number: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield the views of a label image: itself, or all planes of a volume and what is seen first along each axis."""
    if number.ndim == 2:
        yield number
        return
    for axis in range(3):
        yield from np.moveaxis(number, axis, 0)
        yield see_first(number, axis)


def see_first(number: NDArray[np.int64], axis: int) -> NDArray[np.int64]:
    """Return the first object along an axis of a volume, 0 where there is none."""
    first = np.expand_dims((number > 0).argmax(axis=axis), axis)
    return np.take_along_axis(number, first, axis=axis).squeeze(axis)


def find_neighbors(number: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the pairs of neighbors among objects 1..n of a label image, the smaller first, each pair once.

    Every background pixel is assigned to the nearest object. Objects are neighbors if these regions touch, also at a
    corner: touching objects, and objects that face each other across a gap.
    """
    regions = number
    if number.any() and not number.all():
        row, column = ndimage.distance_transform_edt(number == 0, return_distances=False, return_indices=True)
        regions = number[row, column]
    return _find_borders(regions)


def _find_borders(regions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the pairs of different numbers that touch, also at a corner, the smaller first, each pair once."""
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
