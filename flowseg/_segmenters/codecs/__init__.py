"""Codecs: masks to the target of a network, and its outputs to masks. One file per segmenter."""
