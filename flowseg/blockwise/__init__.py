"""Segment images larger than memory, block by block, to the masks of the whole image."""

from flowseg.blockwise._segment import finish, plan, run_part, segment

__all__ = ["finish", "plan", "run_part", "segment"]
