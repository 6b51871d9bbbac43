"""ImageJ regions of interest: ``.roi`` files of one object, ``.zip`` files of many."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks, _files
from flowseg._merging import Canvas
from flowseg._objects import objects_of
from flowseg._optional import need
from flowseg._polygons import Ring, trace

StrPath = str | os.PathLike[str]

# Segments that an ellipse is made of.
ELLIPSE = 128


def masks_from_roi(path: StrPath, shape: tuple[int, int]) -> NDArray[np.int32]:
    """Masks from regions of interest that ImageJ saved.

    Parameters
    ----------
    path : path
        ``.roi`` file of one region or ``.zip`` file of the ROI manager.
    shape : tuple of int
        Rows and columns of the image: the file does not hold them.

    Returns
    -------
    masks : ndarray of int32
        Numbered 1..n in raster order. Where two regions overlap the smaller one is seen.

    Raises
    ------
    ImportError
        If the package roifile is not installed (``pip install roifile``).
    ValueError
        If the file is damaged, or holds a region without area (a line, a point).

    Notes
    -----
    Polygons, freehand and traced regions, rectangles, ellipses and composites of them are read. An ImageJ polygon runs
    along the edges of pixels, as in its own ``getMask``.

    Examples
    --------
    >>> import flowseg
    >>> flowseg.io.write_roi("cells.zip", [[0, 1, 1], [2, 2, 0]])
    >>> flowseg.masks_from_roi("cells.zip", (2, 3))
    array([[0, 1, 1],
           [2, 2, 0]], dtype=int32)
    """
    roifile = need("roifile", "formats")
    rows, columns = _checks.as_shape(shape)
    with _files.naming_what_is_damaged(Path(path), "ImageJ ROI file"):
        read = roifile.roiread(os.fspath(path))
    canvas = Canvas((rows, columns))
    for roi in read if isinstance(read, list) else [read]:
        rings = _rings(roi, roifile, path)
        with _files.naming_what_is_damaged(Path(path), "ImageJ ROI file"):
            canvas.add_rings(rings)
    return canvas.paint()


def write_roi(path: StrPath, masks: ArrayLike) -> None:
    """Write objects as a ``.zip`` file for ImageJ's ROI manager.

    Parameters
    ----------
    path : path
        File to write, ending in ``.zip``; an old one is replaced in one step.
    masks : array_like of int, shape (rows, columns)
        Label image. Regions are named by their labels.

    Raises
    ------
    ImportError
        If the package roifile is not installed (``pip install roifile``).

    Notes
    -----
    Outlines follow the edges of pixels, so nothing is lost. An object with a hole, or whose pixels touch
    at corners only, becomes a composite region.

    Examples
    --------
    >>> from flowseg import io, synthetic
    >>> _, masks = synthetic.cells((64, 64), 5, rng=0)
    >>> io.write_roi("cells.zip", masks)
    """
    roifile = need("roifile", "formats")
    if Path(path).suffix.lower() != ".zip":
        raise ValueError(f"path must end in .zip; got {path}.")
    regions = [_as_roi(roifile, label, corner, mask) for label, corner, mask in objects_of(masks)]
    _files.write_whole(Path(path), lambda beside: roifile.roiwrite(os.fspath(beside), regions, mode="w"))


def _as_roi(roifile: Any, label: int, corner: tuple[int, int], mask: NDArray[np.bool_]) -> Any:
    rings = [ring[:, ::-1] + corner[::-1] for polygon in trace(mask) for ring in polygon]
    if len(rings) == 1:
        roi = roifile.ImagejRoi.frompoints(rings[0].astype(np.int32), name=f"{label:04d}")
        roi.roitype = roifile.ROI_TYPE.TRACED
        return roi
    points = np.concatenate(rings)
    roi = roifile.ImagejRoi.frompoints(points.astype(np.int32), name=f"{label:04d}")
    left, top = points.min(axis=0)
    right, bottom = points.max(axis=0)
    path = [[0.0, *ring[0], *(v for point in ring[1:] for v in (1.0, *point)), 4.0] for ring in rings]
    roi.roitype = roifile.ROI_TYPE.RECT
    roi.left, roi.top, roi.right, roi.bottom = int(left), int(top), int(right), int(bottom)
    roi.integer_coordinates = None
    roi.n_coordinates = 0
    roi.multi_coordinates = np.array([v for part in path for v in part], dtype=np.float32)
    roi.shape_roi_size = roi.multi_coordinates.size
    return roi


def _rings(roi: Any, roifile: Any, path: StrPath) -> list[Ring]:
    """Rings (row, column) of one region."""
    kinds = roifile.ROI_TYPE
    if roi.composite:
        return [np.asarray(part, dtype=np.float64)[:, ::-1] for part in roi.coordinates(multi=True) if len(part) > 2]
    box = np.array([[roi.top, roi.left], [roi.bottom, roi.right]], dtype=np.float64)
    if roi.roitype == kinds.RECT:
        return [np.array([box[0], [box[0, 0], box[1, 1]], box[1], [box[1, 0], box[0, 1]]])]
    if roi.roitype == kinds.OVAL:
        angle = np.linspace(0, 2 * np.pi, ELLIPSE, endpoint=False)
        return [box.mean(axis=0) + 0.5 * (box[1] - box[0]) * np.stack([np.sin(angle), np.cos(angle)], axis=1)]
    if roi.roitype in (kinds.POLYGON, kinds.FREEHAND, kinds.TRACED):
        return [np.asarray(roi.coordinates(), dtype=np.float64)[:, ::-1]]
    raise ValueError(f"{path} must hold regions with an area; got {roi.name!r}, a {roi.roitype.name.lower()}.")
