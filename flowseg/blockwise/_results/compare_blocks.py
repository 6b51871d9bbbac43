"""Compare two label images of any size."""

from __future__ import annotations

import numpy as np

from flowseg import _checks
from flowseg._labels.annotation import Region, count_annotated, find_region
from flowseg._labels.overlap_sums import OverlapSums
from flowseg._labels.overlaps import Overlaps
from flowseg.blockwise._results.label_image import LabelImage


def overlaps_of_blocks(true: LabelImage, predicted: LabelImage) -> Overlaps:
    """Return what `find_overlaps` returns for the whole images; memory is for a block and for the pairs of objects."""
    _checks.check_same_shape(predicted.shape, true.shape, predicted.source.location, true.source.location)
    sums, region = OverlapSums(), _find_region(true)
    for window in true.blocks():
        found = predicted.read(window)
        sums.add(true.read(window), found if region is None else np.where(region.within(window), found, 0))
    return sums.overlaps()


def _find_region(true: LabelImage) -> Region | None:
    """Return the annotated planes or box of a volume, as in `leave_out_ignored`."""
    if len(true.shape) < 3:
        return None
    counts = [np.zeros(n, dtype=np.int64) for n in true.shape]
    for window in true.blocks():
        for of_axis, place, of_block in zip(counts, window, count_annotated(true.read(window) >= 0), strict=True):
            of_axis[place] += of_block
    return None if counts[0].sum() == np.prod(true.shape) else find_region(counts)
