"""Annotation files of every kind, found and read."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowseg import io
from flowseg._image_files.file_names import bare_name
from flowseg._image_files.find_and_pair import SUFFIXES, identity, keep_kind, list_files
from flowseg._image_files.ome_zarr.nodes import is_zarr
from flowseg._image_files.reading import read_labels
from flowseg._labels.from_binary import masks_from_binary
from flowseg._labels.from_rgb import masks_from_rgb
from flowseg._system.invalid_file import StoredFile
from flowseg.cli._shared.image_reading import Reading
from flowseg.io._annotations import read_mat, read_object_files
from flowseg.io._cellpose import read_cellpose
from flowseg.io._coco import read_coco_with_classes
from flowseg.io._cvat import read_cvat
from flowseg.io._documents import name_kind, read_json
from flowseg.io._geojson import read_geojson_with_classes
from flowseg.io._labkit import read_labkit
from flowseg.io._roi import read_roi

# Kind of annotation -> endings of its file names; "files" is a folder with one file per object.
ENDINGS = {
    "labels": SUFFIXES,
    "binary": SUFFIXES,
    "files": (),
    "mat": (".mat",),
    "roi": (".zip", ".roi"),
    "geojson": (".geojson", ".json"),
    "coco": (".json",),
    "cvat": (".xml",),
    "labkit": (".labeling", ".json", ".tif", ".tiff"),
    "cellpose": ("_seg.npy", "_flows.tif", "_outlines.txt"),
}
# Kinds that follow from the name; a .json has to be read.
BY_NAME = (
    (("_seg.npy", "_flows.tif", "_outlines.txt"), "cellpose"), ((".zip", ".roi"), "roi"), ((".geojson",), "geojson"),
    ((".xml",), "cvat"), ((".labeling",), "labkit"), ((".mat",), "mat"), (SUFFIXES, "labels"),
)  # fmt: skip
# Key of the first object of a .json -> its kind.
BY_KEY = (("annotations", "coco"), ("interval", "labkit"), ("type", "geojson"))
# Kinds of which one file holds the masks of several images.
OF_SEVERAL = ("coco", "cvat")
# Kinds that have named classes, and kinds that have outlines in planes of a stack.
WITH_CLASSES = ("geojson", "coco", "cvat", "labkit")
WITH_PLANES = ("roi", "geojson")
# Kinds whose axes may have no name, or a wrong one.
WITH_AXES = ("labels",)


class Annotation(NamedTuple):
    """Masks and, where the file has any, the class of each object by its label; None for one without."""

    masks: NDArray[Any]
    classes: Mapping[int, str | None] | None = None


# Reads an annotation, given the shape of the image where the file lacks it.
Reader = Callable[[tuple[int, int] | None], Annotation]


@dataclass(frozen=True)
class Selection:
    """The annotations of a file to take: classes by name, the plane of a stack; and the axes of label images."""

    classes: tuple[str, ...] | None = None
    z: int | None = None
    t: int | None = None
    axes: str | None = None

    def check(self, kind: str) -> None:
        """Raise ValueError if annotations of this kind have no classes or planes to select."""
        for option, value, kinds in (("classes", self.classes, WITH_CLASSES), ("z", self.z, WITH_PLANES),
                                     ("t", self.t, WITH_PLANES), ("axes", self.axes, WITH_AXES)):  # fmt: skip
            if value is not None and kind not in kinds:
                raise ValueError(
                    f"--{option} must be left out for annotations of {kind}; it is for {', '.join(kinds)}."
                )


def parse_classes(text: str | None) -> tuple[str, ...] | None:
    """Return names of classes from text with commas between."""
    names = tuple(name.strip() for name in (text or "").split(",") if name.strip())
    if text is not None and not names:
        raise ValueError(f"--classes must be one or more names, with commas between; got {text!r}.")
    return names or None


def image_name(file: Path) -> str:
    """Return the name of the image that an annotation belongs to."""
    if file.is_dir() and not is_zarr(file):
        return file.parent.name if file.name == "masks" else file.name
    return bare_name(file)


def image_folder(file: Path) -> Path:
    """Return the folder that holds an annotation; a folder of object files is one annotation."""
    return file.parent.parent if file.is_dir() and file.name == "masks" else file.parent


def find_annotations(where: Sequence[str], kind: str | None) -> list[tuple[Path, str]]:
    """Find annotation files and their kinds; with ``kind`` only files that can be of that kind."""
    find = _find_folders if kind == "files" else partial(_find_all, endings=_endings(kind))
    files = list({identity(file): file for place in where for file in find(place)}.values())
    if kind in ("labels", "binary") and (len(where) > 1 or not Path(where[0]).is_file()):
        files = keep_kind(files, "masks") or _refuse(where)
    found = [(file, kind or _find_kind(file)) for file in sorted(files)]
    kinds = sorted({kind for _, kind in found})
    if len(kinds) > 1:
        raise ValueError(
            f"--from must be given to choose among annotations of {list_files(where)}: {', '.join(kinds)}; got none."
        )
    return found


def _endings(kind: str | None) -> tuple[str, ...]:
    return ENDINGS[kind] if kind else tuple(ending for endings in ENDINGS.values() for ending in endings)


def _find_all(where: str, endings: tuple[str, ...]) -> list[Path]:
    path = Path(where)
    if where and (path.is_file() or is_zarr(path)):
        return [path]
    matched = [path] if where and path.is_dir() else [Path(name) for name in glob.glob(where, recursive=True)]
    found = _pick_endings(matched, endings) or _pick_endings(
        [file for folder in matched if folder.is_dir() for file in folder.iterdir()], endings
    )
    return found or _refuse([where])


def _pick_endings(files: Sequence[Path], endings: tuple[str, ...]) -> list[Path]:
    named = [file for file in files if file.name.lower().endswith(endings) and not file.name.startswith(".")]
    return [file for file in named if file.is_file() and not file.stem.endswith("_overlay")]


def _refuse(where: Sequence[str]) -> list[Path]:
    raise FileNotFoundError(
        f"'{list_files(where)}' must name a file of annotations, a folder or a pattern of them; got none. --from files "
        "takes folders with one file per object."
    )


def _find_folders(where: str) -> list[Path]:
    """Find folders of object files: the folder itself, or those inside it or for a pattern."""
    path = Path(where)
    candidates = path.iterdir() if where and path.is_dir() else map(Path, glob.glob(where))
    inside = [p for p in candidates if p.is_dir() and not p.name.startswith(".")]
    if inside or not (where and path.is_dir()):
        if not inside:
            raise FileNotFoundError(
                f"{where!r} must name a folder with one file per object, or with such folders; got none."
            )
        return sorted(inside)
    return [path]


def _find_kind(file: Path) -> str:
    if is_zarr(file):
        return "labels"
    for endings, kind in BY_NAME:
        if file.name.lower().endswith(endings):
            return kind
    document = read_json(StoredFile(file, "JSON file"))
    first = document[0] if isinstance(document, list) and document else document
    for key, kind in BY_KEY:
        if isinstance(first, Mapping) and key in first:
            return kind
    known = name_kind(document)
    if known:
        raise ValueError(f"{file} must be COCO, Labkit or GeoJSON; got {known}.")
    raise ValueError(f"--from must be given for {file}, which looks like none of COCO, Labkit, GeoJSON; got none.")


def needs_shape(file: Path, kind: str) -> bool:
    """Whether the file lacks the shape of its image."""
    return kind in ("roi", "geojson") or (kind == "cellpose" and file.suffix.lower() == ".txt")


def find_readers(file: Path, kind: str, selection: Selection) -> Iterator[tuple[str, Reader]]:
    """Yield, for each image of a file, its name (empty if it is the only one) and a function that reads its masks."""
    if kind in OF_SEVERAL:
        names: Mapping[str, Any] = {}
        if kind == "coco":
            masks, names = read_coco_with_classes(file, classes=selection.classes)
            if len({name for known in names.values() for name in known.values()}) < 2:
                names = {}  # every annotation has a category, also where there is nothing to tell apart
        else:
            masks = read_cvat(file, classes=selection.classes)
        for name in masks:
            yield name, partial(_pick, masks, names, name)
    else:
        yield "", partial(_read, file, kind, selection)


def _pick(
    masks: Mapping[str, NDArray[Any]], classes: Mapping[str, Any], name: str, _: tuple[int, int] | None
) -> Annotation:
    return Annotation(masks[name], _known(classes.get(name, {})))


def _known(classes: Mapping[int, str | None]) -> Mapping[int, str | None] | None:
    """Return the classes of objects; None where no object has any."""
    return classes if any(classes.values()) else None


def _read(file: Path, kind: str, selection: Selection, shape: tuple[int, int] | None) -> Annotation:
    if kind == "geojson" and shape is not None:
        masks, names = read_geojson_with_classes(file, shape, classes=selection.classes, z=selection.z, t=selection.t)
        return Annotation(masks, _known(names))
    return Annotation(_read_masks(file, kind, selection, shape))


def _read_masks(file: Path, kind: str, selection: Selection, shape: tuple[int, int] | None) -> NDArray[Any]:
    if kind in ("roi", "geojson"):
        if shape is None:
            raise ValueError(f"--images must be given for {file}, which does not hold the size of its image; got none.")
        return read_roi(file, shape, z=selection.z, t=selection.t)
    if kind == "labkit":
        return read_labkit(file, classes=selection.classes)
    if kind == "cellpose":
        return read_cellpose(file, shape)
    if kind == "binary":
        return masks_from_binary(read_foreground(file))
    single: dict[str, Callable[[Path], NDArray[Any]]] = {
        "labels": lambda labels: io.read_masks(labels, axes=Reading(selection.axes).axes_of_labels(labels)),
        "files": read_object_files,
        "mat": read_mat,
    }
    return single[kind](file)


def read_foreground(file: Path) -> NDArray[np.bool_]:
    """Read the foreground of a binary image, which may be stored in color."""
    array, axes = read_labels(file)
    colors = array[..., :3] if axes.endswith("S") else array[..., np.newaxis]
    if (colors != colors[..., :1]).any() or np.unique(colors).size > 2:
        raise ValueError(f"{file} must be a binary image, of two values; got more.")
    return np.asarray(colors[..., 0] != 0)


def read_raw_masks(file: Path, axes_of_file: str | None = None) -> NDArray[Any]:
    """Read a label image unchanged, errors included; an RGB annotation becomes masks."""
    array, axes = read_labels(file, Reading(axes_of_file))
    if axes.endswith("S") and array.shape[-1] in (3, 4) and np.issubdtype(array.dtype, np.integer):
        return masks_from_rgb(array)
    return array
