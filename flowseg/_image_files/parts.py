"""Parts of images: what of a file's image is asked for, by the names of its axes."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from flowseg import _checks
from flowseg._image_files.paths import SUFFIXES
from flowseg._image_files.pictures import is_picture, open_picture
from flowseg._image_files.source import EVERYTHING, TRANSPOSED, Index, Source, orient, picked_shape
from flowseg._image_files.tiff import is_tiff, open_tiff
from flowseg._image_files.vendor import is_vendor_file, open_scene
from flowseg._system import memory

# What axes may be called: time, planes, channels, rows, columns, samples of color.
AXES = "TZCYXS"


@contextmanager
def open_image(path: Path, scene: int | str | None, *, labels: bool = False) -> Iterator[Source]:
    """Open an image of any format; nothing is read but what its axes are."""
    if path.is_dir():
        raise ValueError(f"{path} must be an image file; it is a folder.")
    memory.check_regular(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} must be an image file; there is none.")
    if not os.access(path, os.R_OK):
        raise PermissionError(f"{path} must be readable; it is not: Permission denied.")
    if is_vendor_file(path):
        opened = open_scene(path, scene)
    elif is_tiff(path):
        opened = open_tiff(path, scene, labels=labels)
    elif is_picture(path):
        opened = open_picture(path, scene, labels=labels)
    else:
        raise ValueError(
            f"{path} must be an image file, whose name ends in one of {', '.join(SUFFIXES)}. Save the image as TIFF."
        )
    with memory.naming(path), opened as source:
        yield source


@dataclass(frozen=True)
class Part:
    """What is chosen of an image: its index in the file's order, and the axes that are left."""

    source: Source
    axes: str
    index: Index

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes, rows and columns as viewers show them."""
        shape = list(picked_shape(self.source.shape, self.index))
        if self.source.orientation in TRANSPOSED:
            rows, columns = self.axes.index("Y"), self.axes.index("X")
            shape[rows], shape[columns] = shape[columns], shape[rows]
        return tuple(shape)

    @property
    def n_rows(self) -> int:
        """Rows as viewers show them."""
        return self.shape[self.axes.index("Y")]

    @property
    def n_columns(self) -> int:
        """Columns as viewers show them."""
        return self.shape[self.axes.index("X")]

    def read(self) -> NDArray[Any]:
        """The pixels."""
        memory.check_image(self.source.path, self.shape, math.prod(self.shape) * self.source.dtype.itemsize)
        return orient(self.source.read(self.index), self.axes, self.source.orientation)


def choose_part(
    source: Source,
    *,
    axes: str | None = None,
    channel: int | Sequence[int] | None = None,
    z: int | None = None,
    t: int | None = None,
    keep: str = "",
) -> Part:
    """What is asked for of an image.

    Axes of length 1 are left out, but for rows and columns, and for the first if it is the one to ``keep``.
    """
    names = name_axes(source, axes)
    if names.count("Y") != 1 or names.count("X") != 1:
        raise ValueError(f"{source.path} must have rows and columns; it has axes {names} of shape {source.shape}.")
    index: list[Any] = [
        0 if n == 1 and name not in "YX" + keep * (i == 0) else EVERYTHING
        for i, (n, name) in enumerate(zip(source.shape, names, strict=True))
    ]
    for letters, option, value in (("Z", "z", z), ("T", "t", t), ("CS", "channel", channel)):
        if value is None:
            continue
        places = [names.index(letter) for letter in letters if letter in names]
        place = max(places, key=lambda i: source.shape[i] > 1, default=None)
        n = 1 if place is None else source.shape[place]
        chosen = _as_numbers(value, option)
        if max(chosen) >= n:
            raise ValueError(
                f"{option} must be below {n} for {source.path}, axes {names}, shape {source.shape}; got {value}."
            )
        if place is not None and n > 1:
            index[place] = chosen if isinstance(value, Sequence) else chosen[0]
    left = "".join(name for name, entry in zip(names, index, strict=True) if not isinstance(entry, int))
    return Part(source, left, tuple(index))


def _as_numbers(value: Any, option: str) -> list[int]:
    """Numbers of planes, times or channels, each once."""
    several = option == "channel" and isinstance(value, Sequence) and not isinstance(value, str)
    chosen = [_checks.as_integer(one, option, minimum=0) for one in (value if several else [value])]
    if not chosen or len(set(chosen)) != len(chosen):
        raise ValueError(f"{option} must name at least one, and each once; got {value}.")
    return chosen


def name_axes(source: Source, axes: str | None) -> str:
    """The axes that are given for an image, or those that its file names."""
    if axes is None:
        return source.axes
    if not isinstance(axes, str):
        raise TypeError(f"axes must be letters of {AXES}, one per axis; got {axes!r}.")
    names = axes.upper()
    if len(set(names)) != len(names) or set(names) - set(AXES) or not {"Y", "X"} <= set(names):
        raise ValueError(f"axes must be letters of {AXES}, one per axis, with Y and X among them; got {axes!r}.")
    if len(names) != len(source.shape):
        raise ValueError(
            f"axes must name the {len(source.shape)} axes of {source.path}, shape {source.shape}; got {axes!r}."
        )
    return names
