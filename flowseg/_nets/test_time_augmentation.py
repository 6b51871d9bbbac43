"""Test-time augmentation: the mean of a network's outputs for an image that is flipped and rotated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from flowseg._nets.tiles import Grid


def mean_of_orientations(
    run: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    batch: NDArray[np.float32],
    n_outputs: int,
    vectors: slice | None,
    grid: Grid,
) -> NDArray[np.float32]:
    """Return the mean of the outputs for a batch in each orientation; ``vectors`` are the outputs that turn with it."""
    orientations = _orientations(grid)
    total = np.zeros((*batch.shape[:-1], n_outputs), dtype=np.float32)
    for one in orientations:  # added up one by one: eight outputs of a volume need not fit into memory
        total += one.undo(run(one.show(batch)), vectors)
    total /= len(orientations)
    return total


@dataclass(frozen=True)
class Orientation:
    """One of the ways in which an image is shown to a network: axes swapped, then flipped."""

    order: tuple[int, ...]  # which axis of the image comes first, which second ...
    flipped: tuple[bool, ...]  # whether it is flipped, in the new order

    def show(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a batch, shape (n, ..., channels), in this orientation."""
        shown = np.transpose(batch, (0, *(axis + 1 for axis in self.order), batch.ndim - 1))
        return np.ascontiguousarray(shown[self._flips])

    def undo(self, outputs: NDArray[np.float32], vectors: slice | None) -> NDArray[np.float32]:
        """Return outputs for a batch in this orientation as outputs for the batch itself, its vectors included."""
        back = np.argsort(self.order)
        restored = np.transpose(outputs[self._flips], (0, *(axis + 1 for axis in back), outputs.ndim - 1)).copy()
        if vectors is not None:
            shown = restored[..., vectors].copy()
            for place, (axis, is_flipped) in enumerate(zip(self.order, self.flipped, strict=True)):
                restored[..., vectors][..., axis] = -shown[..., place] if is_flipped else shown[..., place]
        return restored

    @property
    def _flips(self) -> tuple[slice, ...]:
        return (slice(None), *(slice(None, None, -1 if flip else None) for flip in self.flipped))


def _orientations(grid: Grid) -> list[Orientation]:
    """Return all orientations; of volumes, and where axes differ, only the flips."""
    ndim = len(grid.steps)
    if ndim != 2 or len(set(grid.steps)) > 1:
        return [Orientation(tuple(range(ndim)), flips) for flips in product((False, True), repeat=ndim)]
    quarters = [((0, 1), (False, False)), ((1, 0), (True, False)), ((0, 1), (True, True)), ((1, 0), (False, True))]
    # Each quarter turn, and flipped left to right; sums are made in this order.
    return [Orientation(order, (first, second ^ flip)) for order, (first, second) in quarters for flip in (False, True)]
