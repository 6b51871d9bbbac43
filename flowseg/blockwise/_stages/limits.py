"""The stages that find the limits of intensities: passes over the blocks, each planned from the one before."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from flowseg._intensities import Limits
from flowseg.blockwise._limits.passes import MARGIN, first_pass, next_pass, plan_next
from flowseg.blockwise._limits.search import LimitsRequest, LimitsSearch
from flowseg.blockwise._regions import Block
from flowseg.blockwise._runs.job import Job

if TYPE_CHECKING:
    from flowseg.blockwise._stages.run_data import RunData

# Passes over an image at most: the first, one that judges padding, and twice the four that numbers of 64 bits take.
MAX_SCANS = 10


def scan_name(number: int) -> str:
    """Return the name of the stage of a pass."""
    return f"scan-{string.ascii_lowercase[number]}"


def search_name(number: int) -> str:
    """Return the name of the stage that plans what comes after a pass."""
    return f"search-{string.ascii_lowercase[number]}"


@dataclass(frozen=True)
class ScanStage:
    """One pass over the image, block by block."""

    number: int
    uses_network: bool = False

    @property
    def name(self) -> str:
        """Name of the stage."""
        return scan_name(self.number)

    def count(self, job: Job) -> int:
        """Return the number of blocks, or 0 if the limits are known."""
        from flowseg.blockwise._stages.run_data import RunData

        data = RunData.of(job)
        known = self.number > 0 and _is_done(job, self.number - 1)
        return 0 if known else data.grid.n

    def run(self, job: Job, index: int) -> None:
        """Look at one block."""
        from flowseg.blockwise._stages.run_data import RunData

        data = RunData.of(job)
        request = _request(data)
        block = data.grid[index]
        if self.number == 0:
            record = first_pass(_read(data, block), block, request)
        else:
            window = block.window(MARGIN, data.grid.shape)
            record = next_pass(_read(data, window), block, request, _search(job, self.number - 1))
        job.write_record(self.name, index, record)


@dataclass(frozen=True)
class SearchStage:
    """Plans the next pass."""

    number: int
    uses_network: bool = False

    @property
    def name(self) -> str:
        """Name of the stage."""
        return search_name(self.number)

    def count(self, job: Job) -> int:
        """Return 1, or 0 if the limits are known."""
        return 0 if self.number > 0 and _is_done(job, self.number - 1) else 1

    def run(self, job: Job, index: int) -> None:
        """Put the records of a pass together."""
        from flowseg.blockwise._stages.run_data import RunData

        data = RunData.of(job)
        records = (job.read_record(scan_name(self.number), k) for k in range(data.grid.n))
        before = None if self.number == 0 else _search(job, self.number - 1)
        search = plan_next(records, _request(data), before)
        job.write_record(self.name, index, search.as_arrays())


def read_limits(data: RunData) -> Limits | None:
    """Return the limits that the stages have found; None for a constant image."""
    number = next(k for k in range(MAX_SCANS) if _is_done(data.job, k))
    return _search(data.job, number).limits(_request(data))


def _search(job: Job, number: int) -> LimitsSearch:
    return job.keep(search_name(number), lambda: LimitsSearch.from_arrays(job.read_record(search_name(number), 0)))


def _is_done(job: Job, number: int) -> bool:
    """Return whether the limits are known after a pass; a pass that was not needed has no plan."""
    return any(_search(job, earlier).is_done for earlier in range(number + 1))


def _request(data: RunData) -> LimitsRequest:
    source = data.source
    normalize = data.pipeline.settings.normalize
    return LimitsRequest(data.grid, source.dtype, source.n_channels, normalize, source.ndim)


def _read(data: RunData, box: Block) -> NDArray[Any]:
    """Return a box of the image, shape (planes, rows, columns, channels)."""
    window = data.source.read(*data.place_of(box))
    return window.reshape(*box.shape, window.shape[-1])
