"""Decode three classes block by block."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowseg._labels.diameters import diameters_of_sizes, size_column
from flowseg._nets.lattice import PixelShape
from flowseg._segmenters.learned_decoding.object_table import Table
from flowseg.blockwise._objects.boundary_graph import (
    BoundaryGraph,
    InteriorComponents,
    boundary_graph_of_block,
    count_pixels,
    expand_in_block,
    final_labels,
    merge_interiors,
)
from flowseg.blockwise._objects.decoder import LargeArrays, ReadFlows, ReadOutputs, Record
from flowseg.blockwise._objects.windows import ObjectWindows, ReadFragments
from flowseg.blockwise._regions import BlockGrid


@dataclass(frozen=True)
class BoundaryDecoder:
    """Components of the interior, expanded: see `BoundaryCodec.decode`.

    Parameters
    ----------
    grid : BlockGrid
        The blocks.
    distances : tuple of float
        Pixels that components are expanded by along each axis of the grid.
    pixel : PixelShape
        Shape of the pixels.
    min_size : int
        Objects of fewer pixels are dropped.
    """

    grid: BlockGrid
    distances: tuple[float, ...]
    pixel: PixelShape
    min_size: int

    def find_fragments(self, index: int, read: ReadOutputs) -> tuple[Record, LargeArrays]:
        """Return the graph of a block, and its label image of fragments."""
        block = self.grid[index]
        outputs = read(block)
        graph, fragments = boundary_graph_of_block(outputs.reshape(*block.shape, outputs.shape[-1]), self.grid, block)
        return graph.as_arrays(), {"fragments": fragments}

    def merge(self, records: Iterable[Record], fragments: ReadFragments) -> Record:
        """Return the components of the interior."""
        return merge_interiors((BoundaryGraph(**record) for record in records), self.grid, fragments).as_arrays()

    @property
    def needs_check(self) -> bool:
        """True: sizes are known after the expansion."""
        return True

    def check(self, merged: Record, index: int, fragments: ReadFragments, flows: ReadFlows) -> Record:  # noqa: ARG002
        """Return the pixels in a block of each object."""
        numbers, pixels = count_pixels(self._expand(merged, index, fragments))
        return {"numbers": numbers, "pixels": pixels}

    def number(self, merged: Record, checks: Sequence[Record]) -> tuple[Record, Table]:
        """Return the label of every component, 0 for those that are too small, and a table of the others."""
        counts = [(checked["numbers"], checked["pixels"]) for checked in checks]
        n = InteriorComponents(**merged).n
        labels = final_labels(n, counts, self.min_size)
        areas = np.zeros(n + 1, dtype=np.int64)
        for numbers, pixels in counts:
            areas[numbers] += pixels
        kept = areas[labels > 0]
        table: Table = {
            "label": np.arange(1, kept.size + 1),
            size_column(len(self.pixel.ratios)): kept,
            "diameter": diameters_of_sizes(kept, self.pixel.ratios),
        }
        return {"labels": labels}, table

    def label(self, merged: Record, numbers: Record, index: int, fragments: ReadFragments) -> NDArray[np.int32]:
        """Return the masks in a block."""
        return np.asarray(numbers["labels"][self._expand(merged, index, fragments)], dtype=np.int32)

    def _expand(self, merged: Record, index: int, fragments: ReadFragments) -> NDArray[np.int32]:
        windows = ObjectWindows(InteriorComponents(**merged), self.grid, fragments)
        return expand_in_block(windows, index, self.distances)
