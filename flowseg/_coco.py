"""COCO annotations: polygons and run lengths of many images in one file."""

from __future__ import annotations

import json
import os
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
        If the package pycocotools is not installed (``pip install flowseg[formats]``).
    ValueError
        If the file is no such file; its name is in the sentence.

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
        canvases = {image["id"]: Canvas((int(image["height"]), int(image["width"]))) for image in document["images"]}
        for annotation in document["annotations"]:
            canvas = canvases[annotation["image_id"]]
            canvas.add(_decode(coding, annotation["segmentation"], *canvas.shape))
    return {str(image["file_name"]): canvases[image["id"]].paint() for image in document["images"]}


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
        If the package pycocotools is not installed (``pip install flowseg[formats]``).

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


def _decode(coding: Any, segmentation: Any, height: int, width: int) -> NDArray[np.bool_]:
    runs = segmentation
    if isinstance(segmentation, list):  # polygons
        runs = coding.merge(coding.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        runs = coding.frPyObjects(segmentation, height, width)
    mask = coding.decode(runs)
    if mask.shape != (height, width):
        raise ValueError(f"a segmentation of shape {mask.shape} in an image of shape {(height, width)}")
    return mask.astype(bool)
