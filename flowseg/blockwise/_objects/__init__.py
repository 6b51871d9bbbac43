"""Objects, block by block: those of the whole image."""
