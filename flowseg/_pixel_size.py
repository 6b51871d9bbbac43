"""The size of a pixel, as TIFF files say it."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

import tifffile

from flowseg import _files

# Micrometres per unit, by the names that OME and ImageJ give them.
MICROMETRES = {
    "um": 1.0, "µm": 1.0, "μm": 1.0, "\\u00b5m": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0,
    "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "pm": 1e-6, "å": 1e-4,
}  # fmt: skip
# TIFF's own code for resolution per centimetre; its inches are 72 dpi and mean nothing.
CENTIMETRES = 3

PixelSize = tuple[float, float]


def read_pixel_size(path: str | os.PathLike[str]) -> PixelSize | None:
    """Size of a pixel in micrometres.

    Parameters
    ----------
    path : path
        Image file.

    Returns
    -------
    size : (float, float) or None
        Height and width. None if the file does not say: only OME-TIFF, ImageJ's TIFF and TIFF with a resolution per
        centimetre do; a resolution per inch is the printer's.

    Raises
    ------
    ValueError
        If the file is a damaged TIFF.
    """
    file = Path(path)
    if file.suffix.lower() not in (".tif", ".tiff"):
        return None
    with _files.naming_what_is_damaged(file, "TIFF file"), tifffile.TiffFile(file) as tiff:
        if tiff.ome_metadata:
            return _from_ome(tiff.ome_metadata)
        return _from_tags(tiff)


def _from_ome(text: str) -> PixelSize | None:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return None
    pixels = next((node.attrib for node in ElementTree.fromstring(text).iter() if node.tag.endswith("}Pixels")), {})
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
    return (height, width) if 0 < height < float("inf") and 0 < width < float("inf") else None
