"""The size of a pixel, as TIFF files and those of microscopes' makers say it."""

from __future__ import annotations

import os
from pathlib import Path

import tifffile

from flowseg import _checks
from flowseg._image_files.source import TRANSPOSED
from flowseg._image_files.tiff import is_tiff, open_series, orientation_of
from flowseg._image_files.vendor import is_vendor_file, scene_pixel_size
from flowseg._image_files.xml import parse_xml
from flowseg._system import files

# Micrometres per unit, by the names that OME and ImageJ give them.
MICROMETRES = {
    "um": 1.0, "µm": 1.0, "μm": 1.0, "\\u00b5m": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0,
    "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "pm": 1e-6, "å": 1e-4,
}  # fmt: skip
# TIFF's own code for resolution per centimetre; its inches are 72 dpi and mean nothing.
CENTIMETRES = 3

PixelSize = tuple[float, float]


def read_pixel_size(path: str | os.PathLike[str], *, scene: int | str | None = None) -> PixelSize | None:
    """Size of a pixel in micrometres.

    Parameters
    ----------
    path : path
        Image file.
    scene : int or str, optional
        Which image of a file that holds several, as for `read_image`.

    Returns
    -------
    size : (float, float) or None
        Height and width. None if the file does not say: only OME-TIFF, ImageJ's TIFF, TIFF with a resolution per
        centimetre and the formats of microscopes' makers do; a resolution per inch is the printer's. None, too, where
        what it says is below 1e-5 or above 1e9: metres, say, without their unit.

    Raises
    ------
    ImportError
        If the file is of a maker's format and the package that reads it is not installed; the sentence names it.
    ValueError
        If the file is damaged, or holds several images and `scene` does not say which.

    Examples
    --------
    >>> from flowseg import io
    >>> io.write_masks("cells.tif", [[0, 1], [2, 2]], pixel_size=(0.5, 0.25))
    >>> io.read_pixel_size("cells.tif")
    (0.5, 0.25)
    """
    file = Path(path)
    if is_vendor_file(file):
        size = scene_pixel_size(file, scene)
        return None if size is None else _valid(*size)
    if not is_tiff(file):
        return None
    with open_series(file, scene) as (tiff, series, number):
        with files.naming_what_is_damaged(file, "TIFF file"):
            size = _from_ome(tiff.ome_metadata, number) if tiff.ome_metadata else _from_tags(tiff)
        return size[::-1] if size and orientation_of(series.keyframe) in TRANSPOSED else size


def _from_ome(text: str, number: int) -> PixelSize | None:
    images = [node.attrib for node in parse_xml(text).iter() if node.tag.endswith("}Pixels")]
    pixels = images[number] if number < len(images) else {}
    sizes = []
    for axis in "YX":
        unit = MICROMETRES.get(pixels.get(f"PhysicalSize{axis}Unit", "µm").lower())
        if unit is None or f"PhysicalSize{axis}" not in pixels:
            return None
        sizes.append(unit * float(pixels[f"PhysicalSize{axis}"]))
    return _valid(sizes[0], sizes[1])


def _from_tags(tiff: tifffile.TiffFile) -> PixelSize | None:
    tags = tiff.pages[0].tags
    if "XResolution" not in tags or "YResolution" not in tags:
        return None
    unit = MICROMETRES.get(str((tiff.imagej_metadata or {}).get("unit", "")).lower())
    if unit is None and "ResolutionUnit" in tags and tags["ResolutionUnit"].value == CENTIMETRES:
        unit = MICROMETRES["cm"]
    if unit is None:
        return None
    (row, per_row), (column, per_column) = tags["YResolution"].value, tags["XResolution"].value
    if not row or not column:
        return None
    return _valid(unit * per_row / row, unit * per_column / column)


def _valid(height: float, width: float) -> PixelSize | None:
    low, high = _checks.PIXEL_SIZES
    return (height, width) if low <= height <= high and low <= width <= high else None
