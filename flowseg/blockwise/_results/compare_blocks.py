"""Compare two label images of any size."""

from __future__ import annotations

from flowseg import _checks
from flowseg._labels.overlap_sums import OverlapSums
from flowseg._labels.overlaps import Overlaps
from flowseg.blockwise._results.label_image import LabelImage


def overlaps_of_blocks(true: LabelImage, predicted: LabelImage) -> Overlaps:
    """Return what `find_overlaps` returns for the whole images; memory is for a block and for the pairs of objects."""
    _checks.check_same_shape(predicted.shape, true.shape, predicted.source.location, true.source.location)
    sums = OverlapSums()
    for window in true.blocks():
        sums.add(true.read(window), predicted.read(window))
    return sums.overlaps()
