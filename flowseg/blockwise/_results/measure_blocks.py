"""Measure the objects of a label image of any size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._labels.measure import Table, is_in_micrometers, measure
from flowseg.blockwise._results.label_image import LabelImage, ObjectWindow
from flowseg.blockwise._stores.source import Source, Window


def measure_blocks(
    labels: LabelImage,
    image: Source | None = None,
    objects: Mapping[str, NDArray[Any]] | None = None,
    *,
    spacing: tuple[float, ...] | None = None,
) -> Table:
    """Return what `measure` returns for the whole image.

    Every object is measured in its own box. Memory is for two blocks along each axis or the box of the largest object,
    and about 250 bytes for each object. Columns in micrometers agree up to rounding, all others exactly.

    Parameters
    ----------
    labels : LabelImage
        Label image.
    image : Source, optional
        Image for the columns of intensity.
    objects : mapping of str to ndarray, optional
        Columns to add, in the order of labels.
    spacing : tuple of float, optional
        Distance between pixels along each axis in micrometers.

    Raises
    ------
    ValueError
        If the image does not have the shape of the labels.
    """
    ndim = len(labels.shape)
    if image is not None:
        axes = "rows and columns" if ndim == 2 else "planes, rows and columns"
        _checks.check_same_shape(image.shape[:-1], labels.shape, f"image ({axes})", "masks")
    corner = (slice(0, 1),) * ndim
    empty = np.zeros((1,) * ndim, dtype=np.int32)
    template = measure(empty, None if image is None else _pixels(image, corner), spacing=spacing)
    table = {name: np.zeros(labels.positions.n, dtype=column.dtype) for name, column in template.items()}
    for window in labels.windows():
        part = measure(window.labels, None if image is None else _pixels(image, window.slices), spacing=spacing)
        for name, column in part.items():
            if table[name].dtype != column.dtype:  # of no objects, the type is not known
                table[name] = table[name].astype(np.promote_types(table[name].dtype, column.dtype))
            table[name][window.index] = column
        _place(table, labels, window)
    positions = labels.positions.columns(spacing)
    table |= {name: column for name, column in positions.items() if name.startswith("centroid")}
    in_pixels = {name: column for name, column in table.items() if not is_in_micrometers(name)}
    return {**in_pixels, **_new(objects, table), **table}


def _new(objects: Mapping[str, NDArray[Any]] | None, table: Table) -> Table:
    return {name: column for name, column in (objects or {}).items() if name not in table}


def _place(table: Table, labels: LabelImage, window: ObjectWindow) -> None:
    """Give boxes their place in the image."""
    for k in range(labels.positions.boxes.shape[1]):
        table[f"bbox-{k}"][window.index] = labels.positions.boxes[window.index, k]


def _pixels(image: Source, window: Window) -> NDArray[Any]:
    """Return a part as `read_image` returns images: without an axis for one channel."""
    part = image.read(*window)
    return part[..., 0] if image.n_channels == 1 else part
