"""Decode flows block by block."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowseg._nets.lattice import PixelShape
from flowseg._segmenters.learned_decoding.find_objects import Decoding
from flowseg._segmenters.learned_decoding.object_table import Table
from flowseg.blockwise._objects.checks import errors_of_block, final_numbers
from flowseg.blockwise._objects.decoder import LargeArrays, ReadFlows, ReadOutputs, Record
from flowseg.blockwise._objects.flow_graph import MARGIN, BlockGraph, graph_of_block
from flowseg.blockwise._objects.flow_merge import Objects, merge_blocks
from flowseg.blockwise._objects.windows import ObjectWindows, ReadFragments
from flowseg.blockwise._regions import BlockGrid
from flowseg.blockwise._stages.tile_outputs import as_planes


@dataclass(frozen=True)
class FlowDecoder:
    """Fragments of basins, joined to objects, then the flow check and scores: see `flows_to_masks`.

    Parameters
    ----------
    grid : BlockGrid
        The blocks.
    decoding : Decoding
        Thresholds and scores.
    pixel : PixelShape
        Shape of the pixels.
    keep_flows : bool
        Whether to keep the flows of a block for the check, where it takes long to read them again: they are scaled.
    describes_all : bool
        Whether flow errors are for a table of all objects, not only for the flow check.
    """

    grid: BlockGrid
    decoding: Decoding
    pixel: PixelShape
    keep_flows: bool = False
    describes_all: bool = False

    def find_fragments(self, index: int, read: ReadOutputs) -> tuple[Record, LargeArrays]:
        """Return the graph of a block, its label image of fragments, and perhaps its flows."""
        block = self.grid[index]
        window = block.window(MARGIN, self.grid.shape)
        flows, cellprob = as_planes(read(window))
        threshold = self.decoding.thresholds.cellprob_threshold
        graph, fragments = graph_of_block(flows, cellprob, self.grid, block, threshold)
        large: LargeArrays = {"fragments": fragments}
        if self.keep_flows and self.needs_check:
            large["flows"] = flows[(slice(None), *block.inside(window))]
        return graph.as_arrays(), large

    def merge(self, records: Iterable[Record], fragments: ReadFragments) -> Record:
        """Return the objects before the flow check."""
        graphs = (BlockGraph(**record) for record in records)
        return merge_blocks(graphs, self.grid, self.decoding.thresholds.min_size, fragments).as_arrays()

    @property
    def needs_check(self) -> bool:
        """Whether flow errors are needed: for the flow check, for scores, or for the table."""
        return (
            self.describes_all
            or self.decoding.thresholds.flow_threshold is not None
            or self.decoding.calibration is not None
        )

    def check(self, merged: Record, index: int, fragments: ReadFragments, flows: ReadFlows) -> Record:
        """Return the flow errors of the objects that a block owns."""
        objects = Objects(**merged)
        chosen = np.ones(objects.n, dtype=bool)
        if self.decoding.calibration is None and not self.describes_all:
            chosen = ~objects.touches_border(self.grid.shape)
        windows = ObjectWindows(objects, self.grid, fragments)
        numbers, errors = errors_of_block(objects, windows, index, flows, chosen)
        return {"numbers": numbers, "errors": errors}

    def number(self, merged: Record, checks: Sequence[Record]) -> tuple[Record, Table]:
        """Return the label of every object, 0 for those that are dropped, and the table of the others."""
        objects = Objects(**merged)
        errors = np.full(objects.n, np.nan)
        for checked in checks:
            errors[checked["numbers"] - 1] = checked["errors"]
        labels, table = final_numbers(
            objects, errors, objects.touches_border(self.grid.shape), self.decoding, self.pixel
        )
        return {"labels": labels}, table

    def label(self, merged: Record, numbers: Record, index: int, fragments: ReadFragments) -> NDArray[np.int32]:
        """Return the masks in a block."""
        of_fragment = Objects(**merged).of_block(index)
        return np.asarray(numbers["labels"][of_fragment][fragments(index)], dtype=np.int32)
