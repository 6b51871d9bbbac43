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
from flowseg._system import files, memory
from flowseg.io._entries import Choice, Entries, read_text

StrPath = str | os.PathLike[str]

KIND = "CVAT export (for images 1.1)"

# Of the whole image.
TAG = "tag"


def read_cvat(path: StrPath, *, classes: str | Sequence[str] | None = None) -> dict[str, NDArray[np.int32]]:
    """Masks of all images of a "CVAT for images 1.1" export.

    Parameters
    ----------
    path : path
        ``annotations.xml``. Exports as colored PNG files ("segmentation mask") are for `masks_from_rgb`.
    classes : str or sequence of str, optional
        Names of the labels to take; by default all.

    Returns
    -------
    masks : dict of str to ndarray of int32
        By the images' names, folders included, and with their subset before where it takes it to tell them apart; each
        of the image's shape, numbered 1..n in raster order. Polygons, masks, boxes and ellipses, turned or not, are
        objects. Where two objects overlap the smaller one is seen.

    Raises
    ------
    TypeError, ValueError
        If the file is no such export, has several images of one name, nothing that can be read, or none of the chosen
        labels.

    Warns
    -----
    UserWarning
        If something is left out, with numbers: lines, points, shapes that are damaged.

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
    file, choice = Path(path), Choice(classes)
    entries = Entries(file, KIND)
    with files.naming_what_is_damaged(file, KIND):
        images = _images(read_text(file))
        names = _names(images)
        shapes = [(int(image.attrib["height"]), int(image.attrib["width"])) for image in images]
        canvases = [Canvas(shape) for shape in shapes]
        check_canvases(shapes)
    choice.check({shape.attrib["label"] for image in images for shape in image if shape.attrib.get("label")}, file)
    with memory.naming(file):
        for image, canvas in zip(images, canvases, strict=True):
            _draw_all(image, canvas, choice, entries)
        entries.close()
        masks = {}
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


def _images(text: str) -> list[Element]:
    root = parse_xml(text)
    images = list(root.iter("image"))
    if root.tag == "annotations" and not images and root.find("track") is not None:
        raise ValueError("tracks of a video: export it as 'CVAT for images 1.1'")
    if root.tag != "annotations" or not images:
        raise ValueError("no images")
    return images


def _names(images: list[Element]) -> list[str]:
    """The images' names, with their subsets where names alone are not enough."""
    names = [image.attrib["name"] for image in images]
    if len(set(names)) < len(names):
        subsets = [image.attrib.get("subset", "") for image in images]
        names = [f"{subset}/{name}" if subset else name for subset, name in zip(subsets, names, strict=True)]
    if len(set(names)) < len(names):
        raise ValueError(f"several images named {Counter(names).most_common(1)[0][0]!r}")
    return names


def _draw(shape: Element, canvas: Canvas) -> None:
    """Add one shape; raise ValueError if it has no area."""
    said = shape.attrib
    if shape.tag == "polygon":
        ring = np.array([point.split(",") for point in said["points"].split(";") if point.strip()], dtype=np.float64)
        if ring.ndim != 2 or ring.shape[1] != 2 or len(ring) < 3:
            raise ValueError("a polygon that is not three or more corners x, y")
        canvas.add_polygons([[ring[:, ::-1]]])
    elif shape.tag == "box":
        left, top, right, bottom = (float(said[name]) for name in ("xtl", "ytl", "xbr", "ybr"))
        ring = np.array([[top, left], [top, right], [bottom, right], [bottom, left]])
        canvas.add_polygons([[_turn(ring, float(said.get("rotation", 0)))]])
    elif shape.tag == "ellipse":
        center, axes = (np.array([float(said[name]) for name in names]) for names in (("cy", "cx"), ("ry", "rx")))
        _add_ellipse(canvas, center, axes, float(said.get("rotation", 0)))
    elif shape.tag == "mask":
        _add_mask(canvas, said)
    else:
        raise ValueError(f"a shape of the kind {shape.tag}, which has no area")


def _turn(ring: Ring, degrees: float) -> Ring:
    """Turn a box about its center, clockwise as seen on the screen, as CVAT's `_rotate_point` does."""
    if not np.isfinite(degrees):
        raise ValueError(f"a rotation of {degrees} degrees")
    if not degrees:
        return ring
    center, sine, cosine = ring.mean(axis=0), np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    return center + (ring - center) @ np.array([[cosine, -sine], [sine, cosine]])


def _add_ellipse(canvas: Canvas, center: Ring, axes: Ring, degrees: float) -> None:
    """Pixels whose centers are in an ellipse; its half axes are those along rows and columns before it is turned."""
    if not np.all(np.isfinite([*center, *axes, degrees])) or axes.min() <= 0:
        raise ValueError("an ellipse whose center, axes and rotation are no such numbers")
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    reach = np.hypot(axes * cosine, axes[::-1] * sine)
    low = np.clip(np.floor(center - reach), 0, canvas.shape).astype(int)
    high = np.clip(np.ceil(center + reach) + 1, low, canvas.shape).astype(int)

    def inside(row: NDArray[np.intp], column: NDArray[np.intp]) -> NDArray[np.bool_]:
        down, right = row + low[0] + 0.5 - center[0], column + low[1] + 0.5 - center[1]
        along, across = right * cosine + down * sine, down * cosine - right * sine
        return np.asarray((along / axes[1]) ** 2 + (across / axes[0]) ** 2 <= 1)

    canvas.add_inside(inside, (int(low[0]), int(low[1])), tuple((high - low).tolist()))


def _add_mask(canvas: Canvas, said: dict[str, str]) -> None:
    """A mask that is given by its box and, row by row in it, the lengths of its runs."""
    shape = canvas.shape
    top, left, height, width = (int(float(said[name])) for name in ("top", "left", "height", "width"))
    if min(top, left) < 0 or min(height, width) < 1 or top + height > shape[0] or left + width > shape[1]:
        raise ValueError(f"a mask in rows {top} to {top + height} and columns {left} to {left + width} of {shape}")
    runs = [int(run) for run in said["rle"].split(",") if run.strip()]
    if min(runs) < 0 or sum(runs) != height * width:
        raise ValueError(f"a mask of {height * width} pixels with runs that sum up to {sum(runs)}")
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    canvas.add(inside.reshape(height, width), (top, left))
