"""The multiscales metadata of OME-Zarr 0.4 and 0.5, read strictly."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from flowseg._system.invalid_file import InvalidFileError
from flowseg._system.printable import one_line

VERSIONS = ("0.4", "0.5")
# Letters of axes by their names, and by their types where names are others.
NAMES = {"t": "T", "c": "C", "z": "Z", "y": "Y", "x": "X"}
TYPES = {"time": "T", "channel": "C"}
SPACE = "YX"
# How far the shape of a level may be from the one that its scale gives: writers round up, down, and at every level.
ROUNDING, SLACK = 2, 0.1
# Characters of wrong metadata that a sentence quotes.
LONGEST_VALUE = 80
# Lengths of pixels and places beyond these, in any unit, are no lengths; they would overflow.
LARGEST, SMALLEST = 1e30, 1e-30


@dataclass(frozen=True)
class Dataset:
    """One level: the path of its array, and length and place of a pixel along each axis."""

    path: str
    scale: tuple[float, ...]
    translation: tuple[float, ...]


@dataclass(frozen=True)
class Multiscale:
    """An image in several resolutions, the first is the full one."""

    name: str
    version: str
    axes: str
    units: tuple[str | None, ...]
    datasets: tuple[Dataset, ...]

    def check_arrays(self, shapes: list[tuple[int, ...]], location: str) -> None:
        """Refuse metadata that contradict the shapes of the arrays."""
        for data, shape in zip(self.datasets, shapes, strict=True):
            if len(shape) != len(self.axes):
                raise InvalidFileError(
                    f"{location} must have an array axis for each of {self.axes}; {data.path!r} has shape {shape}."
                )
        for larger, smaller in pairwise(shapes):
            if any(a < b for a, b in zip(larger, smaller, strict=True)):
                raise InvalidFileError(
                    f"{location} must list its arrays from the largest to the smallest; {larger} comes before "
                    f"{smaller}."
                )
        first = self.datasets[0]
        for data, shape in zip(self.datasets[1:], shapes[1:], strict=True):
            for axis in (self.axes.index(letter) for letter in SPACE):
                expected = shapes[0][axis] * first.scale[axis] / data.scale[axis]
                if abs(shape[axis] - expected) > ROUNDING + SLACK * expected:
                    raise InvalidFileError(
                        f"{location} must have scales that match its arrays; by its scale {data.path!r} has "
                        f"{expected:.0f} pixels along {self.axes[axis]}, its array has {shape[axis]}."
                    )


def read_multiscales(attributes: dict[str, Any], location: str) -> list[Multiscale]:
    """Return the images that the OME attributes of a group describe."""
    entries = attributes["multiscales"]
    if not isinstance(entries, list) or not entries:
        raise _invalid(location, "multiscales", "a list of images", entries)
    return [_read(entry, attributes.get("version"), location) for entry in entries]


def _invalid(location: str, name: str, expected: str, found: Any) -> InvalidFileError:
    text = one_line(repr(found), LONGEST_VALUE)
    return InvalidFileError(f"{location} must have {expected} in its OME-Zarr metadata as {name}; got {text}.")


def _read(entry: Any, version: Any, location: str) -> Multiscale:
    if not isinstance(entry, dict):
        raise _invalid(location, "multiscales", "objects", entry)
    version = entry.get("version", version if version is not None else VERSIONS[0])
    if version not in VERSIONS:
        raise InvalidFileError(f"{location} must be OME-Zarr {' or '.join(VERSIONS)}; it is {version!r}.")
    axes, units = _read_axes(entry.get("axes"), location)
    datasets = entry.get("datasets")
    if not isinstance(datasets, list) or not datasets:
        raise _invalid(location, "datasets", "a list of arrays", datasets)
    around = _read_transformations(entry.get("coordinateTransformations"), len(axes), location)
    name = entry.get("name")
    return Multiscale(
        name if isinstance(name, str) else "",
        version,
        axes,
        units,
        tuple(_read_dataset(data, around, len(axes), location) for data in datasets),
    )


def _read_axes(axes: Any, location: str) -> tuple[str, tuple[str | None, ...]]:
    if not isinstance(axes, list) or not all(isinstance(axis, dict) for axis in axes):
        raise _invalid(location, "axes", "a list of axes with their names", axes)
    letters, units = "", []
    for axis in axes:
        letter = NAMES.get(str(axis.get("name")).lower()) or TYPES.get(str(axis.get("type")))
        if letter is None:
            raise _invalid(location, "axes", "axes of t, c, z, y, x", axis)
        letters += letter
        unit = axis.get("unit")
        units.append(unit if isinstance(unit, str) else None)
    if len(set(letters)) != len(letters) or not set(SPACE) <= set(letters):
        raise _invalid(location, "axes", "axes of which none comes twice, y and x among them", letters)
    return letters, tuple(units)


def _read_dataset(data: Any, around: tuple[tuple[float, ...], tuple[float, ...]], n: int, location: str) -> Dataset:
    path = data.get("path") if isinstance(data, dict) else None
    if not isinstance(path, str) or not path or path.startswith("/") or ".." in path.split("/"):
        raise _invalid(location, "datasets", "paths of arrays inside the group", data)
    scale, translation = _read_transformations(data.get("coordinateTransformations"), n, location)
    return Dataset(
        path,
        tuple(a * b for a, b in zip(scale, around[0], strict=True)),
        tuple(a * b + c for a, b, c in zip(translation, around[0], around[1], strict=True)),
    )


def _read_transformations(found: Any, n: int, location: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return scale and translation; a level without them has pixels of length 1."""
    scale, translation = (1.0,) * n, (0.0,) * n
    if found is not None and not isinstance(found, list):
        raise _invalid(location, "coordinateTransformations", "a list", found)
    for one in found or ():
        kind = one.get("type") if isinstance(one, dict) else None
        if kind not in ("scale", "translation", "identity"):
            raise _invalid(location, "coordinateTransformations", "a scale and a translation", one)
        if kind == "identity":
            continue
        values = one.get(kind)
        is_numbers = isinstance(values, list) and all(type(v) in (int, float) and abs(v) < LARGEST for v in values)
        if not is_numbers or len(values) != n or (kind == "scale" and min(values) < SMALLEST):
            raise _invalid(location, kind, f"{n} numbers" + " above 0" * (kind == "scale"), values)
        if kind == "scale":
            scale = tuple(a * float(b) for a, b in zip(scale, values, strict=True))
            translation = tuple(a * float(b) for a, b in zip(translation, values, strict=True))
        else:
            translation = tuple(a + float(b) for a, b in zip(translation, values, strict=True))
    return scale, translation
