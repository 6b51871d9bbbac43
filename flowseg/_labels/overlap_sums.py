"""Overlaps of two label images that are read part by part."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._labels.numbering import NOT_ANNOTATED, number_values
from flowseg._labels.overlaps import Overlaps

# Pairs that are kept before they are summed up: 24 MB.
MAX_PAIRS = 1 << 20


class OverlapSums:
    """Counts the pixels that pairs of objects share: a sparse table, to which parts of the images are added."""

    def __init__(self) -> None:
        self._parts: list[NDArray[np.int64]] = []  # rows: true label, predicted label, pixels
        self._n_added = 0

    def add(self, true: NDArray[Any], predicted: NDArray[Any]) -> None:
        """Add a part of both images, of the same shape."""
        truths, i, _ = number_values(np.maximum(true, NOT_ANNOTATED) if true.dtype.kind == "i" else true)
        founds, j, _ = number_values(np.maximum(predicted, 0) if predicted.dtype.kind == "i" else predicted)
        key, count = np.unique(i * founds.size + j, return_counts=True)
        pair = truths[key // founds.size], founds[key % founds.size], count
        self._parts.append(np.stack([column.astype(np.int64) for column in pair]))
        self._n_added += count.size
        if self._n_added > MAX_PAIRS:
            self._parts = [self._sum()]
            self._n_added = 0

    def overlaps(self) -> Overlaps:
        """Return what `find_overlaps` returns for the whole images."""
        true, predicted, pixels = self._sum()
        is_ignored = true == NOT_ANNOTATED
        founds, index = np.unique(predicted, return_inverse=True)
        areas, hidden = np.zeros(founds.size, dtype=np.int64), np.zeros(founds.size, dtype=np.int64)
        np.add.at(areas, index, pixels)
        np.add.at(hidden, index[is_ignored], pixels[is_ignored])
        # As in `leave_out_ignored`.
        predicted = np.where((2 * hidden > areas)[index], 0, predicted)[~is_ignored]
        true, pixels = true[~is_ignored], pixels[~is_ignored]
        true_labels, true_areas, i = _sum_objects(true, pixels)
        predicted_labels, predicted_areas, j = _sum_objects(predicted, pixels)
        both = (true > 0) & (predicted > 0)  # pairs in order of true, then predicted labels, as the table is
        return Overlaps(true_labels, predicted_labels, true_areas, predicted_areas, i[both], j[both], pixels[both])

    def _sum(self) -> NDArray[np.int64]:
        """Return the table: every pair once, in order."""
        table = np.concatenate([np.zeros((3, 0), dtype=np.int64), *self._parts], axis=1)
        table = table[:, np.lexsort((table[1], table[0]))]
        is_first = np.ones(table.shape[1], dtype=bool)
        is_first[1:] = (table[:2, 1:] != table[:2, :-1]).any(axis=0)
        starts = np.flatnonzero(is_first)
        if starts.size:
            table = np.concatenate([table[:2, starts], np.add.reduceat(table[2:], starts, axis=1)])
        return table


def _sum_objects(
    labels: NDArray[np.int64], pixels: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.intp]]:
    """Return the labels above 0, their areas, and the index of each pair's label among them; -1 for background."""
    values, index = np.unique(labels, return_inverse=True)
    areas = np.zeros(values.size, dtype=np.int64)
    np.add.at(areas, index, pixels)
    n_background = int(np.count_nonzero(values <= 0))
    return values[n_background:], areas[n_background:], index - n_background
