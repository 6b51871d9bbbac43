"""Segment images larger than memory, block by block, to the masks of the whole image."""

from flowseg.blockwise._runs.job_arrays import finish, run_part
from flowseg.blockwise._segment import plan, segment

__all__ = ["finish", "plan", "run_part", "segment"]
