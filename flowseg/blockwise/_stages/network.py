"""The stages that run the network, and those that choose the size at which it sees objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowseg._labels.diameters import size_column
from flowseg._nets.sizes import MAX_PASSES, diameter_of_sizes
from flowseg._nets.tiles import run_tile
from flowseg.blockwise._runs.job import Job
from flowseg.blockwise._stages.decode import Decoding
from flowseg.blockwise._stages.run_data import RunData, outputs_stage, size_stage


@dataclass(frozen=True)
class NetworkStage:
    """One pass of the network over the image, tile by tile."""

    pass_number: int
    uses_network: bool = True

    @property
    def name(self) -> str:
        """Name of the stage."""
        return outputs_stage(self.pass_number)

    def count(self, job: Job) -> int:
        """Return the number of tiles, or 0 if this pass is not needed."""
        data = RunData.of(job)
        return 0 if data.size_of_pass(self.pass_number) is None else data.tiles(self.pass_number).n_tiles

    def run(self, job: Job, index: int) -> None:
        """Run the network on one tile."""
        from flowseg._nets.inference import view_image

        data = RunData.of(job)
        limits = data.limits
        if limits is None:
            raise ValueError("a constant image has no outputs.")
        view = view_image(data.source, limits, data.factors(self.pass_number))
        outputs = run_tile(data.runner.run, view, data.tiles(self.pass_number).tile(index))
        if not np.isfinite(outputs).all():
            raise ValueError(
                f"image must have values that the network can take; got outputs that are not finite in tile {index}."
            )
        # Each output by itself, as decoders read them.
        job.write_record(self.name, index, {}, {"outputs": np.ascontiguousarray(np.moveaxis(outputs, -1, 0))})


@dataclass(frozen=True)
class SizeStage:
    """Chooses the size for the next pass from the objects that the last one has found."""

    pass_number: int
    decoding: Decoding
    uses_network: bool = False

    @property
    def name(self) -> str:
        """Name of the stage."""
        return size_stage(self.pass_number)

    def count(self, job: Job) -> int:
        """Return 1, or 0 if there was no such pass."""
        return int(RunData.of(job).size_of_pass(self.pass_number) is not None)

    def run(self, job: Job, index: int) -> None:
        """Write the next size; NaN: the last pass is kept. As in `_segmenters.size_estimate`."""
        data = RunData.of(job)
        labels = job.read_record(self.decoding.objects, 0)
        ratios = data.pixel.ratios
        found = diameter_of_sizes(np.asarray(labels[f"table-{size_column(len(ratios))}"], dtype=np.int64), ratios)
        asked, seen = data.size_of_pass(self.pass_number), data.seen_size(self.pass_number)
        size = None
        if asked is not None and self.pass_number + 1 < MAX_PASSES and not data.is_reduced(self.pass_number):
            size = data.search.next_pass(asked, seen, found)
        job.write_record(self.name, index, {"size": np.array(np.nan if size is None else size)})
