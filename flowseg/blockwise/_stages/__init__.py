"""The stages of a run of a segmenter."""
