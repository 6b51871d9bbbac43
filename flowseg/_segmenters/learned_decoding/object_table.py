"""A table of predicted objects: area, flow error, mean logit, and whether they touch the border."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._flows.flow_check import flow_errors
from flowseg._flows.logit_sums import as_logit_units, mean_logits
from flowseg._labels.diameters import diameters_of_sizes, size_column
from flowseg._nets.lattice import PixelShape

# Pixels that are counted at a time: `np.bincount` makes 64-bit copies of its arguments.
CHUNK = 1 << 20

Table = dict[str, NDArray[Any]]


def as_learned(objects: Table, pixel: PixelShape | None) -> Table:
    """Return a table with diameters in pixels of the training images, which scores are learned from."""
    if pixel is None or pixel.relative_size == 1:
        return objects
    return objects | {"diameter": objects["diameter"] * pixel.relative_size}


def sizes_in(objects: Table) -> NDArray[np.int64]:
    """Return the column of a table that counts the pixels of objects."""
    return objects["area"] if "area" in objects else objects["volume"]


def describe_objects(
    masks: NDArray[Any],
    flows: NDArray[np.float32],
    cellprob: NDArray[np.float32],
    *,
    pixel: PixelShape | None = None,
    workers: int | None,
) -> Table:
    """Return a table with one entry per object 1..n: label, area, diameter, flow_error, cellprob, touches_border.

    ``masks`` must hold every number from 1 to n, as `flows_to_masks` returns them. Objects of a volume have ``volume``,
    their number of voxels, instead of area. ``pixel`` is the shape of pixels, by default the same along every axis.
    """
    number, logits = masks.ravel(), cellprob.ravel()
    n = int(masks.max())
    areas, sums = np.zeros((2, n + 1), dtype=np.int64)
    for start in range(0, number.size, CHUNK):
        part = slice(start, start + CHUNK)
        areas += np.bincount(number[part], minlength=n + 1)
        sums += np.bincount(number[part], as_logit_units(logits[part]), n + 1).astype(np.int64)  # whole numbers
    areas, sums = areas[1:], sums[1:]
    at_border = np.zeros(n + 1, dtype=bool)
    for axis in range(masks.ndim):
        if masks.shape[axis] > 1:  # as in `flows_to_masks`
            at_border[masks.take([0, -1], axis)] = True
    return {
        "label": np.arange(1, n + 1),
        size_column(masks.ndim): areas,
        "diameter": diameters_of_sizes(areas, (1.0,) * masks.ndim if pixel is None else pixel.ratios),
        "flow_error": flow_errors(masks, flows, workers=workers),
        "cellprob": mean_logits(sums, areas),
        "touches_border": at_border[1:],
    }
