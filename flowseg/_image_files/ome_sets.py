"""OME-TIFF sets of several files: which file holds which plane."""

from __future__ import annotations

import math
import os
from pathlib import Path
from xml.etree.ElementTree import Element

import tifffile

from flowseg._image_files.xml import parse_xml, whole_number
from flowseg._system.invalid_file import InvalidFileError, StoredFile

# Axes of OME's Pixels beside X and Y: Z, C and T.
N_AXES = 3


def n_images(text: str, stored: StoredFile) -> int:
    """Return the number of images that OME metadata describe."""
    return len(_pixels(text, stored))


def missing_plane(stored: StoredFile, text: str, image: int, plane: int) -> InvalidFileError:
    """Return the error of a plane, by its number in the image, that no file of the set holds."""
    path = stored.path
    found = _find(text, image, plane, stored) if text else None
    if found is None or not found[0]:
        return InvalidFileError(f"{path} must hold every plane that is read; plane {plane} is missing.")
    name, _ = found
    lies = "which lacks it" if os.path.isfile(path.parent / name) else "which is missing"
    return InvalidFileError(
        f"{path} must lie beside the other files of its set; plane {plane} is in {path.parent / name}, {lies}."
    )


def check_partner(stored: StoredFile, text: str, image: int, plane: int, partner: Path) -> None:
    """Refuse a file that has the name of one of the set, but belongs to another set."""
    found = _find(text, image, plane, stored) if text else None
    if found is None or not found[1]:
        return
    other = StoredFile(partner, stored.kind)
    with other.parsing(), tifffile.TiffFile(partner) as file:
        metadata = file.ome_metadata
    own = parse_xml(metadata, other).attrib.get("UUID") if metadata else None
    if own is not None and own != found[1]:
        raise InvalidFileError(
            f"{partner} must be the file of {stored.path}'s set that holds plane {plane}, {found[1]}; it is {own}. "
            "Put the set's own file in its place."
        )


def _pixels(text: str, stored: StoredFile) -> list[Element]:
    images = [element for element in parse_xml(text, stored) if element.tag.endswith("Image")]
    return [pixels for image in images for pixels in image if pixels.tag.endswith("Pixels")]


def _find(text: str, image: int, plane: int, stored: StoredFile) -> tuple[str, str] | None:
    """Return name and identifier of the file that holds a plane, empty where the metadata lack these.

    None if the metadata place the plane in no file.
    """
    described = _pixels(text, stored)
    shape_of_axes = _shape(described[image]) if image < len(described) else None
    if shape_of_axes is None:
        return None
    axes, shape = shape_of_axes
    found = None
    for data in described[image]:
        if not data.tag.endswith("TiffData"):
            continue
        place = [whole_number(data, f"First{axis}", 0) for axis in axes]
        first = 0
        for i, n in zip(place, shape, strict=True):
            first = -1 if i is None or not 0 <= i < n or first < 0 else first * n + i
        count = _n_planes(data, math.prod(shape))
        if first < 0 or count is None:
            continue
        if first <= plane < first + count:
            uuid = next((e for e in data if e.tag.endswith("UUID")), None)
            found = ("", "") if uuid is None else (uuid.attrib.get("FileName", ""), uuid.text or "")
    return found


def _shape(pixels: Element) -> tuple[str, list[int]] | None:
    """Return the axes that number planes, the slowest first, and their lengths; None if the metadata lack them."""
    axes = pixels.attrib.get("DimensionOrder", "")[:1:-1]
    samples = next((whole_number(e, "SamplesPerPixel", 1) for e in pixels if e.tag.endswith("Channel")), 1)
    lengths = [whole_number(pixels, f"Size{axis}") for axis in axes]
    if not samples or len(axes) != N_AXES:
        return None
    known = [n // (samples if axis == "C" else 1) for axis, n in zip(axes, lengths, strict=True) if n is not None]
    return (axes, known) if len(known) == N_AXES else None


def _n_planes(data: Element, n_all: int) -> int | None:
    """Return how many planes follow the first of a file."""
    for name in ("PlaneCount", "NumPlanes"):
        if name in data.attrib:
            return whole_number(data, name)
    return 1 if "IFD" in data.attrib else n_all


def set_files(path: Path) -> list[Path]:
    """Return the files beside a TIFF that its OME metadata name and that exist."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return []
    stored = StoredFile(path, "TIFF file")
    try:
        with stored.parsing(), tifffile.TiffFile(path) as file:
            metadata = file.ome_metadata
        root = parse_xml(metadata, stored) if metadata else ()
    except (InvalidFileError, OSError, MemoryError):  # raised again when the file is read
        return []
    names = {e.attrib.get("FileName", "") for element in root for e in element.iter() if e.tag.endswith("UUID")}
    beside = (path.parent / name for name in sorted(names - {"", path.name}) if Path(name).name == name)
    return [file for file in beside if os.path.isfile(file)]
