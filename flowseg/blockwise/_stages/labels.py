"""The stages that write labels: at full resolution, then the smaller levels."""

from __future__ import annotations

import string
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flowseg import io
from flowseg.blockwise._regions import BlockGrid, with_planes
from flowseg.blockwise._results.objects_table import make_objects_table, table_path
from flowseg.blockwise._results.positions import join_positions, positions_in, positions_of_record
from flowseg.blockwise._runs.job import Job
from flowseg.blockwise._stages.decode import Decoding, table_of
from flowseg.blockwise._stages.decodings import FINAL
from flowseg.blockwise._stages.run_data import RunData

if TYPE_CHECKING:
    import zarr

# Levels of a label image at most: sides of 2 ** 36 pixels.
MAX_LEVELS = 26


@dataclass(frozen=True)
class LabelsStage:
    """Writes the labels of each block."""

    decoding: Decoding
    uses_network: bool = False
    name: str = "labels"

    def count(self, job: Job) -> int:
        """Return the number of blocks."""
        return RunData.of(job).grid.n

    def run(self, job: Job, index: int) -> None:
        """Write the labels of one block, and record positions; a block without objects is left out of the store."""
        data, decoding = RunData.of(job), self.decoding
        block, positions = data.grid[index], join_positions([], len(data.shape))
        if decoding.find_pass(data) is not None:
            merged, numbers = decoding.read_merged(job), decoding.read_numbers(job)
            labels = decoding.decoder(data).label(merged, numbers, index, decoding.read_fragments(job))
            window = data.place_of(block)
            labels = labels.reshape([part.stop - part.start for part in window])
            data.labels.write_block(0, window, labels)
            positions = positions_in(labels, [part.start for part in window])
        job.write_record(self.name, index, positions.as_arrays())


@dataclass(frozen=True)
class LevelStage:
    """Writes a level of lower resolution than the one before."""

    level: int
    uses_network: bool = False

    @property
    def name(self) -> str:
        """Name of the stage."""
        return f"level-{string.ascii_lowercase[self.level]}"

    def _grid(self, data: RunData) -> BlockGrid | None:
        shapes = data.labels.level_shapes
        if self.level >= len(shapes):
            return None
        return BlockGrid(with_planes(shapes[self.level]), data.grid.size)

    def count(self, job: Job) -> int:
        """Return the number of blocks of the level, or 0 if there is no such level."""
        grid = self._grid(RunData.of(job))
        return 0 if grid is None else grid.n

    def run(self, job: Job, index: int) -> None:
        """Write one block of the level."""
        data = RunData.of(job)
        grid = self._grid(data)
        if grid is None:
            raise ValueError(f"there is no level {self.level}.")
        data.labels.fill_block(self.level, data.place_of(grid[index]))
        job.write_record(self.name, index, {})


def complete_labels(job: Job) -> zarr.Array:
    """Write the table of objects and the metadata of the labels of a run that is done, and return the labels."""
    data = RunData.of(job)
    stage, described = LabelsStage(FINAL), {}
    if FINAL.find_pass(data) is not None:
        described = table_of(FINAL.read_numbers(job))
    records = (job.read_record(stage.name, index) for index in range(stage.count(job)))
    positions = join_positions(map(positions_of_record, records), len(data.shape))
    size = data.labels.pixel_size
    table = make_objects_table(described, positions, data.shape, None if size is None else size.in_micrometers())
    io.write_table(table_path(Path(job.plan.output)), table)
    return data.labels.finish(positions.n)
