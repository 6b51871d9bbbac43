"""Segment images larger than memory, block by block, to the masks of the whole image."""

from flowseg.blockwise._job_arrays import finish, plan, run_part

__all__ = ["finish", "plan", "run_part"]
