"""Joining: basins that belong to one object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowseg import _diffusion
from flowseg._system.parallel import run_parts
from flowseg._system.threads import check_canceled

# Two basins that touch are joined if their affinity is larger than this (no unit). It is 1 where flows pass through the
# common border, 2 where they point straight at each other, and negative where they part. At a border of two objects
# networks are unsure and predict short flows, which have no affinity either. Source: measured
# (docs/explanation/flows.rst).
MIN_AFFINITY = 0.5

# Pairs of basins that a table has room for at first, times two: a power of 2. Source: chosen; too few cost time only.
INITIAL_SLOTS = 4096

# Growth of a table that is half full: a power of 2. Source: chosen; as above.
GROWTH = 4

# Speed in pairs per second, to estimate the time. Source: a rough figure for one core.
PAIRS_PER_SECOND = 5e6


@dataclass(frozen=True)
class Borders:
    """Sums over the faces between pixels of different labels, and over the pixels of each label.

    All but numbers of faces and pixels are whole numbers of the unit of `kernels/borders.pxi`.
    """

    pairs: NDArray[np.int32]  # (n, 2): labels that share a border, the smaller one first
    sums: NDArray[np.int64]  # (n, 3): number of faces, agreement of the flows on the two sides, their convergence
    totals: NDArray[np.int64]  # (n_labels + 1, 2): squared lengths of the flows, number of pixels


def sum_borders(flows: NDArray[np.float32], labels: NDArray[np.int32], n: int) -> Borders:
    """Return the borders between pixels of different labels 1..n, each pair once and in no particular order."""
    totals = np.zeros((n + 1, 2), dtype=np.int64)
    pairs, sums = _make_table(INITIAL_SLOTS)
    start, count = _diffusion.sum_borders(flows, labels, pairs, sums, 0, totals, 0)
    while start < labels.size:
        check_canceled()
        pairs, sums = _grow_table(pairs, sums)
        start, count = _diffusion.sum_borders(flows, labels, pairs, sums, count, totals, start)
    used = sums[:, 0] > 0
    return Borders(pairs[used], sums[used], totals)


def _make_table(n_slots: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    return np.zeros((n_slots, 2), dtype=np.int32), np.zeros((n_slots, 3), dtype=np.int64)


def _grow_table(pairs: NDArray[np.int32], sums: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    larger_pairs, larger_sums = _make_table(GROWTH * len(pairs))
    _diffusion.add_borders(pairs, sums, larger_pairs, larger_sums, 0)
    return larger_pairs, larger_sums


def join_basins(flows: NDArray[np.float32], labels: NDArray[np.int32], n: int) -> NDArray[np.int32]:
    """Join labels whose flows do not part at their common border; return the smallest label of each object, by label.

    In every round the pairs are joined that have the largest affinity of both. Then their borders with a third label
    count as one.
    """
    borders = sum_borders(flows, labels, n)
    check_canceled()
    return join_borders(borders)


def join_borders(borders: Borders) -> NDArray[np.int32]:
    """Do the same for given borders; a pair may stand more than once, with a part of its faces each."""
    parent = np.empty(len(borders.totals), dtype=np.int32)

    def work(totals: NDArray[np.int64], interrupt: NDArray[np.int32]) -> int:
        return _diffusion.join_basins(borders.pairs, borders.sums, totals, MIN_AFFINITY, parent, interrupt)

    run_parts(work, [borders.totals.copy()], 1, seconds=len(borders.pairs) / PAIRS_PER_SECOND)
    return parent
