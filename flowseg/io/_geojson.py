"""Read GeoJSON, as QuPath writes it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._labels.canvas import Canvas
from flowseg._labels.polygons import Polygon
from flowseg._system import memory
from flowseg._system.invalid_file import StoredFile
from flowseg.io._documents import name_kind, read_json
from flowseg.io._entries import Choice, Entries, UnreadableEntryError, as_floats, check_corners
from flowseg.io._planes import Plane, as_plane, lie_in_plane

StrPath = str | os.PathLike[str]

KIND = "GeoJSON file"

# QuPath's names of types of objects, now (properties.objectType) and before version 0.3 (id) -> our names.
OBJECT_TYPES = {
    "cell": "cell", "PathCellObject": "cell", "detection": "detection", "PathDetectionObject": "detection",
    "annotation": "annotation", "PathAnnotationObject": "annotation", "tile": "tile", "PathTileObject": "tile",
    "tma_core": "TMA core", "TMACoreObject": "TMA core", "root": "root", "PathRootObject": "root",
}  # fmt: skip
# Types that QuPath detects. Beside them, annotations are regions that people drew, not more objects.
FOUND = ("cell", "detection")
# Types that are never single objects.
NEVER = ("tile", "TMA core", "root")


class _Outline(NamedTuple):
    """One geometry with the type, class and plane that its feature has."""

    geometry: Any
    object_type: str | None
    class_name: str | None
    plane: Plane


def read_geojson(
    path: StrPath,
    shape: tuple[int, int],
    *,
    classes: str | Sequence[str] | None = None,
    z: int | None = None,
    t: int | None = None,
    channel: int | None = None,
) -> NDArray[np.int32]:
    """Read masks from the polygons of a GeoJSON file, as QuPath exports them.

    Parameters
    ----------
    path : path
        File that holds a FeatureCollection, a feature, a list of features, or a geometry.
    shape : tuple of int
        Rows and columns of the image, which the file does not hold.
    classes : str or sequence of str, optional
        Names of QuPath's classes to take; by default all but those that QuPath ignores, whose names end in ``*``.
    z, t, channel : int, optional
        Plane of the image, the first is 0; needed if the file has objects in several planes.

    Returns
    -------
    masks : ndarray of int32
        One object per Polygon or MultiPolygon, numbered 1..n in raster order. Where two overlap, the smaller one is on
        top.

    Raises
    ------
    InvalidFileError
        If the file is no GeoJSON, or nothing in it can be read.
    TypeError, ValueError
        If the file has objects in several planes and none is chosen, or none of the chosen classes.

    Warns
    -----
    UserWarning
        If entries are left out; the message counts them: points and lines, tiles and TMA cores, ignored classes, and
        annotations beside detections or cells.

    Notes
    -----
    Coordinates are (x, y) in pixels, with the outer corner of the first pixel at (0, 0), as in QuPath. A pixel belongs
    to an object if its center does. Of QuPath's cells the outer outline is read.

    Examples
    --------
    >>> import flowseg
    >>> flowseg.io.write_geojson("cells.geojson", [[0, 1, 1], [2, 2, 0]])
    >>> flowseg.io.read_geojson("cells.geojson", (2, 3))
    array([[0, 1, 1],
           [2, 2, 0]], dtype=int32)
    """
    return _read(path, shape, classes, as_plane(z, t, channel))[0]


def read_geojson_with_classes(
    path: StrPath,
    shape: tuple[int, int],
    *,
    z: int | None = None,
    t: int | None = None,
    channel: int | None = None,
    classes: str | Sequence[str] | None = None,
) -> tuple[NDArray[np.int32], dict[int, str | None]]:
    """Read masks and the classes of objects from a GeoJSON file, as QuPath exports them.

    Parameters
    ----------
    path, shape, classes, z, t, channel
        As for `read_geojson`.

    Returns
    -------
    masks : ndarray of int32
        As from `read_geojson`.
    names : dict of int to str or None
        Class of each object by its label, ready for `FlowSegmenter.fit`; None for one without.

    Raises
    ------
    InvalidFileError, TypeError, ValueError
        As `read_geojson`.

    Warns
    -----
    UserWarning
        As `read_geojson`.

    Examples
    --------
    >>> import flowseg
    >>> flowseg.io.write_geojson("cells.geojson", [[0, 1, 1], [2, 2, 0]], classes={1: "Tumor", 2: None})
    >>> masks, names = flowseg.io.read_geojson_with_classes("cells.geojson", (2, 3))
    >>> names
    {1: 'Tumor', 2: None}
    """
    return _read(path, shape, classes, as_plane(z, t, channel))


def _read(
    path: StrPath, shape: tuple[int, int], classes: str | Sequence[str] | None, wanted: Plane
) -> tuple[NDArray[np.int32], dict[int, str | None]]:
    """Return masks, and the classes of objects by label."""
    canvas, stored, choice = Canvas(_checks.as_shape(shape)), StoredFile(Path(path), KIND), Choice(classes)
    entries = Entries(stored)
    outlines = list(_outlines(read_json(stored), entries))
    choice.check({outline.class_name for outline in outlines if outline.class_name}, stored.path)
    planes, names = [], []
    with memory.naming(stored.path):
        for outline in _leave_out(outlines, choice, entries):
            with entries.reading():
                canvas.add_polygons(_polygons(outline.geometry))
                planes.append(outline.plane)
                names.append(outline.class_name)
        kept = list(lie_in_plane(planes, wanted, stored.path, stacklevel=3))
        canvas.keep(kept)
        entries.close(stacklevel=3)
        masks = canvas.paint(stacklevel=3)
    return masks, canvas.by_label(list(compress(names, kept)))


def _outlines(document: Any, entries: Entries) -> Iterator[_Outline]:
    """Yield all geometries with an area."""
    for feature in _features(document, entries.stored):
        properties = _mapping(feature.get("properties"))
        if properties.get("isMissing"):
            entries.leave_out("a TMA core that is missing")
            continue
        named = properties.get("objectType") or properties.get("object_type") or feature.get("id")
        for geometry in _geometries(feature.get("geometry")):
            if not isinstance(geometry, Mapping):
                entries.faults["an object without a geometry"] += 1
            elif geometry.get("type") not in ("Polygon", "MultiPolygon"):
                entries.faults[f"a {geometry.get('type')}, which has no area"] += 1
            else:
                plane = _plane(geometry.get("plane") or feature.get("plane") or properties.get("plane"), entries.stored)
                class_name = _class_name(properties.get("classification"))
                yield _Outline(geometry, OBJECT_TYPES.get(str(named)), class_name, plane)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _features(document: Any, stored: StoredFile) -> Iterator[Mapping[str, Any]]:
    """Yield the features of a document; a bare geometry becomes a feature without properties."""
    if isinstance(document, list):
        for item in document:
            yield from _features(item, stored)
        return
    if not isinstance(document, Mapping) or "type" not in document:
        raise stored.invalid(name_kind(document) or "something without a type")
    if document["type"] == "FeatureCollection":
        if not isinstance(document.get("features"), list):
            raise stored.invalid("a FeatureCollection without a list of features")
        yield from _features(document["features"], stored)
    else:
        yield document if document["type"] == "Feature" else {"geometry": document}


def _geometries(geometry: Any) -> Iterator[Any]:
    """Yield a geometry, or those in a collection; None where a collection holds no list."""
    if isinstance(geometry, Mapping) and geometry.get("type") == "GeometryCollection":
        parts = geometry.get("geometries")
        for part in parts if isinstance(parts, list) else [None]:
            yield from _geometries(part)
    else:
        yield geometry


def _class_name(classification: Any) -> str | None:
    """Return the name of a class as QuPath writes it: parts of derived classes with colons between."""
    if isinstance(classification, str):
        return classification
    names = _mapping(classification).get("names")
    name = ": ".join(map(str, names)) if isinstance(names, list) else _mapping(classification).get("name")
    return None if name is None else str(name)


def _plane(plane: Any, stored: StoredFile) -> Plane:
    """Return the plane of a geometry: QuPath leaves out the first one; channel -1 is every channel."""
    if plane is None:
        return Plane(0, 0, None)
    try:
        z, t, channel = (int(_mapping(plane).get(name, default)) for name, default in (("z", 0), ("t", 0), ("c", -1)))
    except (TypeError, ValueError, OverflowError):
        raise stored.invalid("a plane whose z, t and c are no whole numbers") from None
    return Plane(z, t, None if channel < 0 else channel)


def _leave_out(outlines: list[_Outline], choice: Choice, entries: Entries) -> list[_Outline]:
    """Return those that are objects and chosen, and count the others."""
    chosen = [outline for outline in outlines if choice.takes(outline.class_name)]
    entries.leave_out("an object of another class", len(outlines) - len(chosen))
    found = any(outline.object_type in FOUND for outline in chosen)
    objects = []
    for outline in chosen:
        if choice.names is None and (outline.class_name or "").endswith("*"):
            entries.leave_out(f"one of QuPath's ignored class {outline.class_name!r}")
        elif outline.object_type in NEVER:
            entries.leave_out(f"a {outline.object_type}, which is no single object")
        elif found and outline.object_type not in FOUND:
            entries.leave_out("an annotation beside detections or cells")
        else:
            objects.append(outline)
    return objects


def _polygons(geometry: Mapping[str, Any]) -> list[Polygon]:
    kind = geometry["type"]
    coordinates = geometry.get("coordinates")
    polygons = [coordinates] if kind == "Polygon" else coordinates
    if not isinstance(polygons, list) or not all(isinstance(polygon, list) for polygon in polygons):
        raise UnreadableEntryError(f"a {kind} that is not made of rings of corners")
    found = [[as_floats(ring, "corners") for ring in polygon] for polygon in polygons]
    if not any(found) or any(ring.ndim != 2 or ring.shape[1] < 2 for polygon in found for ring in polygon):
        raise UnreadableEntryError(f"a {kind} that is not made of rings of corners")
    if any(len(ring) < 3 for polygon in found for ring in polygon):
        raise UnreadableEntryError(f"a {kind} of fewer than three corners")
    rings = [[ring[:, 1::-1] for ring in polygon] for polygon in found]
    for polygon in rings:
        check_corners(polygon)
    return rings
