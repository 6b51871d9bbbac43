"""The files that commands write for a label image, for flowseg and for other programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flowseg import io
from flowseg._labels.measure import measure
from flowseg._system import files
from flowseg._system.optional_packages import need
from flowseg.io._classes import CLASS
from flowseg.io._label_stacks import VOLUME, Sizes, write_channels, write_stack
from flowseg.io._write import as_smallest

# Kind of result -> ending of its file's name, after the image's name.
ENDINGS = {
    "tif": "_masks.tif",
    "zarr": "_masks.ome.zarr",  # of images larger than memory
    "blocks": "_masks.ome.zarr.blocks",  # the state of a run that makes it
    "overlay": "_overlay.png",
    "png": "_masks.png",
    "roi": "_rois.zip",
    "geojson": ".geojson",
    "csv": "_objects.csv",
    "parquet": "_objects.parquet",
    "flows": "_flows.tif",
    "flow_picture": "_flows.png",
}
LABEL_KINDS = ("tif", "zarr")
# One file for all images.
COCO, COCO_NAME = "coco", "coco.json"
# Kinds that need an optional package.
NEEDS = {"roi": "roifile", COCO: "pycocotools.mask", "parquet": "pyarrow"}
# The largest label that a PNG holds.
PNG_LABELS = np.iinfo(np.uint16).max


class AllObjects(NamedTuple):
    """The masks of all images by name and, where there are any, the classes of their objects."""

    masks: Mapping[str, NDArray[Any]]
    classes: Mapping[str, Mapping[int, str | None] | None] | None = None


@dataclass(frozen=True)
class Result:
    """A label image with its image, objects and flows, as far as the files to write need them.

    The size of a pixel is height and width in micrometers, for a volume after the distance of planes where it is known.
    The axes are those of a stack: ZYX of planes, TYX of times.
    """

    masks: NDArray[Any]
    image: Any = None
    objects: Any = None
    flows: Any = None
    pixel_size: tuple[float, ...] | None = None
    axes: str | None = None

    @property
    def classes(self) -> Any:
        """The table of objects if it has their classes; else None."""
        return self.objects if self.objects is not None and CLASS in self.objects else None

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """The size of a pixel where it is known along every axis."""
        size = self.pixel_size
        return size if size is not None and len(size) == self.masks.ndim else None


def parse_kinds(text: Sequence[str], choices: Sequence[str], option: str) -> tuple[str, ...]:
    """Return kinds of results from texts such as "roi,geojson", each once, in the order of ``choices``."""
    given = [kind.strip() for part in text for kind in part.split(",")]
    for kind in given:
        if kind not in choices:
            raise ValueError(
                f"{option} must be one or more of {', '.join(choices)}, with commas between; got '{kind}'."
            )
        if kind in NEEDS:
            need(NEEDS[kind], "formats")
    return tuple(kind for kind in choices if kind in given)


def complete_kinds(incomplete: str, choices: Sequence[str]) -> list[str]:
    """Return completions for the last of several kinds with commas between."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{kind}" for kind in choices if kind.startswith(last) and kind not in before.split(",")]


def result_file(folder: Path, name: str, kind: str) -> Path:
    """Return the file of one kind for the image of this name."""
    return folder / f"{name}{ENDINGS[kind]}"


def result_files(folder: Path, name: str, kinds: Sequence[str] = tuple(ENDINGS)) -> tuple[Path, ...]:
    """Return the files of several kinds, label images last; by default all that any command could have made."""
    ordered = sorted((kind for kind in kinds if kind in ENDINGS), key=lambda kind: kind in LABEL_KINDS)
    return tuple(result_file(folder, name, kind) for kind in ordered)


def write_results(folder: Path, name: str, kinds: Sequence[str], result: Result) -> None:
    """Write files of several kinds, each atomically, the label image last."""
    for kind in sorted((kind for kind in kinds if kind in ENDINGS), key=lambda kind: kind == "tif"):
        _write(result_file(folder, name, kind), kind, result)


def _write(path: Path, kind: str, result: Result) -> None:
    if kind == "tif":
        write_labels(path, result.masks, result.pixel_size, result.axes)
    elif kind == "png":
        _write_png(path, result.masks)
    elif kind == "roi":
        io.write_roi(path, result.masks)
    elif kind == "geojson":
        io.write_geojson(path, result.masks, classes=result.classes)
    elif kind in ("csv", "parquet"):
        io.write_table(path, measure(result.masks, result.image, result.objects, spacing=result.spacing))
    elif kind == "overlay":
        io.write_picture(path, _draw_overlay(result))
    elif kind == "flows":
        sizes = Sizes.of(result.pixel_size)
        if result.masks.ndim == len(VOLUME):
            write_channels(path, result.flows, sizes)
        else:
            files.write_tiff(path, result.flows, sizes.in_plane)
    elif kind == "flow_picture":
        from flowseg import plot

        io.write_picture(path, plot.flow_colors(result.flows[2:]))


def _draw_overlay(result: Result) -> NDArray[np.uint8]:
    """Return the outlines of objects on their image, of a volume in three planes through its middle."""
    from flowseg import plot

    if result.masks.ndim == len(VOLUME):
        return plot.orthogonal_views(result.image, result.masks, spacing=result.spacing)
    return plot.outlines(result.image, result.masks)


def write_labels(
    path: Path, masks: NDArray[Any], size: tuple[float, ...] | None = None, axes: str | None = None
) -> None:
    """Write a label image, a volume or a film, as int32 if it has pixels to ignore, which are negative.

    ``size`` is height and width of a pixel in micrometers, or for a volume the distance of planes before these. A stack
    whose ``axes`` are not given is one of planes if that distance is, and else one of which the axis has no name.
    """
    sizes = Sizes.of(size)
    is_sparse = masks.min() < 0 and masks.max() <= np.iinfo(np.int32).max
    array = masks.astype(np.int32) if is_sparse else as_smallest(masks)
    if axes is None and sizes.z is not None:
        axes = VOLUME
    if array.ndim == 2 or axes is None:
        files.write_tiff(path, array, sizes.in_plane)
    else:
        write_stack(path, array, axes, sizes)


def _write_png(path: Path, masks: NDArray[Any]) -> None:
    if masks.ndim != 2 or masks.min() < 0 or masks.max() > PNG_LABELS:
        raise ValueError(
            f"a label image must have shape (rows, columns) and labels from 0 to {PNG_LABELS} to be a PNG; got shape "
            f"{masks.shape}, labels {masks.min()} to {masks.max()}."
        )
    array = masks.astype(np.min_scalar_type(int(masks.max())))
    files.write_atomically(path, lambda beside: Image.fromarray(array).save(beside))


T = TypeVar("T")


class OfFiles(Mapping[str, T]):
    """Label images or classes by the names of their images, each read on access: one at a time is in memory.

    Parameters
    ----------
    readers : sequence of (str, callable)
        Names, and the function that reads what belongs to each.
    """

    def __init__(self, readers: Sequence[tuple[str, Callable[[], T]]]) -> None:
        self._readers = dict(readers)

    def __getitem__(self, name: str) -> T:
        return self._readers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)
