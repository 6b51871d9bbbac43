"""OME-TIFF sets of several files: which file holds which plane."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from flowseg._image_files.xml import parse_xml


def n_images(text: str) -> int:
    """Images that OME metadata describe."""
    return len(_pixels(text))


def missing_plane(path: Path, text: str, image: int, plane: int) -> ValueError:
    """The error of a plane, by its number in the image, that no file of the set holds."""
    found = _find(text, image, plane) if text else None
    if found is None or not found[0]:
        return ValueError(f"{path} must hold every plane that is read; plane {plane} is missing.")
    name, _ = found
    lies = "which lacks it" if (path.parent / name).is_file() else "which is missing"
    return ValueError(
        f"{path} must lie beside the other files of its set; plane {plane} is in {path.parent / name}, {lies}."
    )


def check_partner(path: Path, text: str, image: int, plane: int, partner: Path) -> None:
    """Refuse a file that has the name of one of the set, but is another's."""
    found = _find(text, image, plane) if text else None
    if found is None or not found[1]:
        return
    with tifffile.TiffFile(partner) as file:
        own = _root(file.ome_metadata).attrib.get("UUID") if file.ome_metadata else None
    if own is not None and own != found[1]:
        raise ValueError(
            f"{partner} must be the file of {path}'s set that holds plane {plane}, {found[1]}; it is {own}. Put the "
            "set's own file in its place."
        )


def _root(text: str) -> Any:
    return parse_xml(text)


def _pixels(text: str) -> list[Any]:
    images = [element for element in _root(text) if element.tag.endswith("Image")]
    return [pixels for image in images for pixels in image if pixels.tag.endswith("Pixels")]


def _find(text: str, image: int, plane: int) -> tuple[str, str] | None:
    """Name and identifier of the file that holds a plane, as the metadata say, empty where these do not."""
    pixels = _pixels(text)[image]
    axes = pixels.attrib["DimensionOrder"][:1:-1]
    samples = next((int(e.attrib.get("SamplesPerPixel", 1)) for e in pixels if e.tag.endswith("Channel")), 1)
    shape = [int(pixels.attrib[f"Size{axis}"]) // (samples if axis == "C" else 1) for axis in axes]
    found = None
    for data in pixels:
        if not data.tag.endswith("TiffData"):
            continue
        place = [int(data.attrib.get(f"First{axis}", 0)) for axis in axes]
        if any(i >= n for i, n in zip(place, shape, strict=True)):
            continue
        first = int(np.ravel_multi_index(place, shape))
        count = int(
            data.attrib.get("PlaneCount", data.attrib.get("NumPlanes", 1 if "IFD" in data.attrib else math.prod(shape)))
        )
        if first <= plane < first + count:
            uuid = next((e for e in data if e.tag.endswith("UUID")), None)
            found = ("", "") if uuid is None else (uuid.attrib.get("FileName", ""), uuid.text or "")
    return found


def set_files(path: Path) -> list[Path]:
    """Files beside a TIFF that its OME metadata name, so far as they are there."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return []
    try:
        with tifffile.TiffFile(path) as file:
            root = _root(file.ome_metadata) if file.ome_metadata else []
        names = {e.attrib.get("FileName", "") for pixels in root for e in pixels.iter() if e.tag.endswith("UUID")}
    except Exception:  # noqa: BLE001  # what is wrong with a file is said when it is read
        return []
    beside = (path.parent / name for name in sorted(names - {"", path.name}) if Path(name).name == name)
    return [file for file in beside if file.is_file()]
