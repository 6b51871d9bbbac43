"""ImageJ regions of interest: ``.roi`` files of one object, ``.zip`` files of many."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks
from flowseg._labels.canvas import Canvas
from flowseg._labels.objects import objects_of
from flowseg._labels.polygons import trace
from flowseg._system import files, memory
from flowseg._system.invalid_file import StoredFile, check_regular
from flowseg._system.optional_packages import need
from flowseg.io._entries import Entries, parsing_entry
from flowseg.io._planes import Plane, as_plane, lie_in_plane
from flowseg.io._roi_shapes import draw_region

StrPath = str | os.PathLike[str]

KIND = "ImageJ ROI file"

# Bytes of one region in a .zip file at most; one of a million corners has 12 million.
MAX_BYTES = 1 << 26

# Regions together are at most this many times as large as their .zip file, and `MAX_BYTES` more: coordinates shrink to
# a tenth at best, an archive that is made to fill memory to a thousandth.
MAX_RATIO = 100

# The folder that macOS adds to .zip files.
MAC_FOLDER = "__MACOSX/"


def read_roi(
    path: StrPath, shape: tuple[int, int], *, z: int | None = None, t: int | None = None, channel: int | None = None
) -> NDArray[np.int32]:
    """Read masks from regions of interest that ImageJ saved.

    Parameters
    ----------
    path : path
        ``.roi`` file of one region or ``.zip`` file of the ROI manager.
    shape : tuple of int
        Rows and columns of the image, which the file does not hold.
    z, t, channel : int, optional
        Plane of the image, the first is 0 (in ImageJ it is 1); needed if regions lie in several planes. Regions without
        a position lie in every plane.

    Returns
    -------
    masks : ndarray of int32
        Numbered 1..n in raster order. Where two regions overlap, the smaller one is on top.

    Raises
    ------
    ImportError
        If the package roifile is not installed (``pip install roifile``).
    InvalidFileError
        If the file is damaged or holds nothing with an area.
    TypeError, ValueError
        If regions lie in several planes and none is chosen.

    Warns
    -----
    UserWarning
        If entries are left out; the message counts them: lines, points, texts, damaged regions.

    Notes
    -----
    Polygons, freehand and traced regions, rectangles, ovals, ellipses and composites of them are read, with the pixels
    of ImageJ's own masks. Old files hold a position in the stack without an axis: it counts along ``z``, or along ``t``
    or ``channel`` if only that is given.

    Examples
    --------
    >>> import flowseg
    >>> flowseg.io.write_roi("cells.zip", [[0, 1, 1], [2, 2, 0]])
    >>> flowseg.io.read_roi("cells.zip", (2, 3))
    array([[0, 1, 1],
           [2, 2, 0]], dtype=int32)
    """
    roifile = need("roifile", "formats")
    canvas, stored, wanted = Canvas(_checks.as_shape(shape)), StoredFile(Path(path), KIND), as_plane(z, t, channel)
    entries = Entries(stored)
    positions = []
    with memory.naming(stored.path):
        for raw in _regions(stored):
            with entries.reading():
                with parsing_entry():
                    roi = roifile.ImagejRoi.frombytes(raw)
                draw_region(roi, canvas)
                positions.append((roi.position, roi.z_position, roi.t_position, roi.c_position))
        canvas.keep(lie_in_plane(_planes(positions, wanted, stored.path), wanted, stored.path))
        entries.close()
        return canvas.paint()


def _regions(stored: StoredFile) -> Iterator[bytes]:
    """Yield the regions of a file as they are written."""
    if stored.path.suffix.lower() != ".zip":
        yield stored.read_bytes()
        return
    check_regular(stored.path)
    size = stored.path.stat().st_size
    with stored.parsing():
        archive = zipfile.ZipFile(stored.path)
    with archive:
        parts = archive.infolist()
        regions = [part for part in parts if part.filename.lower().endswith(".roi")]
        if not regions:
            raise stored.invalid(f"{len(parts)} parts, none of which ends in .roi")
        regions = [part for part in regions if not part.filename.startswith(MAC_FOLDER)]
        if sum(part.file_size for part in regions) > MAX_RATIO * size + MAX_BYTES:
            raise stored.invalid(f"regions that claim to be more than {MAX_RATIO} times as large as the file")
        for part in regions:
            if part.file_size > MAX_BYTES:
                raise stored.invalid(f"a region of {memory.format_bytes(part.file_size)}")
            with stored.parsing(), archive.open(part) as stream:
                raw = stream.read()
            yield raw


def _planes(regions: Sequence[tuple[int, int, int, int]], wanted: Plane, file: Path) -> list[Plane]:
    """Return the planes of regions: ImageJ counts from 1, 0 is every plane."""
    given = {name: number for name, number in wanted._asdict().items() if number is not None}
    axis = next(iter(given), "z")
    planes = []
    for position, *places in regions:
        if position > 0 and not any(places):  # an index in a stack, without an axis
            if len(given) > 1:
                raise ValueError(
                    f"z, t and channel must be one number for {file}, whose regions hold a position in a stack of one "
                    f"axis; got {', '.join(f'{name} {number}' for name, number in given.items())}."
                )
            planes.append(Plane(**{axis: position - 1}))
        else:
            planes.append(Plane(*(place - 1 if place > 0 else None for place in places)))
    return planes


def write_roi(path: StrPath, masks: ArrayLike) -> None:
    """Write objects as a ``.zip`` file for ImageJ's ROI manager.

    Parameters
    ----------
    path : path
        File to write, ending in ``.zip``; an existing one is replaced atomically.
    masks : array_like of int, shape (rows, columns) or (planes, rows, columns)
        Label image or label volume. Regions are named by their labels.

    Raises
    ------
    ImportError
        If the package roifile is not installed (``pip install roifile``).

    Notes
    -----
    Outlines follow the edges of pixels: the masks can be read back exactly. An object with a hole, or
    with pixels that touch at corners only, becomes a composite region.

    ImageJ has no regions in 3-D: an object of a volume becomes one region in each of its planes, which lies there and
    is named by label and plane, as in ``0012-z0003`` (the first plane is 1, as ImageJ counts). `read_roi` reads such a
    file plane by plane, with ``z``; what belongs together over planes is in the names only.

    Examples
    --------
    >>> from flowseg import io, synthetic
    >>> _, masks = synthetic.cells((64, 64), 5, rng=0)
    >>> io.write_roi("cells.zip", masks)
    """
    roifile = need("roifile", "formats")
    if Path(path).suffix.lower() != ".zip":
        raise ValueError(f"path must end in .zip; got {path}.")
    array = _checks.as_masks(masks)
    if array.ndim == 2:
        regions = [_as_roi(roifile, label, corner, mask) for label, corner, mask in objects_of(array)]
    else:
        regions = [
            _in_plane(_as_roi(roifile, *found), z) for z, plane in enumerate(array) for found in objects_of(plane)
        ]
    files.write_atomically(Path(path), lambda beside: roifile.roiwrite(os.fspath(beside), regions, mode="w"))


def _in_plane(roi: Any, z: int) -> Any:
    """Return a region that lies in a plane, by the place and by the name."""
    roi.z_position = z + 1
    roi.name = f"{roi.name}-z{z + 1:04d}"
    return roi


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
