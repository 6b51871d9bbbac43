"""Table of real files: which door reads each, and whether it reads it right or refuses it in a sentence.

    python tests/readers_table.py FOLDER [REFERENCES] > table.csv

REFERENCES is a folder of what other libraries read, one NAME.npz per file with "/" in NAME written as "__": arrays
a0, a1, ... of its scenes, their axes x0, x1, ..., their number n, and by, the library.
"""

import csv
import itertools
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

import flowseg
from flowseg import io
from flowseg.cli._shared.annotation_files import find_annotations

IMAGES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".czi", ".lif", ".nd2")
ANNOTATIONS = (".roi", ".zip", ".geojson", ".json", ".xml", ".labeling")
AXES = "TZCYXS"  # others are named by the call
SHAPED = ("roi", "geojson")  # these need the size of the image
SHAPE = (2048, 2048)
ERRORS = (ValueError, TypeError, FileNotFoundError, ImportError, MemoryError)
COLUMNS = ("file", "door", "outcome", "shape", "axes", "sentence", "checked against")


def door(name):
    """The function that reads annotations of a kind, wherever it is."""
    return getattr(io, f"read_{name}", None) or getattr(flowseg, f"masks_from_{name}")


def load_reference(folder, name):
    file = folder / (name.replace("/", "__") + ".npz") if folder else None
    if file is None or not file.is_file():
        return "", []
    with np.load(file) as found:
        return str(found["by"]), [(found[f"a{k}"], str(found[f"x{k}"])) for k in range(int(found["n"]))]


def planes_of(array, axes):
    """What to ask for to get each plane of an array, and the plane with channels last."""
    for axis in [axis for axis in axes if axis not in "YX" and array.shape[axes.index(axis)] == 1]:
        array, axes = array.squeeze(axes.index(axis)), axes.replace(axis, "", 1)
    single = sum(axis not in AXES for axis in axes) == 1
    names = (letter for letter in ("CZT" if single else "ZCT") if letter not in axes)
    axes = "".join(axis if axis in AXES else next(names) for axis in axes)
    stacked = [axis for axis in axes if axis in "TZ"]
    for place in itertools.product(*(range(array.shape[axes.index(axis)]) for axis in stacked)):
        plane, names = array, axes
        for axis, number in zip(stacked, place):
            plane, names = np.take(plane, number, names.index(axis)), names.replace(axis, "")
        order = [names.index(axis) for axis in "YXCS" if axis in names]
        yield dict(zip((axis.lower() for axis in stacked), place)), names, axes, plane.transpose(order)


def compare(file, scenes):
    """How many planes are those of the reference, how many are others, how many are refused, and why."""
    count, sentence = Counter(), ""
    for number, (array, axes) in enumerate(scenes):
        unnamed = any(axis not in AXES and n > 1 for axis, n in zip(axes, array.shape))
        for chosen, _, named, plane in planes_of(array, axes):
            said = {"axes": named} if unnamed else {}
            try:
                read = io.read_image(file, scene=number, keep_color=True, **chosen, **said)
            except ERRORS as error:
                count["refused"] += 1
                sentence = sentence or f"{error}"
                continue
            if plane.ndim == 3 and plane.shape[-1] in (2, 4) and read.shape[-1] != plane.shape[-1]:
                plane = plane[..., 0] if plane.shape[-1] == 2 else plane[..., :3]  # opaque
            same = read.shape == plane.shape and read.dtype == plane.dtype and np.array_equal(read, plane)
            count["right" if same else "wrong"] += 1
    return count, sentence


def try_image(file, name, references):
    by, scenes = load_reference(references, name)
    shape, sentence = "", ""
    try:
        image = io.read_image(file)
        shape, outcome = "x".join(map(str, image.shape)), "read"
    except ERRORS as error:
        outcome, sentence = "refused", str(error)
    axes = ", ".join(axes for _, axes in scenes if axes)
    if scenes and any(array.size for array, _ in scenes):
        count, refusal = compare(file, scenes)
        sentence = sentence or refusal
        outcome = f"{outcome}; " + ", ".join(f"{n} {word}" for word, n in sorted(count.items()))
        shape = shape or ", ".join("x".join(map(str, array.shape)) for array, _ in scenes)
    return "read_image", outcome, shape, axes, sentence, by


def try_annotation(file):
    name = "convert"
    try:
        ((_, name),) = find_annotations([str(file)], None)
        masks = door(name)(file, SHAPE) if name in SHAPED else door(name)(file)
    except ERRORS as error:
        return name, "refused", "", "", str(error), ""
    masks = masks if isinstance(masks, dict) else {"": masks}
    objects = sum(int(one.max()) for one in masks.values())
    return name, f"read; {objects} objects in {len(masks)} images", "", "", "", ""


def main():
    folder = Path(sys.argv[1])
    references = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    table = csv.writer(sys.stdout)
    table.writerow(COLUMNS)
    warnings.simplefilter("ignore")
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder).as_posix()
        try:
            is_annotation = file.suffix.lower() in ANNOTATIONS
            row = try_annotation(file) if is_annotation else try_image(file, name, references)
        except Exception as error:  # noqa: BLE001  (the point of the table)
            row = "", "FAULT", "", "", f"{type(error).__name__}: {error}", ""
        table.writerow((name, *(text.replace(f"{folder}/", "") for text in row)))


if __name__ == "__main__":
    main()
