"""CVAT's export "for images 1.1"."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from flowseg._image_files.xml import parse_xml
from flowseg._labels.canvas import Canvas, check_canvases
from flowseg._labels.polygons import Ring
from flowseg._system import memory
from flowseg._system.invalid_file import StoredFile
from flowseg.io._documents import read_text
from flowseg.io._entries import Choice, Entries, UnreadableEntryError, as_float, as_floats, check_corners

StrPath = str | os.PathLike[str]

KIND = "CVAT export (for images 1.1)"

# The element that labels an entire image.
TAG = "tag"


def read_cvat(path: StrPath, *, classes: str | Sequence[str] | None = None) -> dict[str, NDArray[np.int32]]:
    """Read the masks of all images of a "CVAT for images 1.1" export.

    Parameters
    ----------
    path : path
        ``annotations.xml``. Exports as colored PNG files ("segmentation mask") are for `masks_from_rgb`.
    classes : str or sequence of str, optional
        Names of the labels to take; by default all.

    Returns
    -------
    masks : dict of str to ndarray of int32
        Masks by the images' names with their folders, and with their subsets where names alone are not unique; each of
        the image's shape, numbered 1..n in raster order. Polygons, masks, boxes and ellipses, rotated or not, are
        objects. Where two objects overlap, the smaller one is on top.

    Raises
    ------
    InvalidFileError
        If the file is no such export, has several images of one name, or nothing that can be read.
    TypeError, ValueError
        If the file has none of the chosen labels.

    Warns
    -----
    UserWarning
        If entries are left out; the message counts them: lines, points, damaged shapes.

    Examples
    --------
    >>> from pathlib import Path
    >>> import flowseg
    >>> box = '<box label="cell" xtl="1" ytl="0" xbr="3" ybr="2"/>'
    >>> text = f'<annotations><image name="a.png" width="4" height="2">{box}</image></annotations>'
    >>> _ = Path("annotations.xml").write_text(text)
    >>> flowseg.io.read_cvat("annotations.xml")["a.png"]
    array([[0, 1, 1, 0],
           [0, 1, 1, 0]], dtype=int32)
    """
    stored, choice = StoredFile(Path(path), KIND), Choice(classes)
    entries = Entries(stored)
    with memory.naming(stored.path):
        images = _find_images(stored)
        names = _names(images, stored)
        shapes = [_shape_of(image, stored) for image in images]
        check_canvases(shapes)
        labels = {shape.attrib["label"] for image in images for shape in image if shape.attrib.get("label")}
        choice.check(labels, stored.path)
        masks = {}
        canvases = [Canvas(shape) for shape in shapes]
        for image, canvas in zip(images, canvases, strict=True):
            _draw_all(image, canvas, choice, entries)
        entries.close()
        for name, canvas in zip(names, canvases, strict=True):
            masks[name] = canvas.paint(name)
    return masks


def _draw_all(image: Element, canvas: Canvas, choice: Choice, entries: Entries) -> None:
    """Add the shapes of one image."""
    for shape in image:
        if shape.tag == TAG:
            continue
        if not choice.takes(shape.attrib.get("label")):
            entries.leave_out("a shape of another label")
            continue
        with entries.reading():
            _draw(shape, canvas)


def _find_images(stored: StoredFile) -> list[Element]:
    root = parse_xml(read_text(stored), stored)
    images = list(root.iter("image"))
    if root.tag == "annotations" and not images and root.find("track") is not None:
        raise stored.invalid("tracks of a video: export it as 'CVAT for images 1.1'")
    if root.tag != "annotations" or not images:
        raise stored.invalid("no images")
    return images


def _names(images: list[Element], stored: StoredFile) -> list[str]:
    """Return the images' names, with their subsets where names alone are not enough."""
    if not all("name" in image.attrib for image in images):
        raise stored.invalid("an image without a name")
    names = [image.attrib["name"] for image in images]
    if len(set(names)) < len(names):
        subsets = [image.attrib.get("subset", "") for image in images]
        names = [f"{subset}/{name}" if subset else name for subset, name in zip(subsets, names, strict=True)]
    if len(set(names)) < len(names):
        raise stored.invalid(f"several images named {Counter(names).most_common(1)[0][0]!r}")
    return names


def _shape_of(image: Element, stored: StoredFile) -> tuple[int, int]:
    try:
        rows, columns = int(image.attrib.get("height", "")), int(image.attrib.get("width", ""))
    except ValueError:
        raise stored.invalid("an image whose height or width is no whole number") from None
    if min(rows, columns) < 1:
        raise stored.invalid(f"an image of {rows} rows and {columns} columns")
    return rows, columns


def _draw(shape: Element, canvas: Canvas) -> None:
    """Add one shape; raise UnreadableEntryError if it has no area."""
    if shape.tag == "polygon":
        points = shape.attrib.get("points", "").split(";")
        ring = as_floats([point.split(",") for point in points if point.strip()], "corners")
        if ring.ndim != 2 or ring.shape[1] != 2 or len(ring) < 3:
            raise UnreadableEntryError("a polygon that is not three or more corners x, y")
        check_corners([ring])
        canvas.add_polygons([[ring[:, ::-1]]])
    elif shape.tag == "box":
        left, top, right, bottom = (_number(shape, name) for name in ("xtl", "ytl", "xbr", "ybr"))
        ring = _rotate(
            np.array([[top, left], [top, right], [bottom, right], [bottom, left]]), _number(shape, "rotation")
        )
        check_corners([ring])
        canvas.add_polygons([[ring]])
    elif shape.tag == "ellipse":
        center, axes = (np.array([_number(shape, name) for name in names]) for names in (("cy", "cx"), ("ry", "rx")))
        _add_ellipse(canvas, center, axes, _number(shape, "rotation"))
    elif shape.tag == "mask":
        _add_mask(canvas, shape)
    else:
        raise UnreadableEntryError(f"a shape of the kind {shape.tag}, which has no area")


def _number(shape: Element, name: str) -> float:
    """Return an attribute of a shape as a number; a shape without a rotation is not rotated."""
    return as_float(shape.attrib.get(name, 0 if name == "rotation" else None), f"a shape whose {name}")


def _rotate(ring: Ring, degrees: float) -> Ring:
    """Rotate a box about its center, clockwise as seen on the screen, as CVAT's `_rotate_point` does."""
    if not degrees:
        return ring
    center, sine, cosine = ring.mean(axis=0), np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    return np.asarray(center + (ring - center) @ np.array([[cosine, -sine], [sine, cosine]]))


def _add_ellipse(canvas: Canvas, center: Ring, axes: Ring, degrees: float) -> None:
    """Add the pixels whose centers are in an ellipse; its half axes lie along rows and columns before the rotation."""
    if axes.min() <= 0:
        raise UnreadableEntryError("an ellipse whose axes are not above 0")
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    reach = np.hypot(axes * cosine, axes[::-1] * sine)
    low = np.clip(np.floor(center - reach), 0, canvas.shape).astype(int)
    high = np.clip(np.ceil(center + reach) + 1, low, canvas.shape).astype(int)

    def inside(row: NDArray[np.intp], column: NDArray[np.intp]) -> NDArray[np.bool_]:
        down, right = row + low[0] + 0.5 - center[0], column + low[1] + 0.5 - center[1]
        along, across = right * cosine + down * sine, down * cosine - right * sine
        return np.asarray((along / axes[1]) ** 2 + (across / axes[0]) ** 2 <= 1)

    canvas.add_inside(inside, (int(low[0]), int(low[1])), tuple((high - low).tolist()))


def _add_mask(canvas: Canvas, shape: Element) -> None:
    """Add a mask that is given by its box and, row by row in it, the lengths of its runs."""
    n_rows, n_columns = canvas.shape
    top, left, height, width = (int(_number(shape, name)) for name in ("top", "left", "height", "width"))
    if min(top, left) < 0 or min(height, width) < 1 or top + height > n_rows or left + width > n_columns:
        raise UnreadableEntryError(
            f"a mask in rows {top} to {top + height} and columns {left} to {left + width} of {canvas.shape}"
        )
    try:
        runs = [int(run) for run in shape.attrib.get("rle", "").split(",") if run.strip()]
    except ValueError:
        raise UnreadableEntryError("a mask whose runs are no whole numbers") from None
    if min(runs, default=0) < 0 or sum(runs) != height * width:
        raise UnreadableEntryError(f"a mask of {height * width} pixels with runs that sum up to {sum(runs)}")
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    canvas.add(inside.reshape(height, width), (top, left))
