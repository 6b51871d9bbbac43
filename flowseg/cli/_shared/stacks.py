"""Every plane of a stack, or every time of a series, segmented by itself and written as one stack of masks."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from flowseg import io
from flowseg._image_files.opening import open_image
from flowseg._image_files.selection import name_axes
from flowseg._labels.measure import Table
from flowseg._system import files
from flowseg.cli._shared.options import Reading
from flowseg.io._results import result_file

# The word for every plane.
ALL = "all"
# What can be made of a stack; the others are files of single planes.
KINDS = ("tif", "csv", "parquet")
# Labels of a stack are written before it is known how many there are.
LABEL_TYPE = np.uint32

# Masks of one plane, 1..n, and the table of its objects, if one is wanted.
Segment = Callable[["Stack", int], tuple[NDArray[np.int32], Table | None]]


@dataclass(frozen=True)
class Stack:
    """A file of which planes are read one by one."""

    file: Path
    reading: Reading
    axis: str
    n: int
    pixel_size: tuple[float, float] | None

    def reading_of(self, number: int) -> Reading:
        """How one plane is read."""
        return replace(self.reading, z=number) if self.axis == "Z" else replace(self.reading, t=number)


@dataclass(frozen=True)
class Labelled:
    """The masks of a stack, in a file without a name, and what goes with them."""

    stack: Stack
    file: Any
    shape: tuple[int, ...]
    n_objects: int
    tables: list[Table] = field(default_factory=list)
    note: str = ""  # what is to be said of it

    def planes(self) -> Iterator[NDArray[np.uint32]]:
        """One plane after the other."""
        self.file.seek(0)
        for _ in range(self.shape[0]):
            yield np.load(self.file, allow_pickle=False)


def parse_planes(z: str | None, t: str | None) -> tuple[str, tuple[int | None, int | None]]:
    """The axis of which all planes are wanted, or none, and the numbers of plane and time."""
    if z == t == ALL:
        raise ValueError("--z all must not be given together with --t all: choose one plane or one time.")
    each = "Z" if z == ALL else "T" if t == ALL else ""
    return each, (_as_number(z, "--z"), _as_number(t, "--t"))


def _as_number(text: str | None, option: str) -> int | None:
    if text is None or text == ALL:
        return None
    if not text.isdecimal():
        raise ValueError(f"{option} must be a number from 0 or '{ALL}'; got '{text}'.")
    return int(text)


def check_kinds(each: str, kinds: Sequence[str]) -> None:
    """Refuse kinds of results that are not of stacks."""
    others = [kind for kind in kinds if kind not in KINDS]
    if each and others:
        option = "--overlay" if others[0] == "overlay" else f"--also {others[0]}"
        raise ValueError(
            f"{option} must not be given with --{each.lower()} all, which writes masks and tables (csv, parquet) only."
        )


def open_stack(file: Path, reading: Reading, axis: str) -> Stack:
    """The stack of a file, of which nothing but its shape is read."""
    with open_image(file, reading.scene) as source:
        names, shape = name_axes(source, reading.axes), source.shape
    if axis not in names:
        raise ValueError(
            f"{file} must have an axis {axis} for --{axis.lower()} all; it has axes {names} of shape {shape}. "
            f"Name them with --axes, such as {axis}YX."
        )
    return Stack(file, reading, axis, shape[names.index(axis)], reading.read_pixel_size(file))


def segment_stack(stack: Stack, segment: Segment) -> Labelled:
    """Masks of all planes, numbered so that no label stands in two of them; one plane is in memory at a time."""
    tables: list[Table] = []
    n_objects = 0
    shape: tuple[int, ...] = ()
    file = tempfile.TemporaryFile()  # noqa: SIM115  # closed when all is written
    try:
        for number in range(stack.n):
            masks, table = segment(stack, number)
            labels = masks.astype(LABEL_TYPE)
            labels[labels > 0] += LABEL_TYPE(n_objects)
            np.save(file, labels, allow_pickle=False)
            if table is not None:
                place = {"label": table["label"] + n_objects, stack.axis.lower(): np.full(len(table["label"]), number)}
                tables.append(place | {name: column for name, column in table.items() if name != "label"})
            n_objects += int(masks.max())
            shape = labels.shape
    except BaseException:
        file.close()
        raise
    return Labelled(stack, file, (stack.n, *shape), n_objects, tables)


def write_stack(folder: Path, name: str, kinds: Sequence[str], labelled: Labelled) -> int:
    """Write tables and masks of a stack, the masks last; the number of objects."""
    with labelled.file:
        for kind in ("csv", "parquet"):
            if kind in kinds:
                columns = {key: np.concatenate([table[key] for table in labelled.tables]) for key in labelled.tables[0]}
                io.write_table(result_file(folder, name, kind), columns)
        _write_masks(result_file(folder, name, "tif"), labelled)
    return labelled.n_objects


def _write_masks(path: Path, labelled: Labelled) -> None:
    """Masks as OME-TIFF: with axes and the size of a pixel, for labels of 32 bits ImageJ's kind of TIFF has none."""
    metadata: dict[str, Any] = {"axes": f"{labelled.stack.axis}YX"}
    if labelled.stack.pixel_size is not None:
        height, width = labelled.stack.pixel_size
        metadata |= {"PhysicalSizeY": height, "PhysicalSizeX": width}

    def write(beside: Path) -> None:
        tifffile.imwrite(
            beside,
            labelled.planes(),
            shape=labelled.shape,
            dtype=LABEL_TYPE,
            ome=True,
            metadata=metadata,
            compression="zlib",
            photometric="minisblack",
        )

    files.write_atomically(path, write)
