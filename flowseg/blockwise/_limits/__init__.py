"""Limits of intensities, block by block."""
