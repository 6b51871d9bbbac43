"""``flowseg predict --z all`` and ``--t all``: planes are segmented one by one and written as one stack of masks."""

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
from flowseg.cli._batch.run_record import Note
from flowseg.cli._shared.image_reading import VOLUME, Reading
from flowseg.io._results import result_file

# The word for every plane.
ALL = "all"
# Kinds of results for stacks; the others are files of single planes.
KINDS = ("tif", "csv", "parquet")
# Labels of a stack are written before their number is known.
LABEL_TYPE = np.uint32

# Returns the masks of one plane, with labels 1..n, and the table of its objects if one is wanted.
Segment = Callable[["Stack", int], tuple[NDArray[np.int32], Table | None]]


@dataclass(frozen=True)
class Stack:
    """A file whose planes are read one by one."""

    file: Path
    reading: Reading
    axis: str
    n: int
    pixel_size: tuple[float, float] | None
    distance: float | None  # of planes, in micrometers

    def reading_of(self, number: int) -> Reading:
        """Return how one plane is read."""
        return replace(self.reading, z=number) if self.axis == "Z" else replace(self.reading, t=number)


@dataclass(frozen=True)
class StackMasks:
    """The masks of a stack, in a temporary file, with the tables of their objects."""

    stack: Stack
    file: Any
    shape: tuple[int, ...]
    n_objects: int
    tables: list[Table] = field(default_factory=list)
    note: Note = field(default_factory=Note)

    def planes(self) -> Iterator[NDArray[np.uint32]]:
        """Yield one plane after the other."""
        self.file.seek(0)
        for _ in range(self.shape[0]):
            yield np.load(self.file, allow_pickle=False)


def parse_planes(z: str | None, t: str | None) -> tuple[str, tuple[int | None, int | None]]:
    """Return the axis of which all planes are wanted (or ''), and the numbers of plane and time."""
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
    """Refuse kinds of results that are not for stacks."""
    others = [kind for kind in kinds if kind not in KINDS]
    if each and others:
        option = "--overlay" if others[0] == "overlay" else f"--also {others[0]}"
        raise ValueError(
            f"{option} must not be given with --{each.lower()} all, which writes masks and tables (csv, parquet) only."
        )


def open_stack(file: Path, reading: Reading, axis: str) -> Stack:
    """Open the stack of a file; only its shape is read."""
    with open_image(file, reading.scene) as source:
        names, shape = name_axes(source, reading.axes), source.shape
    if axis not in names:
        raise ValueError(
            f"{file} must have an axis {axis} for --{axis.lower()} all; it has axes {names} of shape {shape}. "
            f"Name them with --axes, such as {axis}YX."
        )
    spacing = reading.of_ndim(VOLUME).read_spacing(file) if axis == "Z" and "T" not in names else None
    distance = None if spacing is None else spacing[0]
    return Stack(file, reading, axis, shape[names.index(axis)], reading.read_height_and_width(file), distance)


def segment_stack(stack: Stack, segment: Segment) -> StackMasks:
    """Segment all planes, one at a time in memory; no label occurs in two planes."""
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
    return StackMasks(stack, file, (stack.n, *shape), n_objects, tables)


def write_stack(folder: Path, name: str, kinds: Sequence[str], masks: StackMasks) -> int:
    """Write tables and masks of a stack, the masks last; return the number of objects."""
    with masks.file:
        for kind in ("csv", "parquet"):
            if kind in kinds:
                columns = {key: np.concatenate([table[key] for table in masks.tables]) for key in masks.tables[0]}
                io.write_table(result_file(folder, name, kind), columns)
        _write_masks(result_file(folder, name, "tif"), masks)
    return masks.n_objects


def _write_masks(path: Path, masks: StackMasks) -> None:
    """Write masks as OME-TIFF, which has axes and pixel size for 32-bit labels; ImageJ's TIFF has not."""
    metadata: dict[str, Any] = {"axes": f"{masks.stack.axis}YX"}
    if masks.stack.pixel_size is not None:
        height, width = masks.stack.pixel_size
        metadata |= {"PhysicalSizeY": height, "PhysicalSizeX": width}
    if masks.stack.distance is not None:
        metadata["PhysicalSizeZ"] = masks.stack.distance

    def write(beside: Path) -> None:
        tifffile.imwrite(
            beside,
            masks.planes(),
            shape=masks.shape,
            dtype=LABEL_TYPE,
            ome=True,
            metadata=metadata,
            compression="zlib",
            photometric="minisblack",
        )

    files.write_atomically(path, write)
