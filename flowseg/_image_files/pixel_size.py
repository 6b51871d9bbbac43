"""The size of a pixel and the distance between planes, as TIFF, OME-Zarr and the formats of vendors hold them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import tifffile

from flowseg import _checks
from flowseg._image_files.bioio_formats import is_vendor_file, scene_pixel_sizes
from flowseg._image_files.ome_zarr.images import find_image
from flowseg._image_files.ome_zarr.nodes import is_zarr
from flowseg._image_files.opening import open_image
from flowseg._image_files.selection import name_axes
from flowseg._image_files.source import TRANSPOSED
from flowseg._image_files.tiff import KIND, is_tiff, open_series, orientation_of
from flowseg._image_files.xml import parse_xml
from flowseg._system.invalid_file import StoredFile

# Micrometers per unit, by the names that OME and ImageJ give them.
MICROMETERS = {
    "um": 1.0, "µm": 1.0, "μm": 1.0, "\\u00b5m": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0,
    "micrometers": 1.0, "nm": 1e-3, "nanometer": 1e-3, "nanometers": 1e-3, "mm": 1e3, "millimeter": 1e3,
    "millimeters": 1e3, "cm": 1e4, "centimeter": 1e4, "m": 1e6, "meter": 1e6, "pm": 1e-6, "å": 1e-4,
}  # fmt: skip
# TIFF's own code for resolution per centimeter; its inches are 72 dpi and mean nothing.
CENTIMETERS = 3
# Tags of the resolution along rows and columns, fractions of pixels per unit, and of the unit.
RESOLUTIONS, RESOLUTION_UNIT = {"Y": "YResolution", "X": "XResolution"}, "ResolutionUnit"
# ImageJ's names of the distance between planes, of the unit, and of units of single axes that differ from it.
SPACING, UNIT, OTHER_UNITS = "spacing", "unit", {"Z": "zunit", "Y": "yunit"}
# Axes of an image, and of a volume.
PLANE, VOLUME = "YX", "ZYX"

PixelSize = tuple[float, float]
Spacing = tuple[float, float, float]


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
        centimeter, OME-Zarr and the formats of microscope vendors do. A resolution per inch is meant for printing.
        None, too, where the size is below 1e-5 or above 1e9: meters without their unit.

    Raises
    ------
    ImportError
        If the file has a vendor's format and the package that reads it is not installed; the message names it.
    InvalidFileError
        If the file is damaged.
    ValueError
        If the file holds several images and `scene` is not given.

    See Also
    --------
    read_spacing : also the distance between the planes of a volume.

    Examples
    --------
    >>> from flowseg import io
    >>> io.write_masks("cells.tif", [[0, 1], [2, 2]], pixel_size=(0.5, 0.25))
    >>> io.read_pixel_size("cells.tif")
    (0.5, 0.25)
    """
    sizes = _valid(_read_sizes(Path(path), scene, PLANE))
    return None if sizes is None else (sizes[0], sizes[1])


def read_spacing(
    path: str | os.PathLike[str], *, axes: str | None = None, scene: int | str | None = None
) -> Spacing | None:
    """Read the distance between the pixels of a volume along planes, rows and columns, in micrometers.

    Parameters
    ----------
    path : path
        Image file, as for `read_volume`.
    axes : str, optional
        Names of the axes, if the file names none or wrong ones, as for `read_volume`.
    scene : int or str, optional
        Which image of a file that holds several, as for `read_image`.

    Returns
    -------
    spacing : (float, float, float) or None
        Distance between planes, between rows and between columns. None if the file does not hold all three: only
        OME-TIFF, ImageJ's TIFF, OME-Zarr and the formats of microscope vendors do. None, too, where one of them is
        below 1e-5 or above 1e9, zero, negative or NaN.

    Raises
    ------
    ImportError
        If the file has a vendor's format and the package that reads it is not installed; the message names it.
    InvalidFileError
        If the file is damaged.
    ValueError
        If the file holds several images and `scene` is not given, or `axes` has no Z.

    See Also
    --------
    read_pixel_size : height and width of a pixel alone, which more files hold.

    Notes
    -----
    ImageJ leaves out a distance between planes of exactly 1, which is also what it takes where none is known. That is
    why a file of ImageJ without a distance has none.

    Examples
    --------
    >>> import numpy as np
    >>> from flowseg import io
    >>> io.write_masks("cells.tif", np.ones((3, 4, 5), int), spacing=(2.0, 0.5, 0.25))
    >>> io.read_spacing("cells.tif")
    (2.0, 0.5, 0.25)
    """
    file = Path(path)
    letters = VOLUME if axes is None else _own_letters(file, axes, scene)
    sizes = _valid(_read_sizes(file, scene, letters))
    return None if sizes is None else (sizes[0], sizes[1], sizes[2])


def _own_letters(file: Path, axes: str, scene: int | str | None) -> str:
    """Return the file's own names of the axes that are named Z, Y and X; of others, such as times, the given names."""
    with open_image(file, scene) as source:
        names, own = name_axes(source, axes), source.axes
    if "Z" not in names:
        raise ValueError(f"axes must name the planes Z to have a distance between them; got {axes!r}.")
    theirs = [(letter, own[names.index(letter)]) for letter in VOLUME]
    return "".join(found if found in VOLUME else letter for letter, found in theirs)


def _read_sizes(file: Path, scene: int | str | None, letters: str) -> list[float | None]:
    """Return the size of a pixel along each axis in micrometers; None where the file does not hold it."""
    if is_zarr(file):
        image = find_image(str(file), scene)
        return [image.size_of(letter) for letter in letters]
    if is_vendor_file(file):
        return scene_pixel_sizes(file, scene, letters)
    if not is_tiff(file):
        return [None] * len(letters)
    stored = StoredFile(file, KIND)
    with open_series(file, scene) as (tiff, series, number):
        with stored.parsing():
            metadata, is_transposed = tiff.ome_metadata, orientation_of(series.keyframe) in TRANSPOSED
        if is_transposed:
            letters = letters[:-2] + letters[:-3:-1]
        return _from_ome(metadata, number, letters, stored) if metadata else _from_tags(tiff, letters, stored)


def _from_ome(text: str, number: int, letters: str, stored: StoredFile) -> list[float | None]:
    images = [node.attrib for node in parse_xml(text, stored).iter() if node.tag.endswith("}Pixels")]
    pixels = images[number] if number < len(images) else {}
    sizes: list[float | None] = []
    for axis in letters:
        unit = MICROMETERS.get(pixels.get(f"PhysicalSize{axis}Unit", "µm").lower())
        sizes.append(_as_micrometers(pixels.get(f"PhysicalSize{axis}"), unit, stored))
    return sizes


def _from_tags(tiff: tifffile.TiffFile, letters: str, stored: StoredFile) -> list[float | None]:
    with stored.parsing():
        tags, imagej = tiff.pages[0].tags, tiff.imagej_metadata or {}
        values = {name: tags[name].value for name in (*RESOLUTIONS.values(), RESOLUTION_UNIT) if name in tags}
    common = MICROMETERS.get(str(imagej.get(UNIT, "")).lower())
    if common is None and values.get(RESOLUTION_UNIT) == CENTIMETERS:
        common = MICROMETERS["cm"]
    sizes: list[float | None] = []
    for axis in letters:
        other = imagej.get(OTHER_UNITS.get(axis, ""))
        unit = common if other is None else MICROMETERS.get(str(other).lower())
        if axis in RESOLUTIONS:
            sizes.append(_from_resolution(RESOLUTIONS[axis], values, unit, stored))
        else:
            sizes.append(_as_micrometers(imagej.get(SPACING), unit, stored))
    return sizes


def _as_micrometers(value: Any, unit: float | None, stored: StoredFile) -> float | None:
    """Return a length in micrometers; None without a length, or with a unit that is none of length."""
    if value is None or unit is None:
        return None
    with stored.parsing(TypeError, ValueError):
        return unit * float(value)


def _from_resolution(name: str, values: dict[str, Any], unit: float | None, stored: StoredFile) -> float | None:
    if unit is None or name not in values:
        return None
    fraction = values[name]  # pixels, units
    if not isinstance(fraction, tuple) or len(fraction) != 2 or not all(type(n) is int for n in fraction):
        raise stored.invalid(f"the tag {name} with {fraction!r}")
    return unit * fraction[1] / fraction[0] if fraction[0] else None


def _valid(sizes: list[float | None]) -> list[float] | None:
    """Return sizes that are known and can be lengths, or None: NaN, zero and negative ones are out of range."""
    low, high = _checks.PIXEL_SIZES
    known = [size for size in sizes if size is not None and low <= size <= high]
    return known if len(known) == len(sizes) else None
