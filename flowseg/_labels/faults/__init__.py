"""Faults of label images: what `check_masks` looks for."""
