"""Images and masks that were given in each other's place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._labels.check import check_masks
from flowseg.cli._shared.annotation_files import read_raw_masks
from flowseg.cli._shared.errors import FAULTS
from flowseg.cli._shared.image_reading import Reading

# Findings of an array that holds no masks, and findings that mean the same where most labels have them.
NO_MASKS = frozenset({"dtype", "color", "shape", "picture"})
TORN = frozenset({"reused label", "disconnected", "specks"})
MOST = 0.5


def check_not_swapped(image: Path, masks: Path, reading: Reading) -> None:
    """Refuse masks in the place of an image and the image in the place of its masks."""
    try:
        swapped = _look_like_masks(reading.read(image)) and _look_like_masks(read_raw_masks(masks)) is False
    except FAULTS:  # reported when they are read
        return
    if swapped:
        raise ValueError(f"IMAGES and MASKS look swapped: {image} looks like masks, {masks} like an image.")


def _look_like_masks(array: NDArray[Any]) -> bool | None:
    """Whether most labels are on one object each; None where there are too few to decide."""
    report = check_masks(array, min_size=0)
    if any(finding.kind in NO_MASKS for finding in report.findings):
        return False
    if report.n_objects < 2:
        return None
    torn = [finding.labels for finding in report.findings if finding.kind in TORN]
    return not torn or np.unique(np.concatenate(torn)).size < MOST * report.n_objects
