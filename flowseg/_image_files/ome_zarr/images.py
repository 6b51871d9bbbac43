"""Images in OME-Zarr 0.4 and 0.5, and plain zarr arrays."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._image_files.ome_zarr.multiscales import NAMES, SPACE, Multiscale, read_multiscales
from flowseg._image_files.ome_zarr.nodes import (
    StorageOptions,
    is_url,
    join,
    open_node,
    parent_of,
    parsing_zarr,
    read_array,
    read_part,
)
from flowseg._image_files.scenes import NAMED, choose_scene
from flowseg._image_files.source import Index, Source
from flowseg._system.invalid_file import InvalidFileError
from flowseg._system.printable import shown

# More names that axes of arrays without OME metadata have.
LETTERS = NAMES | {"time": "T", "channel": "C"}
UNNAMED = "Q"
# Where xarray keeps names of axes in format 2.
ARRAY_DIMENSIONS = "_ARRAY_DIMENSIONS"
# Layout of bioformats2raw: a group of images that are numbered, or listed in the group OME.
LAYOUT, SERIES_GROUP, SERIES = "bioformats2raw.layout", "OME", "series"
# Micrometers per unit of OME-Zarr (names of UDUNITS-2).
MICROMETERS = {
    "angstrom": 1e-4, "picometer": 1e-6, "nanometer": 1e-3, "micrometer": 1.0, "millimeter": 1e3, "centimeter": 1e4,
    "decimeter": 1e5, "meter": 1e6, "inch": 25400.0,
}  # fmt: skip


@dataclass(frozen=True)
class OmeZarrImage:
    """The full-resolution array of an OME-Zarr image, or a plain array.

    Parameters
    ----------
    location : str
        Path or URL of the array.
    array : zarr.Array
        The array.
    axes : str
        Letters of its axes, as `Source` has them.
    group : str or None
        Path or URL of the image's group; None for a plain array.
    multiscale : Multiscale or None
        Metadata of that group.
    level : int
        Number of the array in the group.
    """

    location: str
    array: Any
    axes: str
    group: str | None = None
    multiscale: Multiscale | None = None
    level: int = 0

    def scale_of(self, letter: str) -> tuple[float, str | None, float]:
        """Return the length of a pixel along an axis, its unit and the place of the first pixel."""
        if self.multiscale is None or letter not in self.axes:
            return 1.0, None, 0.0
        axis = self.axes.index(letter)
        data = self.multiscale.datasets[self.level]
        return data.scale[axis], self.multiscale.units[axis], data.translation[axis]

    def size_of(self, letter: str) -> float | None:
        """Return the length of a pixel along an axis in micrometers; None if the metadata hold no unit of length."""
        length, unit, _ = self.scale_of(letter)
        return None if unit not in MICROMETERS else length * MICROMETERS[unit]

    def as_source(self, options: StorageOptions | None = None) -> Source:
        """Return the image as the readers of files see it."""
        return self._source(lambda index: read_part(self.array, index, self.location, options))

    def in_memory(self) -> Source:
        """Return an array without a location as the readers of files see it."""
        return self._source(lambda index: read_array(self.array, index, self.location))

    def _source(self, read: Callable[[Index], NDArray[Any]]) -> Source:
        dtype = np.dtype(self.array.dtype).newbyteorder("=")
        if dtype.kind not in "buif":
            raise InvalidFileError(f"{self.location} must hold numbers; it has {dtype}.")
        shape = tuple(int(n) for n in self.array.shape)
        if not all(shape):
            raise InvalidFileError(f"{self.location} must have at least one pixel; it has shape {shape}.")
        path = self.location if is_url(self.location) else Path(self.location)
        return Source(path, self.axes, shape, dtype, read)


@contextmanager
def open_zarr_image(path: Path, scene: int | str | None) -> Iterator[Source]:
    """Open an OME-Zarr image or an array; only its metadata are read."""
    yield find_image(os.fspath(path), scene).as_source()


def find_image(location: str, scene: int | str | None = None, options: StorageOptions | None = None) -> OmeZarrImage:
    """Return the image at a location: of a group its full resolution, or the array itself."""
    if not is_url(location):
        location = os.path.abspath(location)
        if not os.path.exists(location):
            raise FileNotFoundError(f"{location} must be an OME-Zarr image; there is none.")
    node = open_node(location, options)
    if node is None:
        raise InvalidFileError(f"{location} must be an OME-Zarr image or a zarr array; it has no metadata of zarr.")
    return (
        _from_array(location, node, options) if hasattr(node, "chunks") else _from_group(location, node, scene, options)
    )


def _from_group(location: str, group: Any, scene: int | str | None, options: StorageOptions | None) -> OmeZarrImage:
    attributes = _ome_of(group)
    _refuse_other_groups(location, group, attributes)
    if LAYOUT in attributes and "multiscales" not in attributes:
        names = _series(location, group, options)
        name = names[choose_scene(names, scene, location)]
        location, scene = join(location, name), None
        group = open_node(location, options)
        if group is None or hasattr(group, "chunks"):
            raise InvalidFileError(f"{location} must be an OME-Zarr image, as the group around it lists; it is none.")
        attributes = _ome_of(group)
    if "multiscales" not in attributes:
        with parsing_zarr(location), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of files that are no nodes
            names = sorted(name for name, _ in group.members())
        inside = f" It holds {', '.join(map(shown, names[:NAMED]))}: give the path of one of them." if names else ""
        raise InvalidFileError(f"{location} must be an OME-Zarr image; it has no multiscales metadata.{inside}")
    images = read_multiscales(attributes, location)
    multiscale = images[choose_scene([one.name or str(i) for i, one in enumerate(images)], scene, location)]
    arrays = [_open_level(location, data.path, options) for data in multiscale.datasets]
    multiscale.check_arrays([tuple(array.shape) for array in arrays], location)
    return OmeZarrImage(join(location, multiscale.datasets[0].path), arrays[0], multiscale.axes, location, multiscale)


def _ome_of(group: Any) -> dict[str, Any]:
    """Return the OME attributes of a group: of version 0.5 they lie under a name of their own."""
    attributes = dict(group.attrs)
    ome = attributes.get("ome")
    return ome if isinstance(ome, dict) else attributes


def _refuse_other_groups(location: str, group: Any, attributes: dict[str, Any]) -> None:
    for kind, inside in (("plate", "A/1/0"), ("well", "0")):
        if kind in attributes:
            raise InvalidFileError(
                f"{location} must be one image; it is a {kind}. Give the path of an image in it, such as "
                f"{join(location, inside)}."
            )
    labels = dict(group.attrs).get("labels", attributes.get("labels"))
    if isinstance(labels, list) and "multiscales" not in attributes:
        names = ", ".join(shown(str(name)) for name in labels[:NAMED])
        raise InvalidFileError(f"{location} must be one image; it is a group of labels ({names}). Add one's name.")


def _series(location: str, group: Any, options: StorageOptions | None) -> list[str]:
    """Return the names of the images of a group that bioformats2raw wrote."""
    listed = open_node(join(location, SERIES_GROUP), options)
    names = None if listed is None else _ome_of(listed).get(SERIES)
    if names is None:
        with parsing_zarr(location):
            names = sorted((name for name, _ in group.groups() if name.isdecimal()), key=int)
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise InvalidFileError(f"{location} must list its images by name; got {names!r}.")
    return names


def _open_level(location: str, path: str, options: StorageOptions | None) -> Any:
    array = open_node(join(location, path), options)
    if array is None or not hasattr(array, "chunks"):
        raise InvalidFileError(f"{location} must hold the arrays that its metadata list; {path!r} is missing.")
    return array


def _from_array(location: str, array: Any, options: StorageOptions | None) -> OmeZarrImage:
    """Return an array, with the metadata of the image that it is a level of."""
    around, name = parent_of(location)
    for parts in range(3):  # a level may lie some folders down
        group = _open_around(around, options)
        if group is not None and not hasattr(group, "chunks") and "multiscales" in _ome_of(group):
            for multiscale in read_multiscales(_ome_of(group), around):
                paths = [data.path for data in multiscale.datasets]
                if name in paths:
                    shapes = [tuple(_open_level(around, path, options).shape) for path in paths]
                    multiscale.check_arrays(shapes, around)
                    return OmeZarrImage(location, array, multiscale.axes, around, multiscale, paths.index(name))
        if parts < 2:
            around, more = parent_of(around)
            name = f"{more}/{name}"
    return OmeZarrImage(location, array, axes_of_array(array))


def _open_around(location: str, options: StorageOptions | None) -> Any:
    """Return the node around an array; None where there is none, or none that this process may read."""
    if not location or location.endswith(":/"):
        return None
    try:
        return open_node(location, options)
    except (InvalidFileError, OSError):
        return None


def axes_of_array(array: Any) -> str:
    """Return letters of the axes of an array without OME metadata; a plain 2-D array has rows and columns."""
    names = getattr(array.metadata, "dimension_names", None) or dict(array.attrs).get(ARRAY_DIMENSIONS)
    if isinstance(names, list | tuple) and len(names) == array.ndim:
        letters = [LETTERS.get(str(name).lower(), UNNAMED) for name in names]
        if len(set(letters)) == len(letters) and UNNAMED not in letters and {"Y", "X"} <= set(letters):
            return "".join(letters)
    return SPACE if array.ndim == len(SPACE) else UNNAMED * array.ndim
