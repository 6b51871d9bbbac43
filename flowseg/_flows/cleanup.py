"""From basins to objects: one connected component each, renumbered in raster order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flowseg._flows.joining import Borders, sum_borders
from flowseg._labels.components import Components, renumber, split_into_components


def keep_largest_components(flows: NDArray[np.float32], labels: NDArray[np.int32]) -> Components:
    """Keep the largest component of each label and merge the others into the object that they touch most, in place.

    Of components of equal size the first in raster order stays. Contact is counted in pixel faces; of equals the first
    object is taken. A component that touches no kept one is dropped.
    """
    components, label = split_into_components(labels)
    number = np.arange(1, components.n + 1, dtype=np.int32)
    order = np.lexsort((-number, components.sizes, label))  # the last of each label is its largest component
    main = np.zeros(components.n + 1, dtype=bool)
    main[number[order[np.append(np.diff(label[order]) != 0, True)]]] = True
    table = np.zeros(components.n + 1, dtype=np.int32)
    table[main] = np.arange(1, np.count_nonzero(main) + 1)
    if not main[1:].all():
        stray, touched = _most_touched(sum_borders(flows, components.image, components.n), main)
        table[stray] = table[touched]
    return renumber(components.image, table, int(np.count_nonzero(main)))


def _most_touched(borders: Borders, main: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return pairs of a stray component and the main one that it shares most faces with, shape (2, n)."""
    pairs = np.concatenate([borders.pairs.T, borders.pairs.T[::-1]], axis=1)
    n_faces = np.tile(borders.sums[:, 0], 2)
    candidates = np.flatnonzero(~main[pairs[0]] & main[pairs[1]])
    pairs, n_faces = pairs[:, candidates], n_faces[candidates]
    order = np.lexsort((pairs[1], -n_faces, pairs[0]))
    first = np.unique(pairs[0, order], return_index=True)[1]
    return pairs[:, order[first]]


def keep_objects(objects: Components, keep: NDArray[np.bool_]) -> Components:
    """Keep the objects k + 1 where ``keep[k]`` is true; number them 1..n in raster order, in place."""
    kept = np.flatnonzero(keep)
    table = np.zeros(objects.n + 1, dtype=np.int32)
    table[1 + kept[np.argsort(objects.first[kept])]] = np.arange(1, kept.size + 1)
    return renumber(objects.image, table, kept.size)
