"""``flowseg measure``: a table of all objects in label images."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from tqdm import tqdm

from flowseg import _checks, io
from flowseg._cli_batch import report_failures
from flowseg._cli_files import check_output_file, find_inputs
from flowseg._cli_options import (
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
from flowseg._cli_results import NEEDS
from flowseg._cli_stream import Failure, Stages, stream
from flowseg._optional import need
from flowseg._tables import measure as measure_objects

Pair = tuple[Path, Path | None]
Table = dict[str, NDArray[Any]]


def measure(
    masks: MasksArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Table to write: .csv or .parquet.")],
    images: Annotated[
        str | None, typer.Argument(metavar="[IMAGES]", help="Images of the same names, for columns of intensity.")
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

    One row per object; the first column, file, names the label image. Lengths and areas are in pixels. Example:

    flowseg measure results images --output objects.csv
    """
    began = time.perf_counter()
    if output.suffix.lower() not in (".csv", ".parquet"):
        raise ValueError(f"--output must end in .csv or .parquet; got {output}.")
    if output.suffix.lower() == ".parquet":
        need(NEEDS["parquet"], "formats")
    reading = make_reading(axes, channel, z, t, scene)
    files = find_inputs(masks)
    pairs: list[Pair] = [(file, None) for file in files]
    if images is not None:
        pairs = [*io.pair_files(files, find_inputs(images))]
    check_output_file(output, [file for pair in pairs for file in pair])
    measuring = Measuring(reading)
    passing = stream(
        pairs, Stages(measuring.read, lambda arrays: arrays, measuring.finish), _checks.as_workers(workers)
    )
    results = [*tqdm(passing, "measuring", total=len(pairs), disable=None, leave=False)]
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
        typer.echo(json.dumps(said, indent=1))
    elif written:
        typer.echo(f"{n_objects} objects of {n_files} files, measured into {output}")
    report_failures(failures, len(pairs))


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

    def read(self, pair: Pair) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Masks and image."""
        image = None if pair[1] is None else self.reading.read(pair[1], keep_color=True)  # columns as of the others
        return io.read_masks(pair[0]), image

    def finish(self, pair: Pair, arrays: tuple[NDArray[Any], NDArray[Any] | None]) -> int:
        """Measure; the number of objects."""
        table = measure_objects(*arrays)
        self._tables[pair[0]] = table
        return int(table["label"].size)

    def join(self, files: list[Path], failures: list[tuple[str, str]]) -> Table:
        """One table of all, the file in its first column; what does not fit into it is added to the failures."""
        columns: dict[str, list[NDArray[Any]]] = {"file": []}
        for file in files:
            table = self._tables.get(file, {})
            if table and len(columns) > 1 and [*columns] != ["file", *table]:
                failures.append((str(file), f"{file} must have an image of as many channels as the others."))
            elif table:
                columns["file"].append(np.full(table["label"].size, _as_text(file.name)))
                for name, values in table.items():
                    columns.setdefault(name, []).append(values)
        return {name: np.concatenate(parts) if parts else np.zeros(0) for name, parts in columns.items()}


def _as_text(name: str) -> str:
    """The name of a file, which need not be text, as text."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
