"""Annotated images that ship with flowseg, for first steps, examples and tests; nothing is downloaded."""

from flowseg.datasets._nuclei import Nuclei, nuclei

__all__ = ["Nuclei", "nuclei"]
