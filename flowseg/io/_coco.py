"""COCO annotations: polygons and run lengths of many images in one file."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks
from flowseg._labels.canvas import Canvas, check_canvases
from flowseg._labels.classes.given import classes_of_image
from flowseg._labels.objects import objects_of
from flowseg._system import files, memory
from flowseg._system.invalid_file import StoredFile
from flowseg._system.optional_packages import need
from flowseg.io._coco_segments import decode_segmentation
from flowseg.io._documents import name_kind, read_json
from flowseg.io._entries import Choice, Entries, UnreadableEntryError

StrPath = str | os.PathLike[str]

KIND = "COCO file"

# Keys of annotations without a segmentation, and their names in a warning.
WITHOUT_OUTLINE = (("keypoints", "keypoints"), ("bbox", "a box"))

# Ids of images and categories.
_Id = int | float | str | None
T = TypeVar("T")

# pycocotools counts pixels in 32 bits with a sign.
MAX_PIXELS = (1 << 31) - 1


class _Image(NamedTuple):
    """An image of a file."""

    id: _Id
    name: str
    shape: tuple[int, int]


class _Added(NamedTuple):
    """What an object that was drawn is of."""

    image: _Id
    category: str | None


def read_coco(path: StrPath, *, classes: str | Sequence[str] | None = None) -> dict[str, NDArray[np.int32]]:
    """Read the masks of all images of a COCO file.

    Parameters
    ----------
    path : path
        JSON file with ``images`` and ``annotations``.
    classes : str or sequence of str, optional
        Names of the categories to take; by default all.

    Returns
    -------
    masks : dict of str to ndarray of int32
        Masks by the images' file names with their folders; each of the image's shape, numbered 1..n in raster order.
        Where two objects overlap, the smaller one is on top. Images without annotations have masks of zeros.

    Raises
    ------
    ImportError
        If the package pycocotools is not installed (``pip install pycocotools``).
    InvalidFileError
        If the file is no such file, has several images of one name or id, or no outline that can be read.
    TypeError, ValueError
        If the file has none of the chosen categories.

    Warns
    -----
    UserWarning
        If entries are left out; the message counts them: boxes and keypoints without an outline, crowds, annotations of
        images that the file does not have, outlines that do not fit their image.

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
    return _read(path, classes)[0]


def read_coco_with_classes(
    path: StrPath, *, classes: str | Sequence[str] | None = None
) -> tuple[dict[str, NDArray[np.int32]], dict[str, dict[int, str | None]]]:
    """Read the masks and the classes of objects of all images of a COCO file.

    Parameters
    ----------
    path, classes
        As for `read_coco`.

    Returns
    -------
    masks : dict of str to ndarray of int32
        As from `read_coco`.
    names : dict of str to dict of int to str or None
        By the images' file names, the category of each object by its label, ready for `FlowSegmenter.fit`; None for one
        without.

    Raises
    ------
    ImportError, InvalidFileError, TypeError, ValueError
        As `read_coco`.

    Warns
    -----
    UserWarning
        As `read_coco`.

    Examples
    --------
    >>> import flowseg
    >>> classes = {"a.png": {1: "round", 2: "long"}}
    >>> flowseg.io.write_coco("cells.json", {"a.png": [[0, 1, 1], [2, 2, 0]]}, classes=classes)
    >>> masks, names = flowseg.io.read_coco_with_classes("cells.json")
    >>> names
    {'a.png': {1: 'round', 2: 'long'}}
    """
    return _read(path, classes)


def _read(
    path: StrPath, classes: str | Sequence[str] | None
) -> tuple[dict[str, NDArray[np.int32]], dict[str, dict[int, str | None]]]:
    """Return masks, and the categories of objects by label."""
    need("pycocotools.mask", "formats")
    stored, choice = StoredFile(Path(path), KIND), Choice(classes)
    entries = Entries(stored)
    document = read_json(stored)
    if not isinstance(document, Mapping) or not isinstance(document.get("images"), list):
        raise stored.invalid(name_kind(document) or "something without a list of images")
    if not isinstance(document.get("annotations"), list):
        raise stored.invalid("images without a list of annotations")
    with memory.naming(stored.path):
        images = _list_images(document["images"], stored)
        canvases = {image.id: Canvas(image.shape) for image in images}
        names: dict[_Id, list[str | None]] = {image.id: [] for image in images}
        categories = _list_categories(document.get("categories") or [], stored)
        choice.check(set(categories.values()), stored.path)
        for annotation in document["annotations"]:
            added = _add(annotation, canvases, categories, choice, entries)
            if added is not None:
                names[added.image].append(added.category)
        entries.close(stacklevel=3)
        masks, found = {}, {}
        for image in images:
            canvas = canvases[image.id]
            masks[image.name] = canvas.paint(image.name, stacklevel=3)
            found[image.name] = canvas.by_label(names[image.id])
    return masks, found


def _list_images(images: Sequence[Any], stored: StoredFile) -> list[_Image]:
    """Return the images of a file, whose names and ids must differ."""
    for image in images:
        if not isinstance(image, Mapping) or not image.keys() >= {"id", "file_name", "height", "width"}:
            raise stored.invalid("an image without id, file_name, height or width")
        if isinstance(image["id"], list | dict):
            raise stored.invalid("an image whose id is no number or text")
    found = [_Image(image["id"], str(image["file_name"]), _shape_of(image, stored)) for image in images]
    for kind, given in (("file name", [image.name for image in found]), ("id", [image.id for image in found])):
        if len(set(given)) < len(given):
            raise stored.invalid(f"several images of {kind} {Counter(given).most_common(1)[0][0]!r}")
    check_canvases([image.shape for image in found])
    return found


def _shape_of(image: Mapping[str, Any], stored: StoredFile) -> tuple[int, int]:
    try:
        rows, columns = float(image["height"]), float(image["width"])
    except (TypeError, ValueError, OverflowError):
        raise stored.invalid("an image whose height or width is no number") from None
    if not (rows.is_integer() and columns.is_integer() and min(rows, columns) >= 1 and rows * columns <= MAX_PIXELS):
        raise stored.invalid(f"an image of {rows:g} rows and {columns:g} columns")
    return int(rows), int(columns)


def _list_categories(categories: Any, stored: StoredFile) -> dict[_Id, str]:
    """Return the names of categories by their ids."""
    if not isinstance(categories, list):
        raise stored.invalid("categories that are no list")
    for item in categories:
        if not isinstance(item, Mapping) or not item.keys() >= {"id", "name"} or isinstance(item["id"], list | dict):
            raise stored.invalid("a category without id and name")
    return {item["id"]: str(item["name"]) for item in categories}


def _add(
    annotation: Any, canvases: Mapping[_Id, Canvas], categories: Mapping[_Id, str], choice: Choice, entries: Entries
) -> _Added | None:
    """Draw one annotation, if it is an object, and return what it is of; None if it is none."""
    values = annotation if isinstance(annotation, Mapping) else {}
    category = _look_up(categories, values.get("category_id"))
    if not choice.takes(category):
        entries.leave_out("an annotation of another category")
        return None
    if values.get("iscrowd"):
        entries.leave_out("a crowd, which is not one object")
        return None
    with entries.reading():
        canvas = _look_up(canvases, values.get("image_id"))
        if canvas is None:
            raise UnreadableEntryError("an annotation of an image that the file does not have")
        if not values.get("segmentation"):
            what = next((name for key, name in WITHOUT_OUTLINE if values.get(key)), "an annotation")
            raise UnreadableEntryError(f"{what} without an outline")
        canvas.add(*decode_segmentation(values["segmentation"], canvas.shape))
        return _Added(values["image_id"], category)
    return None


def _look_up(items: Mapping[_Id, T], key: Any) -> T | None:
    """Return an item by a value of a JSON document, which may be no key at all."""
    return None if isinstance(key, list | dict) else items.get(key)


def write_coco(
    path: StrPath,
    masks: Mapping[str, ArrayLike],
    *,
    category: str = "object",
    classes: Mapping[str, Any] | None = None,
) -> None:
    """Write the objects of several images as one COCO file.

    Parameters
    ----------
    path : path
        File to write, ending in ``.json``; an existing one is replaced atomically.
    masks : mapping of str to array_like of int, shape (rows, columns)
        Label images by the file names of their images.
    category : str
        Name of the category of all objects, or of those without a class.
    classes : mapping of str to dict of int to str, or table, optional
        By the file names, the class of each object by its label, or a table with columns ``label`` and ``class``, such
        as that of `FlowSegmenter.predict_objects`. An object or an image without classes has None.

    Raises
    ------
    TypeError, ValueError
        If masks are no label images by name, the path does not end in .json, or classes and objects differ.
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
    categories = {category: 1} if classes is None else {}  # ids by name
    for image_id, (name, labels) in enumerate(masks.items(), start=1):
        array = _checks.as_masks(labels, f"masks[{name!r}]", ndims=(2,))
        images.append({"id": image_id, "file_name": name, "height": array.shape[0], "width": array.shape[1]})
        known = {} if classes is None else _classes_of(classes, name, array)
        for label, corner, mask in objects_of(array):
            number = categories.setdefault(known.get(label, category), len(categories) + 1)
            annotation = {"id": len(annotations) + 1, "image_id": image_id, "category_id": number, "iscrowd": 0}
            annotations.append(annotation | _encode(coding, corner, mask, array.shape))
    named = [{"id": number, "name": name} for name, number in (categories or {category: 1}).items()]
    document = {"images": images, "annotations": annotations, "categories": named}
    text = json.dumps(document)
    files.write_atomically(Path(path), lambda beside: beside.write_text(text, encoding="utf-8"))


def _classes_of(classes: Mapping[str, Any], name: str, masks: NDArray[Any]) -> Mapping[int, str]:
    """Return the known classes of the objects of one image by label."""
    if not isinstance(classes, Mapping):
        raise TypeError(f"classes must be a mapping from file names; got {type(classes).__name__}.")
    if name not in classes:
        raise ValueError(f"classes must hold every file name of masks; got none for {name!r}.")
    item = classes[name]
    return {} if item is None else classes_of_image(item, masks, f"classes[{name!r}]", f"masks[{name!r}]")


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
