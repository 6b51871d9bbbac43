"""Measure objects: sizes, shapes, intensities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from skimage.measure import regionprops_table

from flowseg import _checks
from flowseg._labels.overlaps import number_objects

# Columns of `skimage.measure.regionprops_table`, and those that need an image.
SHAPE_COLUMNS = (
    "label", "area", "bbox", "centroid", "equivalent_diameter_area", "perimeter", "major_axis_length",
    "minor_axis_length", "orientation", "eccentricity", "solidity", "extent", "feret_diameter_max",
)  # fmt: skip
INTENSITY_COLUMNS = ("intensity_mean", "intensity_min", "intensity_max", "intensity_std")

# Columns that have a unit; the perimeter is added to them.
SCALED_COLUMNS = (
    "area", "equivalent_diameter_area", "major_axis_length", "minor_axis_length", "feret_diameter_max", "centroid",
)  # fmt: skip

# Suffixes of the names of columns in micrometers and square micrometers.
LENGTH_SUFFIX, AREA_SUFFIX = "_um", "_um2"

# Pixels are square if their sides differ by less than this share. Source: files round pixel sizes to three digits.
SQUARE_TOLERANCE = 1e-3

Table = dict[str, NDArray[Any]]


def measure(
    masks: ArrayLike,
    image: ArrayLike | None = None,
    objects: Mapping[str, ArrayLike] | None = None,
    *,
    spacing: ArrayLike | None = None,
) -> Table:
    """Measure every object of a label image.

    Parameters
    ----------
    masks : array_like of int, shape (rows, columns)
        Label image.
    image : array_like, shape (rows, columns) or (rows, columns, channels), optional
        Image for the columns of intensity, per channel.
    objects : mapping of str to array_like, optional
        Columns to add, as from `FlowSegmenter.predict_objects`. A column ``label`` must be that of the masks.
    spacing : (float, float), optional
        Height and width of a pixel in micrometers, as from `io.read_pixel_size`, for columns in micrometers.

    Returns
    -------
    table : dict of ndarray, shape (n_objects,)
        One column per name, ready for ``pandas.DataFrame``: those of `skimage.measure.regionprops_table`, then those of
        `objects`. Lengths and areas are in pixels, orientation in radians. With `spacing` also ``area_um2`` and
        ``equivalent_diameter_area_um``, ``perimeter_um``, ``major_axis_length_um``, ``minor_axis_length_um``,
        ``feret_diameter_max_um``, ``centroid_um-0`` and ``centroid_um-1``. ``perimeter_um`` is NaN for pixels that are
        not square.

    Raises
    ------
    TypeError, ValueError
        If masks, image and objects do not have the same shape and labels.

    Examples
    --------
    >>> import numpy as np
    >>> import flowseg
    >>> table = flowseg.measure(np.array([[0, 3, 3], [0, 3, 3]]))
    >>> int(table["label"][0]), float(table["area"][0]), float(table["centroid-1"][0])
    (3, 4.0, 1.5)
    >>> float(flowseg.measure(np.array([[0, 3, 3], [0, 3, 3]]), spacing=(0.5, 0.5))["area_um2"][0])
    1.0
    """
    array = _checks.as_countable(masks, "masks", ndims=(2,))
    labels, number, _ = number_objects(array)
    numbered = number.reshape(array.shape)  # scikit-image allocates memory for every number up to the largest
    columns: tuple[str, ...] = SHAPE_COLUMNS
    picture = None
    if image is not None:
        picture = _checks.as_image(image)
        _checks.check_same_shape(picture.shape[:2], array.shape, "image (rows and columns)", "masks")
        if picture.dtype == np.float16:  # sums of float16 overflow
            picture = picture.astype(np.float32)
        columns += INTENSITY_COLUMNS
    table: Table = regionprops_table(numbered, picture, properties=columns)
    table["label"] = labels.astype(np.int64)
    for name, values in (objects or {}).items():
        column = np.asarray(values)
        _checks.check_same_shape(column.shape, table["label"].shape, f"objects[{name!r}]", "one value per object")
        if name == "label" and not np.array_equal(column, table["label"]):
            raise ValueError("objects must have the labels of masks; got others.")
        table.setdefault(name, column)
    return table if spacing is None else table | _measure_micrometers(numbered, _checks.as_spacing(spacing, 2), table)


def _measure_micrometers(numbered: NDArray[Any], size: NDArray[np.float64], table: Table) -> Table:
    """Return lengths and areas in micrometers; scikit-image has no perimeter for pixels that are not square."""
    scaled = regionprops_table(numbered, properties=SCALED_COLUMNS, spacing=tuple(size))
    square = np.isclose(size[0], size[1], rtol=SQUARE_TOLERANCE)
    scaled["perimeter"] = table["perimeter"] * (size.mean() if square else np.nan)
    columns = {}
    for name, values in scaled.items():
        base, dash, axis = name.partition("-")
        columns[f"{base}{AREA_SUFFIX if base == 'area' else LENGTH_SUFFIX}{dash}{axis}"] = values
    return columns


def is_in_micrometers(column: str) -> bool:
    """Return whether a column depends on the size of a pixel."""
    return column.partition("-")[0].endswith((LENGTH_SUFFIX, AREA_SUFFIX))
