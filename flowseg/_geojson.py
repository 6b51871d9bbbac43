"""GeoJSON, as QuPath reads and writes it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks, _files
from flowseg._merging import Canvas
from flowseg._objects import objects_of
from flowseg._polygons import Ring, trace

StrPath = str | os.PathLike[str]


def masks_from_geojson(path: StrPath, shape: tuple[int, int]) -> NDArray[np.int32]:
    """Masks from the polygons of a GeoJSON file, as QuPath exports them.

    Parameters
    ----------
    path : path
        File that holds a FeatureCollection, a feature, a list of features, or a geometry.
    shape : tuple of int
        Rows and columns of the image: the file does not hold them.

    Returns
    -------
    masks : ndarray of int32
        One object per Polygon or MultiPolygon, numbered 1..n in raster order. Where two overlap the smaller one is
        seen.

    Raises
    ------
    ValueError
        If the file is no GeoJSON, or holds geometries without area or corners that are not finite.

    Notes
    -----
    Coordinates are (x, y) in pixels, with the outer corner of the first pixel at (0, 0), as in QuPath.

    Examples
    --------
    >>> import flowseg
    >>> flowseg.io.write_geojson("cells.geojson", [[0, 1, 1], [2, 2, 0]])
    >>> flowseg.masks_from_geojson("cells.geojson", (2, 3))
    array([[0, 1, 1],
           [2, 2, 0]], dtype=int32)
    """
    canvas = Canvas(_checks.as_shape(shape))
    with _files.naming_what_is_damaged(Path(path), "GeoJSON file"):
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        for geometry in _geometries(document):
            canvas.add_rings(_rings(geometry))
    return canvas.paint()


def write_geojson(path: StrPath, masks: ArrayLike) -> None:
    """Write objects as polygons for QuPath.

    Parameters
    ----------
    path : path
        File to write, ending in ``.geojson`` or ``.json``; an old one is replaced in one step.
    masks : array_like of int, shape (rows, columns)
        Label image. Every object is a detection named by its label.

    Raises
    ------
    TypeError, ValueError
        If ``masks`` is no label image, or the path ends in something else than .geojson or .json.
    OSError
        If the file cannot be written.

    Notes
    -----
    Outlines follow the edges of pixels, so nothing is lost. In QuPath: File, Import objects from file.

    Examples
    --------
    >>> from flowseg import io, synthetic
    >>> _, masks = synthetic.cells((64, 64), 5, rng=0)
    >>> io.write_geojson("cells.geojson", masks)
    """
    if Path(path).suffix.lower() not in (".geojson", ".json"):
        raise ValueError(f"path must end in .geojson or .json; got {path}.")
    features = [_feature(*item) for item in objects_of(masks)]
    text = json.dumps({"type": "FeatureCollection", "features": features})
    _files.write_whole(Path(path), lambda beside: beside.write_text(text, encoding="utf-8"))


def _feature(label: int, corner: tuple[int, int], mask: NDArray[np.bool_]) -> dict[str, Any]:
    # GeoJSON wants outer rings anticlockwise with y upwards: as ours run with y downwards.
    polygons = [[_closed(ring + corner) for ring in polygon] for polygon in trace(mask)]
    single = len(polygons) == 1
    return {
        "type": "Feature",
        "geometry": {
            "type": "Polygon" if single else "MultiPolygon",
            "coordinates": polygons[0] if single else polygons,
        },
        "properties": {"objectType": "detection", "name": str(label)},
    }


def _closed(ring: Ring) -> list[list[int]]:
    return np.concatenate([ring, ring[:1]])[:, ::-1].astype(int).tolist()


def _geometries(document: Any) -> list[dict[str, Any]]:
    if isinstance(document, list):
        return [geometry for item in document for geometry in _geometries(item)]
    if not isinstance(document, dict) or "type" not in document:
        raise ValueError("something without a type")
    if document["type"] == "FeatureCollection":
        return _geometries(document["features"])
    if document["type"] == "Feature":
        return _geometries(document["geometry"])
    if document["type"] == "GeometryCollection":
        return _geometries(document["geometries"])
    return [document]


def _rings(geometry: dict[str, Any]) -> list[Ring]:
    kind = geometry["type"]
    if kind not in ("Polygon", "MultiPolygon"):
        raise ValueError(f"a {kind}, which has no area")
    coordinates = geometry["coordinates"]
    polygons = [coordinates] if kind == "Polygon" else coordinates
    rings = [np.asarray(ring, dtype=np.float64) for polygon in polygons for ring in polygon]
    if not rings or any(ring.ndim != 2 or ring.shape[1] < 2 for ring in rings):
        raise ValueError(f"a {kind} that is not made of rings of corners")
    return [ring[:, 1::-1] for ring in rings]
