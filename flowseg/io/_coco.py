"""COCO annotations: polygons and run lengths of many images in one file."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks
from flowseg._labels.canvas import Canvas, check_canvases
from flowseg._labels.objects import objects_of
from flowseg._system import files, memory
from flowseg._system.optional import need
from flowseg.io._coco_segments import decode
from flowseg.io._entries import Choice, Entries, name_kind, read_json

StrPath = str | os.PathLike[str]

KIND = "COCO file"

# What an annotation without a segmentation may have instead, and what it is called.
WITHOUT_OUTLINE = (("keypoints", "keypoints"), ("bbox", "a box"))

# pycocotools counts pixels in 32 bits with a sign.
MAX_PIXELS = (1 << 31) - 1


def read_coco(path: StrPath, *, classes: str | Sequence[str] | None = None) -> dict[str, NDArray[np.int32]]:
    """Masks of all images of a COCO file.

    Parameters
    ----------
    path : path
        JSON file with ``images`` and ``annotations``.
    classes : str or sequence of str, optional
        Names of the categories to take; by default all.

    Returns
    -------
    masks : dict of str to ndarray of int32
        By the images' file names, folders included; each of the image's shape, numbered 1..n in raster order. Where two
        objects overlap the smaller one is seen. Images without annotations are there, too.

    Raises
    ------
    ImportError
        If the package pycocotools is not installed (``pip install pycocotools``).
    TypeError, ValueError
        If the file is no such file, has several images of one name or id, no outline that can be read, or none of the
        chosen categories.

    Warns
    -----
    UserWarning
        If something is left out, with numbers: boxes and keypoints without an outline, crowds, annotations of images
        that the file does not have, outlines that cannot be of their image.

    Notes
    -----
    Polygons and run lengths (RLE), compressed or not, are read as ``pycocotools.mask`` reads them.

    Examples
    --------
    >>> import flowseg
    >>> flowseg.io.write_coco("cells.json", {"a.png": [[0, 1, 1], [2, 2, 0]]})
    >>> flowseg.io.read_coco("cells.json")["a.png"]
    array([[0, 1, 1],
           [2, 2, 0]], dtype=int32)
    """
    need("pycocotools.mask", "formats")
    file, choice = Path(path), Choice(classes)
    entries = Entries(file, KIND)
    with files.naming_what_is_damaged(file, KIND):
        document = read_json(file)
        if not isinstance(document, Mapping) or not isinstance(document.get("images"), list):
            raise ValueError(name_kind(document) or "something without a list of images")
        if not isinstance(document.get("annotations"), list):
            raise ValueError("images without a list of annotations")
        names = [str(image["file_name"]) for image in document["images"]]
        ids = [image["id"] for image in document["images"]]
        for kind, said in (("file name", names), ("id", ids)):
            if len(set(said)) < len(said):
                raise ValueError(f"several images of {kind} {Counter(said).most_common(1)[0][0]!r}")
        shapes = [_shape_of(image) for image in document["images"]]
        canvases = {image_id: Canvas(shape) for image_id, shape in zip(ids, shapes, strict=True)}
        check_canvases(shapes)
        categories = {item["id"]: str(item["name"]) for item in document.get("categories") or []}
    choice.check(set(categories.values()), file)
    with memory.naming(file):
        for annotation in document["annotations"]:
            _add(annotation, canvases, categories, choice, entries)
        entries.close()
        masks = {}
        for name, image_id in zip(names, ids, strict=True):
            masks[name] = canvases[image_id].paint(name)
    return masks


def _add(
    annotation: Any, canvases: Mapping[Any, Canvas], categories: Mapping[Any, str], choice: Choice, entries: Entries
) -> None:
    """Draw one annotation, if it is an object."""
    said = annotation if isinstance(annotation, Mapping) else {}
    if not choice.takes(categories.get(said.get("category_id"))):
        entries.leave_out("an annotation of another category")
        return
    if said.get("iscrowd"):
        entries.leave_out("a crowd, which is not one object")
        return
    with entries.reading():
        canvas = canvases.get(said.get("image_id"))
        if canvas is None:
            raise ValueError("an annotation of an image that the file does not have")
        if not said.get("segmentation"):
            what = next((name for key, name in WITHOUT_OUTLINE if said.get(key)), "an annotation")
            raise ValueError(f"{what} without an outline")
        canvas.add(*decode(said["segmentation"], canvas.shape))


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
    files.write_whole(Path(path), lambda beside: beside.write_text(text, encoding="utf-8"))


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
