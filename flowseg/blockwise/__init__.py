"""Segment images larger than memory, block by block, to the masks of the whole image."""
