"""``flowseg measure``: a table of all objects in label images."""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray

from flowseg import _checks, io
from flowseg._labels.measure import PLAIN, SQUARED
from flowseg._labels.measure import measure as measure_objects
from flowseg._system.bars import bar
from flowseg._system.optional import need
from flowseg.cli._shared.files import check_output_file
from flowseg.cli._shared.inputs import check_not_swapped, find_masks, find_masks_with_images, result_names
from flowseg.cli._shared.options import (
    WRITE,
    AsJson,
    Axes,
    Channel,
    FileWorkers,
    MasksArgument,
    Plane,
    Reading,
    Scene,
    Time,
    make_reading,
)
from flowseg.cli._shared.say import say, say_json
from flowseg.cli._shared.stream import Failure, Stages, stream
from flowseg.cli._shared.summary import report_failures
from flowseg.io._results import NEEDS

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
    channel: Channel = None,
    z: Plane = None,
    t: Time = None,
    scene: Scene = None,
    axes: Axes = None,
    workers: FileWorkers = None,
    as_json: AsJson = False,
) -> None:
    """Measure the objects of label images into one table: size, place, shape, and intensity where there are images.

    One row per object; the first column, file, names the label image. Lengths and areas are in pixels and, where
    a file says how large its pixels are, in micrometres as well (area_um2, perimeter_um, ...). Example:

    flowseg measure results images --output objects.csv
    """
    began = time.perf_counter()
    if output.suffix.lower() not in (".csv", ".parquet"):
        raise ValueError(f"--output must end in .csv or .parquet; got {output}.")
    if output.suffix.lower() == ".parquet":
        need(NEEDS["parquet"], "formats")
    reading = make_reading(axes, channel, z, t, scene)
    pairs: list[Pair]
    if images is None:
        pairs = [(file, None) for file in find_masks([masks])]
    else:
        both = find_masks_with_images(masks, images)
        check_not_swapped(both[0][1], both[0][0], reading)
        pairs = [*both]
    files = [file for file, _ in pairs]
    check_output_file(output, [file for pair in pairs for file in pair])
    measuring = Measuring(reading)
    stages = Stages(measuring.read, lambda loaded: loaded, measuring.make, measuring.keep)
    with closing(stream(pairs, stages, _checks.as_workers(workers))) as passing:
        results = [*bar(passing, "measuring", total=len(pairs))]
    failures = [(str(pair[0]), result.reason) for pair, result in results if isinstance(result, Failure)]
    table = measuring.join(files, failures)
    written = bool(table["file"].size) or not failures
    if written:
        io.write_table(output, table)
    n_files, n_objects = len(files) - len(failures), table["file"].size
    if as_json:
        said: dict[str, Any] = {"command": "measure", "output": str(output) if written else None, "objects": n_objects}
        said["seconds"] = round(time.perf_counter() - began, 3)
        failed = {file for file, _ in failures}
        said["files"] = [str(file) for file in files if str(file) not in failed]
        said["failures"] = [{"file": file, "reason": reason} for file, reason in failures]
        say_json(said)
    elif written:
        say(f"{n_objects} objects of {n_files} files, measured into {output}")
    report_failures(failures, len(pairs))


class Loaded(NamedTuple):
    """A label image with what is known of it."""

    masks: NDArray[Any]
    image: NDArray[Any] | None
    pixel_size: tuple[float, float] | None


class Measuring:
    """The stages that a label image goes through, and the tables that come of it.

    Parameters
    ----------
    reading : Reading
        How images are read.
    """

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self._tables: dict[Path, Table] = {}

    def read(self, pair: Pair) -> Loaded:
        """Masks, image, and the size of a pixel as either file says it."""
        masks, image = pair
        size = io.read_pixel_size(masks)
        if size is None and image is not None:
            size = self.reading.read_pixel_size(image)
        # columns as of the others
        pixels = None if image is None else self.reading.read(image, keep_color=True)
        return Loaded(io.read_masks(masks), pixels, size)

    def make(self, _: Pair, loaded: Loaded) -> Table:
        """Measure."""
        return measure_objects(loaded.masks, loaded.image, spacing=loaded.pixel_size)

    def keep(self, pair: Pair, table: Table) -> int:
        """Keep the table for the end; the number of objects."""
        self._tables[pair[0]] = table
        return int(table["label"].size)

    def join(self, files: list[Path], failures: list[tuple[str, str]]) -> Table:
        """One table of all, the file in its first column; what does not fit into it is added to the failures."""
        tables: list[Table] = []
        for file, name in zip(files, result_names(files, lambda file: file.name), strict=True):
            table = self._tables.get(file, {})
            if table and tables and _in_pixels(tables[0]) != ["file", *_in_pixels(table)]:
                failures.append((str(file), f"{file} must have an image of as many channels as the others."))
            elif table:
                tables.append({"file": np.full(table["label"].size, _as_text(name)), **table})
        columns = dict.fromkeys(name for table in tables for name in table) or {"file": None}
        return {name: _join([_column(table, name) for table in tables]) for name in columns}


def _in_pixels(table: Table) -> list[str]:
    """Columns that are there whether or not the size of a pixel is known."""
    return [name for name in table if not name.partition("-")[0].endswith((PLAIN, SQUARED))]


def _column(table: Table, name: str) -> NDArray[Any]:
    """A column; NaN where it is in micrometres and the size of a pixel is not known."""
    return table[name] if name in table else np.full(table["label"].size, np.nan)


def _as_text(name: str) -> str:
    """The name of a file, which need not be text, as text."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _join(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0)
