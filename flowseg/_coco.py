"""COCO annotations: polygons and run lengths of many images in one file."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks, _files
from flowseg._merging import Canvas
from flowseg._objects import objects_of
from flowseg._optional import need

StrPath = str | os.PathLike[str]

# pycocotools' maskApi.c does not look at what it is given. It counts pixels in 32 bits with a sign.
MAX_PIXELS = (1 << 31) - 1
# It counts fifths of pixels in the same way, and subtracts them: corners may be this many pixels from the first one.
MAX_COORDINATE = 1 << 26
# Bytes that it takes per pixel along an outline: five steps of five 32-bit numbers.
OUTLINE_BYTES = 100
# Bytes that it takes per pixel of the image: a 32-bit number to unite polygons, and the mask.
IMAGE_BYTES = 5
# Outlines may be as long as the image has pixels and this many times its rows and columns: no object has a longer one.
MAX_SIDES = 64


def masks_from_coco(path: StrPath) -> dict[str, NDArray[np.int32]]:
    """Masks of all images of a COCO file.

    Parameters
    ----------
    path : path
        JSON file with ``images`` and ``annotations``.

    Returns
    -------
    masks : dict of str to ndarray of int32
        By the images' file names; each of the image's shape, numbered 1..n in raster order. Where two objects overlap
        the smaller one is seen. Images without annotations are there, too.

    Raises
    ------
    ImportError
        If the package pycocotools is not installed (``pip install pycocotools``).
    ValueError
        If the file is no such file, has several images of one name or id, or segmentations that cannot be of their
        image; its name is in the sentence.

    Notes
    -----
    Polygons and run lengths (RLE), compressed or not, are read as ``pycocotools.mask`` reads them. Categories are not
    looked at.

    Examples
    --------
    >>> import flowseg
    >>> flowseg.io.write_coco("cells.json", {"a.png": [[0, 1, 1], [2, 2, 0]]})
    >>> flowseg.masks_from_coco("cells.json")["a.png"]
    array([[0, 1, 1],
           [2, 2, 0]], dtype=int32)
    """
    coding = need("pycocotools.mask", "formats")
    with _files.naming_what_is_damaged(Path(path), "COCO file"):
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        names = [str(image["file_name"]) for image in document["images"]]
        ids = [image["id"] for image in document["images"]]
        for kind, said in (("file name", names), ("id", ids)):
            if len(set(said)) < len(said):
                raise ValueError(f"several images of {kind} {Counter(said).most_common(1)[0][0]!r}")
        canvases = {image["id"]: Canvas(_shape_of(image)) for image in document["images"]}
        for annotation in document["annotations"]:
            canvas = canvases[annotation["image_id"]]
            canvas.add(_decode(coding, annotation["segmentation"], *canvas.shape))
    return {name: canvases[image_id].paint() for name, image_id in zip(names, ids, strict=True)}


def write_coco(path: StrPath, masks: Mapping[str, ArrayLike], *, category: str = "object") -> None:
    """Write the objects of several images as one COCO file.

    Parameters
    ----------
    path : path
        File to write, ending in ``.json``; an old one is replaced in one step.
    masks : mapping of str to array_like of int, shape (rows, columns)
        Label images by the file names of their images.
    category : str
        What the objects are.

    Raises
    ------
    ImportError
        If the package pycocotools is not installed (``pip install pycocotools``).

    Notes
    -----
    Segmentations are compressed run lengths: exact, also for objects with holes.

    Examples
    --------
    >>> from flowseg import io
    >>> io.write_coco("nuclei.json", {"a.png": [[0, 1, 1], [2, 2, 0]], "b.png": [[0, 0]]}, category="nucleus")
    """
    coding = need("pycocotools.mask", "formats")
    if Path(path).suffix.lower() != ".json":
        raise ValueError(f"path must end in .json; got {path}.")
    if not isinstance(masks, Mapping):
        raise TypeError(f"masks must be a mapping from file names to label images; got {type(masks).__name__}.")
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, (name, labels) in enumerate(masks.items(), start=1):
        array = _checks.as_masks(labels, f"masks[{name!r}]", ndims=(2,))
        images.append({"id": image_id, "file_name": name, "height": array.shape[0], "width": array.shape[1]})
        for _, corner, mask in objects_of(array):
            annotation = {"id": len(annotations) + 1, "image_id": image_id, "category_id": 1, "iscrowd": 0}
            annotations.append(annotation | _encode(coding, corner, mask, array.shape))
    document = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": category}]}
    text = json.dumps(document)
    _files.write_whole(Path(path), lambda beside: beside.write_text(text, encoding="utf-8"))


def _encode(coding: Any, corner: tuple[int, int], mask: NDArray[np.bool_], shape: tuple[int, ...]) -> dict[str, Any]:
    columns, rows = np.nonzero(mask.T)
    place = (columns + corner[1]) * shape[0] + rows + corner[0]  # column by column, rising
    first = np.flatnonzero(np.diff(place, prepend=-2) > 1)
    starts, stops = place[first], place[np.append(first[1:], place.size) - 1] + 1
    edges = np.concatenate([[0], np.stack([starts, stops], axis=1).ravel(), [shape[0] * shape[1]]])
    runs = coding.frPyObjects({"size": list(shape), "counts": np.diff(edges).tolist()}, *shape)
    return {
        "segmentation": {"size": list(shape), "counts": runs["counts"].decode("ascii")},
        "area": place.size,
        "bbox": [corner[1], corner[0], mask.shape[1], mask.shape[0]],
    }


def _shape_of(image: Mapping[str, Any]) -> tuple[int, int]:
    rows, columns = float(image["height"]), float(image["width"])
    if not (rows.is_integer() and columns.is_integer() and rows * columns <= MAX_PIXELS):
        raise ValueError(f"an image of {rows:g} rows and {columns:g} columns")
    return int(rows), int(columns)


def _decode(coding: Any, segmentation: Any, height: int, width: int) -> NDArray[np.bool_]:
    if isinstance(segmentation, list):
        return _fill(coding, segmentation, height, width)
    if segmentation["size"] != [height, width]:
        raise ValueError(f"a segmentation of shape {segmentation['size']} in an image of shape {(height, width)}")
    counts = segmentation["counts"]
    runs = _unpack(counts) if isinstance(counts, str) else np.asarray(counts)
    if runs.ndim != 1 or runs.dtype.kind not in "iu" or runs.min() < 0 or sum(runs.tolist()) != height * width:
        raise ValueError(f"run lengths that are not those of an image of shape {(height, width)}")
    inside = np.zeros(height * width, dtype=bool)
    edges = np.cumsum(runs).tolist()
    for start, stop in zip(edges[::2], edges[1::2], strict=False):
        inside[start:stop] = True
    return inside.reshape(width, height).T  # column by column


def _fill(coding: Any, polygons: list[Any], height: int, width: int) -> NDArray[np.bool_]:
    """Pixels inside of any of the polygons, of which each is a list x, y, x, y, ..."""
    if not polygons:
        raise ValueError("a segmentation without polygons")
    length = 0.0
    for polygon in polygons:
        ring = np.asarray(polygon, dtype=np.float64)
        if ring.ndim != 1 or ring.size < 6 or ring.size % 2 or not np.all(np.abs(ring) <= MAX_COORDINATE):
            raise ValueError("a polygon that is not three or more corners x, y near its image")
        corners = ring.reshape(-1, 2)
        length += np.abs(corners - np.roll(corners, 1, axis=0)).max(axis=1).sum()
    if length > height * width + MAX_SIDES * (height + width):
        raise ValueError(f"polygons {length:.0f} pixels long in an image of shape {(height, width)}")
    np.empty(int(OUTLINE_BYTES * length) + IMAGE_BYTES * height * width, dtype=np.uint8)  # a MemoryError here, if any
    return coding.decode(coding.merge(coding.frPyObjects(polygons, height, width))).astype(bool)


def _unpack(text: str) -> NDArray[np.int64]:
    """Run lengths from text: five bits per character, lowest first; from the fourth on less the last but one."""
    code = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.int64) - ord("0")
    if code.size == 0 or code.min() < 0 or code.max() > 63 or code[-1] & 32:  # 32: the number goes on
        raise ValueError("run lengths that are cut off or no text of COCO's")
    last = np.flatnonzero((code & 32) == 0)
    first = np.append(0, last[:-1] + 1)
    shift = 5 * (np.arange(code.size) - np.repeat(first, last - first + 1))
    if shift.max() > 30:
        raise ValueError("run lengths of more than 32 bits")
    runs = np.add.reduceat((code & 31) << shift, first)
    runs -= np.where(code[last] & 16, 32 << shift[last], 0)  # 16: the number is negative
    runs[1::2], runs[2::2] = np.cumsum(runs[1::2]), np.cumsum(runs[2::2])
    return runs
