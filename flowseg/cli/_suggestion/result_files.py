"""The files of ``flowseg suggest``: which there are, and how they are written."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import io
from flowseg._suggest.boxes import Box, number_boxes
from flowseg._suggest.suggestion import Suggestion
from flowseg._system import files
from flowseg.cli._batch.output_folder import check_output_folder, remove_result
from flowseg.cli._batch.result_names import name_results
from flowseg.io._geojson_writer import write_to_correct
from flowseg.io._results import NEEDS, write_labels

# Ending of the name of a file, after the image's name. The image and its masks pair by their names, for training.
IMAGE, MASKS, GEOJSON, ROI, OBJECTS = ".tif", "_masks.tif", "_suggested.geojson", "_suggested.zip", "_rois.zip"
ENDINGS = (IMAGE, GEOJSON, ROI, OBJECTS, MASKS)
# Those of them that are for ImageJ, which need a package.
OF_IMAGEJ = (ROI, OBJECTS)
TABLE = "suggestions.csv"


def plan_files(images: Sequence[Path], folder: Path, *, overwrite: bool) -> tuple[list[str], list[Path]]:
    """Return the name of the results of each image, and the earlier results to remove; nothing is written."""
    names = name_results(images)
    check_output_folder(folder, [(name, (image,)) for image, name in zip(images, names, strict=True)])
    candidates = [folder / TABLE, *(folder / f"{name}{ending}" for name in names for ending in ENDINGS)]
    present = [file for file in candidates if os.path.lexists(file)]
    if present and not overwrite:
        raise FileExistsError(
            f"--output must be a folder without suggestions for these images; {present[0]} exists. Annotate them, and "
            "write the next ones into another folder; --overwrite replaces them."
        )
    return names, present


def remove_unfinished(folder: Path, names: Iterable[str]) -> None:
    """Remove the unfinished files of a run that was killed while it wrote them."""
    written: dict[Path, list[str]] = {folder: [TABLE]}
    for name in names:
        path = folder / name
        written.setdefault(path.parent, []).extend(f"{path.name}{ending}" for ending in ENDINGS)
    for place in filter(Path.is_dir, written):
        files.remove_leftovers(place, written[place])


def endings() -> tuple[str, ...]:
    """Return the endings of the files that can be written: without roifile none for ImageJ."""
    has_package = find_spec(NEEDS["roi"]) is not None
    return tuple(ending for ending in ENDINGS if has_package or ending not in OF_IMAGEJ)


def write_files(
    folder: Path, name: str, image: NDArray[Any], pixel_size: tuple[float, ...] | None, suggestion: Suggestion
) -> list[Path]:
    """Write an image with its boxes and masks to correct, each file atomically, and return the files.

    If one cannot be written, those written before are removed.
    """
    masks = suggestion.masks
    regions, objects = number_boxes(suggestion.boxes, suggestion.shape), np.maximum(masks, 0)
    size = None if pixel_size is None else (pixel_size[-2], pixel_size[-1])
    has_channels = image.ndim > masks.ndim
    array = np.ascontiguousarray(np.moveaxis(image, -1, 0) if has_channels else image)
    writers: dict[str, Callable[[Path], object]] = {
        IMAGE: lambda path: files.write_tiff(path, array, size, axes="CYX" if has_channels else None),
        GEOJSON: lambda path: write_to_correct(path, regions, objects),
        ROI: lambda path: io.write_roi(path, regions),
        OBJECTS: lambda path: io.write_roi(path, objects),
        MASKS: lambda path: write_labels(path, masks, size),
    }
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    try:
        for ending in endings():
            path = folder / f"{name}{ending}"
            writers[ending](path)
            written.append(path)
    except Exception:
        for path in written:
            remove_result(path)
        raise
    return written


def write_order(path: Path, images: Sequence[str], order: Sequence[Suggestion], written: Container[str]) -> None:
    """Write a table of all images in their order, one row per box; ``written`` are the images that have files."""
    rows = [(rank, k, box) for rank, one in enumerate(order, start=1) for k, box in enumerate(one.boxes)]
    of = [order[rank - 1] for rank, _, _ in rows]
    table: dict[str, Any] = {
        "file": [os.fsencode(images[one.index]).decode("utf-8", "backslashreplace") for one in of],
        "rank": [rank for rank, _, _ in rows],
        "written": [images[one.index] in written for one in of],
        "priority": [one.priority for one in of],
        "distance": [one.distance for one in of],
        "box": [k + 1 for _, k, _ in rows],
        "doubt": [float(one.doubt[k]) for one, (_, k, _) in zip(of, rows, strict=True)],
    }
    for i, name in enumerate(Box._fields):
        table[name] = [box[i] for _, _, box in rows]
    io.write_table(path, table)
