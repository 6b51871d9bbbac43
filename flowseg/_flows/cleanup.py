"""From groups of pixels to objects: one piece each, without strays and specks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flowseg._flows.basins import list_faces
from flowseg._labels.components import Pieces, renumber, split_into_pieces


def one_piece_each(flows: NDArray[np.float32], labels: NDArray[np.int32]) -> Pieces:
    """Keep the largest piece of each label; give the others to the object they touch most, or drop them; in place.

    Of pieces of equal size the first in raster order stays; touching is counted in pixel faces, and of equals the
    first object is taken. A piece that touches only pieces that were not kept is dropped.
    """
    pieces, label = split_into_pieces(labels)
    number = np.arange(1, pieces.n + 1, dtype=np.int32)
    order = np.lexsort((-number, pieces.sizes, label))  # the last of each label is its largest piece
    main = np.zeros(pieces.n + 1, dtype=bool)
    main[number[order[np.append(np.diff(label[order]) != 0, True)]]] = True
    table = np.zeros(pieces.n + 1, dtype=np.int32)
    table[main] = np.arange(1, np.count_nonzero(main) + 1)
    if not main[1:].all():
        stray, touched = _most_touched(list_faces(flows, pieces.image, pieces.n).pairs, main)
        table[stray] = table[touched]
    return renumber(pieces.image, table, int(np.count_nonzero(main)))


def _most_touched(pairs: NDArray[np.int32], main: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Pairs (stray piece, the main piece that it shares most faces with; the first of equals), shape (2, n)."""
    pairs = np.concatenate([pairs, pairs[::-1]], axis=1)
    pairs = pairs[:, ~main[pairs[0]] & main[pairs[1]]]
    if pairs.shape[1] == 0:
        return pairs
    pairs, counts = np.unique(pairs, axis=1, return_counts=True)
    order = np.lexsort((pairs[1], -counts, pairs[0]))
    first = np.unique(pairs[0, order], return_index=True)[1]
    return pairs[:, order[first]]


def keep_objects(pieces: Pieces, keep: NDArray[np.bool_]) -> Pieces:
    """Drop the objects k + 1 that ``keep[k]`` denies and number the others 1..n in raster order."""
    kept = np.flatnonzero(keep)
    table = np.zeros(pieces.n + 1, dtype=np.int32)
    table[1 + kept[np.argsort(pieces.first[kept])]] = np.arange(1, kept.size + 1)
    return renumber(pieces.image, table, kept.size)
