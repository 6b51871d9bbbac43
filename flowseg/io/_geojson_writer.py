"""Write GeoJSON, as QuPath reads it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks
from flowseg._labels.classes.given import classes_of_image
from flowseg._labels.objects import objects_of
from flowseg._labels.polygons import Ring, trace
from flowseg._system import files

StrPath = str | os.PathLike[str]

# The class of regions that are no objects; QuPath ignores it where it counts or measures.
REGION = "Region*"
# Properties of an object that was found.
DETECTION = MappingProxyType({"objectType": "detection"})


def write_geojson(path: StrPath, masks: ArrayLike, *, classes: Any = None) -> None:
    """Write objects as polygons for QuPath.

    Parameters
    ----------
    path : path
        File to write, ending in ``.geojson`` or ``.json``; an existing one is replaced atomically.
    masks : array_like of int, shape (rows, columns)
        Label image. Every object is a detection named by its label.
    classes : dict of int to str, or table, optional
        Class of each object by its label, or a table with columns ``label`` and ``class``, such as that of
        `FlowSegmenter.predict_objects`. An object without a class has None.

    Raises
    ------
    TypeError, ValueError
        If ``masks`` is no label image, the path does not end in .geojson or .json, or classes and objects differ.
    OSError
        If the file cannot be written.

    Notes
    -----
    Outlines follow the edges of pixels: the masks can be read back exactly.
    In QuPath: File, Import objects from file.

    Examples
    --------
    >>> from flowseg import io, synthetic
    >>> _, masks = synthetic.cells((64, 64), 5, rng=0)
    >>> io.write_geojson("cells.geojson", masks)
    """
    if Path(path).suffix.lower() not in (".geojson", ".json"):
        raise ValueError(f"path must end in .geojson or .json; got {path}.")
    if classes is None:
        write_objects(Path(path), objects_of(masks))
        return
    known = classes_of_image(classes, _checks.as_masks(masks, ndims=(2,)), "classes", "masks")
    _write_features(Path(path), (_feature(*item, _with_class(known.get(item[0]))) for item in objects_of(masks)))


def _with_class(name: str | None) -> Mapping[str, Any]:
    """Return the properties of an object that was found, with its class."""
    return DETECTION if name is None else {**DETECTION, "classification": {"name": name}}


def write_objects(path: Path, objects: Iterable[tuple[int, tuple[int, int], NDArray[np.bool_]]]) -> None:
    """Write objects as polygons, atomically, one after the other.

    Objects are the label, the first row and column of the box, and the mask in the box, as `objects_of` yields them.
    """
    _write_features(path, (_feature(*item) for item in objects))


def write_to_correct(path: Path, regions: ArrayLike, masks: ArrayLike) -> None:
    """Write objects and the regions to correct them in as annotations, which QuPath can edit; atomically.

    Regions have the class `REGION`, which `read_geojson` leaves out unless it is asked for. Both are label images.
    """
    kind = {"objectType": "annotation"}
    in_class = kind | {"classification": {"name": REGION}}
    first = (_feature(*item, in_class) for item in objects_of(regions))
    _write_features(path, chain(first, (_feature(*item, kind) for item in objects_of(masks))))


def _write_features(path: Path, features: Iterable[dict[str, Any]]) -> None:
    def write(beside: Path) -> None:
        with open(beside, "w", encoding="utf-8") as file:
            file.write('{"type": "FeatureCollection", "features": [')
            for k, feature in enumerate(features):
                file.write(", " * (k > 0) + json.dumps(feature))
            file.write("]}")

    files.write_atomically(path, write)


def _feature(
    label: int, corner: tuple[int, int], mask: NDArray[np.bool_], properties: Mapping[str, Any] = DETECTION
) -> dict[str, Any]:
    """Return the feature of an object: polygons, each of an outer ring and of one more ring for each hole."""
    # GeoJSON wants outer rings anticlockwise with y upwards: as ours run with y downwards.
    polygons = [[_closed(ring + corner) for ring in polygon] for polygon in trace(mask)]
    single = len(polygons) == 1
    return {
        "type": "Feature",
        "geometry": {
            "type": "Polygon" if single else "MultiPolygon",
            "coordinates": polygons[0] if single else polygons,
        },
        "properties": {**properties, "name": str(label)},
    }


def _closed(ring: Ring) -> list[list[int]]:
    corners: list[list[int]] = np.concatenate([ring, ring[:1]])[:, ::-1].astype(int).tolist()
    return corners
