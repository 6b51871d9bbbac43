"""Describe which part of a label image is annotated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._labels.annotation import find_annotation
from flowseg._labels.faults.findings import Finding


def check_annotation(array: NDArray[Any]) -> Iterator[Finding]:
    """Find images without objects, and pixels without annotation."""
    if np.all(array < 0):
        yield Finding("empty", "no pixel is annotated: all are negative.")
        return
    if not np.any(array > 0):
        yield Finding("empty", "no object.", wrong=False)
    share = np.mean(array < 0)
    if share == 0:
        return
    what = f"{share:.1%} of the {'pixels' if array.ndim == 2 else 'voxels'} are negative: ignored by training"
    if array.ndim == 3:
        what += f"; {_describe_planes(array)}"
    yield Finding("ignored", f"{what}.", wrong=False)


def _describe_planes(array: NDArray[Any]) -> str:
    """Return which planes of a volume are annotated, as words."""
    annotation = find_annotation(array)
    if annotation is None:
        return "no whole planes are annotated, so that objects are taken as they are"
    if not any(annotation.counts):
        return "one box is annotated, and objects that it cuts teach no flows"
    names = ("planes", "planes of rows", "planes of columns")
    of_axes = zip(annotation.counts, array.shape, names, strict=True)
    named = " and ".join(f"{n} of {total} {name}" for n, total, name in of_axes if n)
    return f"{named} are annotated, and objects are completed between them"
