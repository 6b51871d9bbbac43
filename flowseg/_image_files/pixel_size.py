"""The size of a pixel, as TIFF files and the formats of microscope vendors hold it."""

from __future__ import annotations

import os
from pathlib import Path

import tifffile

from flowseg import _checks
from flowseg._image_files.bioio_formats import is_vendor_file, scene_pixel_size
from flowseg._image_files.ome_zarr.images import find_image
from flowseg._image_files.ome_zarr.nodes import is_zarr
from flowseg._image_files.source import TRANSPOSED
from flowseg._image_files.tiff import KIND, is_tiff, open_series, orientation_of
from flowseg._image_files.xml import parse_xml
from flowseg._system.invalid_file import StoredFile

# Micrometers per unit, by the names that OME and ImageJ give them.
MICROMETERS = {
    "um": 1.0, "µm": 1.0, "μm": 1.0, "\\u00b5m": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0,
    "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "pm": 1e-6, "å": 1e-4,
}  # fmt: skip
# TIFF's own code for resolution per centimeter; its inches are 72 dpi and mean nothing.
CENTIMETERS = 3
# Tags of the resolution of rows and of columns, fractions of pixels per unit, and of the unit.
RESOLUTIONS, RESOLUTION_UNIT = ("YResolution", "XResolution"), "ResolutionUnit"

PixelSize = tuple[float, float]


def read_pixel_size(path: str | os.PathLike[str], *, scene: int | str | None = None) -> PixelSize | None:
    """Read the size of a pixel in micrometers.

    Parameters
    ----------
    path : path
        Image file.
    scene : int or str, optional
        Which image of a file that holds several, as for `read_image`.

    Returns
    -------
    size : (float, float) or None
        Height and width. None if the file does not hold it: only OME-TIFF, ImageJ's TIFF, TIFF with a resolution per
        centimeter and the formats of microscope vendors do. A resolution per inch is meant for printing. None, too,
        where the size is below 1e-5 or above 1e9: meters without their unit.

    Raises
    ------
    ImportError
        If the file has a vendor's format and the package that reads it is not installed; the message names it.
    InvalidFileError
        If the file is damaged.
    ValueError
        If the file holds several images and `scene` is not given.

    Examples
    --------
    >>> from flowseg import io
    >>> io.write_masks("cells.tif", [[0, 1], [2, 2]], pixel_size=(0.5, 0.25))
    >>> io.read_pixel_size("cells.tif")
    (0.5, 0.25)
    """
    file = Path(path)
    if is_zarr(file):
        size = find_image(str(file), scene).pixel_size()
        return None if size is None else _valid(*size)
    if is_vendor_file(file):
        size = scene_pixel_size(file, scene)
        return None if size is None else _valid(*size)
    if not is_tiff(file):
        return None
    stored = StoredFile(file, KIND)
    with open_series(file, scene) as (tiff, series, number):
        with stored.parsing():
            metadata, is_transposed = tiff.ome_metadata, orientation_of(series.keyframe) in TRANSPOSED
        size = _from_ome(metadata, number, stored) if metadata else _from_tags(tiff, stored)
        return size[::-1] if size and is_transposed else size


def _from_ome(text: str, number: int, stored: StoredFile) -> PixelSize | None:
    images = [node.attrib for node in parse_xml(text, stored).iter() if node.tag.endswith("}Pixels")]
    pixels = images[number] if number < len(images) else {}
    sizes = []
    for axis in "YX":
        unit = MICROMETERS.get(pixels.get(f"PhysicalSize{axis}Unit", "µm").lower())
        if unit is None or f"PhysicalSize{axis}" not in pixels:
            return None
        with stored.parsing(ValueError):
            sizes.append(unit * float(pixels[f"PhysicalSize{axis}"]))
    return _valid(sizes[0], sizes[1])


def _from_tags(tiff: tifffile.TiffFile, stored: StoredFile) -> PixelSize | None:
    with stored.parsing():
        tags, imagej = tiff.pages[0].tags, tiff.imagej_metadata or {}
        values = {name: tags[name].value for name in (*RESOLUTIONS, RESOLUTION_UNIT) if name in tags}
    unit = MICROMETERS.get(str(imagej.get("unit", "")).lower())
    if unit is None and values.get(RESOLUTION_UNIT) == CENTIMETERS:
        unit = MICROMETERS["cm"]
    if unit is None or not all(name in values for name in RESOLUTIONS):
        return None
    sizes = []
    for name in RESOLUTIONS:
        fraction = values[name]  # pixels, units
        if not isinstance(fraction, tuple) or len(fraction) != 2 or not all(type(n) is int for n in fraction):
            raise stored.invalid(f"the tag {name} with {fraction!r}")
        if not fraction[0]:
            return None
        sizes.append(unit * fraction[1] / fraction[0])
    return _valid(sizes[0], sizes[1])


def _valid(height: float, width: float) -> PixelSize | None:
    low, high = _checks.PIXEL_SIZES
    return (height, width) if low <= height <= high and low <= width <= high else None
