"""``flowseg measure``: a table of all objects in label images."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray

from flowseg import _checks, io
from flowseg._labels.classes.given import CLASS
from flowseg._labels.measure import is_in_micrometers
from flowseg._labels.measure import measure as measure_objects
from flowseg._system.bars import bar
from flowseg._system.optional_packages import need
from flowseg.cli._batch.file_stream import Failure, Stages, stream_files
from flowseg.cli._batch.report import report_failures
from flowseg.cli._batch.result_names import name_results
from flowseg.cli._shared.find_inputs import find_masks, find_masks_with_images
from flowseg.cli._shared.image_reading import Reading, make_reading
from flowseg.cli._shared.label_stacks import look_at_labels, open_large_labels, volume_reading
from flowseg.cli._shared.large_images import check_extra, has_large_labels
from flowseg.cli._shared.object_classes import Classes, Known, read_classes_of
from flowseg.cli._shared.options import (
    WRITE,
    AsJson,
    Axes,
    Channel,
    FileWorkers,
    MasksArgument,
    Plane,
    Scene,
    Spacing,
    Time,
)
from flowseg.cli._shared.output_file import check_output_file
from flowseg.cli._shared.swapped_inputs import check_not_swapped
from flowseg.cli._shared.terminal import print_json, print_lines
from flowseg.io._results import NEEDS

SUFFIXES = (".csv", ".parquet")

Pair = tuple[Path, Path | None]
Table = dict[str, NDArray[Any]]


def measure(
    masks: MasksArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Table to write: .csv or .parquet.", rich_help_panel=WRITE)
    ],
    images: Annotated[
        str | None, typer.Argument(metavar="IMAGES", help="Images of the same names, for columns of intensity.")
    ] = None,
    classes: Classes = None,
    channel: Channel = None,
    z: Plane = None,
    t: Time = None,
    scene: Scene = None,
    axes: Axes = None,
    spacing: Spacing = None,
    workers: FileWorkers = None,
    as_json: AsJson = False,
) -> None:
    """Measure the objects of label images into one table: size, position, shape, and intensity if images are given.

    One row per object; the first column, file, names the label image. Lengths and areas are in pixels and, where a
    file holds the size of its pixels, in micrometers as well (area_um2, perimeter_um, ...). Volumes, whose planes are
    named Z by the file or by **--axes ZYX**, get volume, surface and sphericity, and with the distance between planes
    (**--spacing**) volume_um3 and the like. Label images of more than
    64 megapixels, and volumes of more than 40 megavoxels, are read block by block; the numbers are the same.
    **--classes** adds a column class. Example:

    flowseg measure results images --output objects.csv
    """
    began = time.perf_counter()
    _check_suffix(output)
    reading = make_reading(axes, channel, z, t, scene, spacing)
    pairs = _find_pairs(masks, images, reading)
    check_output_file(output, [file for pair in pairs for file in pair])
    known = [] if classes is None else read_classes_of(classes, [file for file, _ in pairs])
    measurement = Measurement(reading, dict(zip((file for file, _ in pairs), known, strict=False)))
    failures = measurement.run_files(pairs, _checks.as_workers(workers))
    table = measurement.join([file for file, _ in pairs], failures)
    if table["file"].size or not failures:
        io.write_table(output, table)
    _report(pairs, table, failures, output, time.perf_counter() - began, as_json=as_json)


def _check_suffix(output: Path) -> None:
    if output.suffix.lower() not in SUFFIXES:
        raise ValueError(f"--output must end in {' or '.join(SUFFIXES)}; got {output}.")
    if output.suffix.lower() == ".parquet":
        need(NEEDS["parquet"], "formats")


def _find_pairs(masks: str, images: str | None, reading: Reading) -> list[Pair]:
    if images is None:
        return [(file, None) for file in find_masks([masks])]
    pairs = find_masks_with_images(masks, images)
    check_not_swapped(pairs[0][1], pairs[0][0], reading)
    return [*pairs]


class Loaded(NamedTuple):
    """A label image with its image and pixel size, where these are known."""

    masks: NDArray[Any]
    image: NDArray[Any] | None
    spacing: tuple[float, ...] | None


class Measurement:
    """The stages of a label image, and the tables of all of them.

    Parameters
    ----------
    reading : Reading
        How images are read.
    classes : mapping of Path to mapping
        Class of each object of a label image by its label; empty if no classes are given.
    """

    def __init__(self, reading: Reading, classes: Mapping[Path, Known]) -> None:
        self.reading = reading
        self.classes = classes
        self._tables: dict[Path, Table] = {}

    def run_files(self, pairs: list[Pair], n_threads: int) -> list[tuple[str, str]]:
        """Measure all files; return those that failed, with the reasons."""
        stages = Stages(self.read, lambda loaded: loaded, self.make, self.keep)
        with closing(stream_files(pairs, stages, n_threads)) as measured:
            results = [*bar(measured, "measuring", total=len(pairs))]
        return [(str(pair[0]), result.reason) for pair, result in results if isinstance(result, Failure)]

    def read(self, pair: Pair) -> Loaded | Pair:
        """Read masks, image, and the size of a pixel, which either file may hold; large ones are read later."""
        masks, image = pair
        if has_large_labels(masks):
            check_extra(masks)
            return pair
        labels = io.read_masks(masks, axes=self.reading.axes_of_labels(masks))
        stack = look_at_labels(masks, labels.shape, self.reading, image)
        stack.check_volume("to be measured")
        # A picture without color keeps three channels, for the columns of the pictures in color.
        reading = volume_reading(self.reading, labels.ndim)
        pixels = None if image is None else reading.read(image, keep_color=True)
        return Loaded(labels, pixels, stack.spacing)

    def make(self, pair: Pair, loaded: Loaded | Pair) -> Table:
        """Measure the objects."""
        if isinstance(loaded, Loaded):
            table = measure_objects(loaded.masks, loaded.image, spacing=loaded.spacing)
        else:
            table = self._measure_blocks(loaded)
        return table | {CLASS: self._class_column(pair[0], table)} if self.classes else table

    def _class_column(self, masks: Path, table: Table) -> NDArray[Any]:
        """Return the class of each object of a label image."""
        known, labels = self.classes[masks], table["label"].tolist()
        odd = sorted(known.keys() ^ set(labels))
        if odd:
            raise ValueError(
                f"--classes must hold the objects of {masks}, each with a class or an empty cell; label {odd[0]} is in "
                "one of them only."
            )
        return np.array([known[label] for label in labels], dtype=object)

    def _measure_blocks(self, pair: Pair) -> Table:
        from flowseg.blockwise._results.measure_blocks import measure_blocks
        from flowseg.blockwise._stores.open_source import open_source

        masks, image = pair
        labels = open_large_labels(masks, self.reading)
        stack = look_at_labels(masks, labels.shape, self.reading, image)
        reading = volume_reading(self.reading, stack.ndim)
        source = None if image is None else open_source(image, reading.selection, ndim=reading.ndim, keep_color=True)
        return measure_blocks(labels, source, spacing=stack.spacing)

    def keep(self, pair: Pair, table: Table) -> int:
        """Keep the table; return the number of objects."""
        self._tables[pair[0]] = table
        return int(table["label"].size)

    def join(self, files: list[Path], failures: list[tuple[str, str]]) -> Table:
        """Return one table of all, with the file in its first column; tables that do not fit are added to failures."""
        tables: list[Table] = []
        for file, name in zip(files, name_results(files, lambda file: file.name), strict=True):
            table = self._tables.get(file, {})
            if table and tables and ("volume" in table) != ("volume" in tables[0]):
                failures.append((str(file), f"{file} must be a volume or an image, as the files before it are."))
            elif table and tables and _in_pixels(tables[0]) != ["file", *_in_pixels(table)]:
                failures.append((str(file), f"{file} must have an image of as many channels as the others."))
            elif table:
                tables.append({"file": np.full(table["label"].size, _as_text(name)), **table})
        columns = dict.fromkeys(name for table in tables for name in table) or {"file": None}
        return {name: _join([_column(table, name) for table in tables]) for name in columns}


def _in_pixels(table: Table) -> list[str]:
    """Return the columns that do not depend on the size of a pixel."""
    return [name for name in table if not is_in_micrometers(name)]


def _column(table: Table, name: str) -> NDArray[Any]:
    """Return a column; NaN where it is in micrometers and the size of a pixel is not known."""
    return table[name] if name in table else np.full(table["label"].size, np.nan)


def _as_text(name: str) -> str:
    """Return the name of a file, which need not be valid text, as text."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _join(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0)


def _report(
    pairs: list[Pair], table: Table, failures: list[tuple[str, str]], output: Path, seconds: float, *, as_json: bool
) -> None:
    failed = {file for file, _ in failures}
    files = [str(file) for file, _ in pairs if str(file) not in failed]
    n_objects, is_written = table["file"].size, bool(table["file"].size) or not failures
    if as_json:
        document: dict[str, Any] = {
            "command": "measure",
            "output": str(output) if is_written else None,
            "objects": n_objects,
            "seconds": round(seconds, 3),
            "files": files,
            "failures": [{"file": file, "reason": reason} for file, reason in failures],
        }
        print_json(document)
    elif is_written:
        print_lines(f"{n_objects} objects of {len(pairs) - len(failures)} files, measured into {output}")
    report_failures(failures, len(pairs))
