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
# networks are unsure and predict short flows, which have no affinity either. Source: measured, see docs/design.rst.
MIN_AFFINITY = 0.5

# Faces between basins that arrays have room for at first. Source: chosen; too few cost a second pass, not results.
INITIAL_FACES = 65536

# Speed in faces per second, to estimate the time. Source: a rough figure for one core.
FACES_PER_SECOND = 5e6


@dataclass(frozen=True)
class Faces:
    """Faces between pixels of different labels, and sums over the pixels of each label.

    All but labels and sizes are whole numbers of the unit of `kernels/borders.pxi`.
    """

    pairs: NDArray[np.int32]  # (2, n): labels before and after the face
    agreement: NDArray[np.int64]  # (n,): dot product of the flows on its two sides
    convergence: NDArray[np.int64]  # (n,): how much their directions point at each other
    squares: NDArray[np.int64]  # per label: sum of the squared lengths of the flows
    sizes: NDArray[np.int64]  # per label: number of pixels


def list_faces(flows: NDArray[np.float32], labels: NDArray[np.int32], n: int) -> Faces:
    """Return the faces between pixels of different labels 1..n."""
    room = INITIAL_FACES
    while True:
        pairs = np.empty((2, room), dtype=np.int32)
        agreement, convergence = np.empty((2, room), dtype=np.int64)
        squares, sizes = np.zeros((2, n + 1), dtype=np.int64)
        count = _diffusion.list_faces(flows, labels, pairs, agreement, convergence, squares, sizes)
        check_canceled()
        if count <= room:
            return Faces(np.ascontiguousarray(pairs[:, :count]), agreement[:count], convergence[:count], squares, sizes)
        room = count


def join_basins(flows: NDArray[np.float32], labels: NDArray[np.int32], n: int) -> NDArray[np.int32]:
    """Join labels whose flows do not part at their common border; return the smallest label of each object, by label.

    In every round the pairs are joined that have the largest affinity of both. Then their borders with a third label
    count as one.
    """
    faces = list_faces(flows, labels, n)
    return join_graph(faces, np.ones(faces.agreement.size, dtype=np.int64))


def join_graph(faces: Faces, n_faces: NDArray[np.int64]) -> NDArray[np.int32]:
    """Do the same for sums over ``n_faces`` faces each; a pair may stand more than once."""
    parent = np.empty(faces.sizes.size, dtype=np.int32)

    def work(squares: NDArray[np.int64], interrupt: NDArray[np.int32]) -> int:
        sums = (n_faces, faces.agreement, faces.convergence, squares, faces.sizes.copy())
        return _diffusion.join_basins(faces.pairs, *sums, MIN_AFFINITY, parent, interrupt)

    run_parts(work, [faces.squares.copy()], 1, seconds=n_faces.size / FACES_PER_SECOND)
    return parent
