"""The stages that turn outputs into masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowseg.blockwise._objects.decoder import BlockDecoder, Record
from flowseg.blockwise._objects.windows import intersection
from flowseg.blockwise._regions import Block
from flowseg.blockwise._runs.job import Job
from flowseg.blockwise._stages.run_data import RunData
from flowseg.blockwise._stages.tile_outputs import as_planes


@dataclass(frozen=True)
class Decoding:
    """One way from outputs to objects; its stages have its letter in their names.

    Parameters
    ----------
    suffix : str
        Ending of the stages' names.
    decoder : callable
        Returns the decoder, given the data of a run.
    find_pass : callable
        Returns the number of the pass of the network whose outputs are decoded, or None if there is nothing to decode.
    """

    suffix: str
    decoder: Callable[[RunData], BlockDecoder]
    find_pass: Callable[[RunData], int | None]

    @property
    def fragments(self) -> str:
        """Name of the stage that finds fragments."""
        return f"fragments{self.suffix}"

    @property
    def merge(self) -> str:
        """Name of the stage that merges them."""
        return f"merge{self.suffix}"

    @property
    def check(self) -> str:
        """Name of the stage that checks objects."""
        return f"check{self.suffix}"

    @property
    def objects(self) -> str:
        """Name of the stage that numbers objects."""
        return f"objects{self.suffix}"

    def read_fragments(self, job: Job) -> Callable[[int], NDArray[np.int32]]:
        """Return the function that reads the label image of a block's fragments."""
        return lambda index: np.asarray(job.read_large(self.fragments, index, "fragments"), dtype=np.int32)

    def read_outputs(self, data: RunData) -> Callable[[Block], NDArray[np.float32]]:
        """Return the function that reads outputs in a box of the image."""
        number = self.find_pass(data)
        if number is None:
            raise ValueError("there are no outputs to decode.")
        return data.outputs_reader(number)

    def read_flows(self, data: RunData) -> Callable[[Block], NDArray[np.float32]]:
        """Return the function that reads flows in a box of the image: as kept by blocks, or else from the outputs."""
        outputs, number = self.read_outputs(data), self.find_pass(data)

        def read(box: Block) -> NDArray[np.float32]:
            if number is None or not data.is_scaled(number):
                return as_planes(outputs(box))[0]
            window = np.empty((len(data.shape), *box.shape), dtype=np.float32)
            for block in data.grid.touched(box):
                common = intersection(block, box)
                kept = data.job.read_large(self.fragments, block.index, "flows")
                window[(slice(None), *common.inside(box))] = kept[(slice(None), *common.inside(block))]
            return window

        return read

    def read_merged(self, job: Job) -> Record:
        """Return the merged objects; read once per process."""
        return job.keep(self.merge, lambda: job.read_record(self.merge, 0))

    def read_numbers(self, job: Job) -> Record:
        """Return the final labels and the table of objects; read once per process."""
        return job.keep(self.objects, lambda: job.read_record(self.objects, 0))


@dataclass(frozen=True)
class FragmentsStage:
    """Finds the fragments of objects in each block."""

    decoding: Decoding
    uses_network: bool = False

    @property
    def name(self) -> str:
        """Name of the stage."""
        return self.decoding.fragments

    def count(self, job: Job) -> int:
        """Return the number of blocks."""
        data = RunData.of(job)
        return 0 if self.decoding.find_pass(data) is None else data.grid.n

    def run(self, job: Job, index: int) -> None:
        """Find the fragments of one block."""
        data = RunData.of(job)
        record, large = self.decoding.decoder(data).find_fragments(index, self.decoding.read_outputs(data))
        job.write_record(self.name, index, record, large)


@dataclass(frozen=True)
class MergeStage:
    """Merges fragments to objects."""

    decoding: Decoding
    uses_network: bool = False

    @property
    def name(self) -> str:
        """Name of the stage."""
        return self.decoding.merge

    def count(self, job: Job) -> int:
        """Return 1, or 0 if there is nothing to decode."""
        return int(self.decoding.find_pass(RunData.of(job)) is not None)

    def run(self, job: Job, index: int) -> None:
        """Merge the fragments of all blocks."""
        data = RunData.of(job)
        # One by one: those of all blocks need not fit into memory.
        records = (job.read_record(self.decoding.fragments, k) for k in range(data.grid.n))
        merged = self.decoding.decoder(data).merge(records, self.decoding.read_fragments(job))
        job.write_record(self.name, index, merged)


@dataclass(frozen=True)
class CheckStage:
    """Looks at the objects that each block owns."""

    decoding: Decoding
    uses_network: bool = False

    @property
    def name(self) -> str:
        """Name of the stage."""
        return self.decoding.check

    def count(self, job: Job) -> int:
        """Return the number of blocks, or 0 if objects need no check."""
        data = RunData.of(job)
        if self.decoding.find_pass(data) is None or not self.decoding.decoder(data).needs_check:
            return 0
        return data.grid.n

    def run(self, job: Job, index: int) -> None:
        """Check the objects of one block."""
        data, decoding = RunData.of(job), self.decoding
        merged, fragments = decoding.read_merged(job), decoding.read_fragments(job)
        checked = decoding.decoder(data).check(merged, index, fragments, decoding.read_flows(data))
        job.write_record(self.name, index, checked)


@dataclass(frozen=True)
class ObjectsStage:
    """Numbers the objects that stay, and describes them."""

    decoding: Decoding
    uses_network: bool = False

    @property
    def name(self) -> str:
        """Name of the stage."""
        return self.decoding.objects

    def count(self, job: Job) -> int:
        """Return 1, or 0 if there is nothing to decode."""
        return int(self.decoding.find_pass(RunData.of(job)) is not None)

    def run(self, job: Job, index: int) -> None:
        """Number all objects. Columns of the table are saved as ``table-NAME``."""
        data, decoding = RunData.of(job), self.decoding
        checks = [job.read_record(decoding.check, k) for k in range(CheckStage(decoding).count(job))]
        numbers, table = decoding.decoder(data).number(decoding.read_merged(job), checks)
        job.write_record(self.name, index, {**numbers, **{f"table-{name}": column for name, column in table.items()}})


def table_of(record: Record) -> Record:
    """Return the table of objects in a record of `ObjectsStage`."""
    return {name.removeprefix("table-"): column for name, column in record.items() if name.startswith("table-")}
