"""Which part of an image is read: its scene, planes and channels, by the names of the axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from flowseg import _checks
from flowseg._image_files.source import (
    EVERYTHING,
    MIRRORED_COLUMNS,
    MIRRORED_ROWS,
    TRANSPOSED,
    Index,
    Source,
    orient,
    picked_shape,
)
from flowseg._system import memory
from flowseg._system.invalid_file import InvalidFileError

# Names of axes: time, planes, channels, rows, columns, samples of color.
AXES = "TZCYXS"


@dataclass(frozen=True)
class Selection:
    """Which part of a file's image to read, as the parameters of `flowseg.io.read_image` give it; by default all.

    Parameters
    ----------
    axes : str, optional
        Names of the axes in the file, if the file does not name them.
    channel : int or sequence of int, optional
        Channels.
    z, t : int, optional
        Plane and time.
    scene : int or str, optional
        Image of a file that holds several.
    """

    axes: str | None = None
    channel: int | Sequence[int] | None = None
    z: int | None = None
    t: int | None = None
    scene: int | str | None = None


ALL = Selection()


@dataclass(frozen=True)
class Part:
    """The selected part of an image: its index in the order of the file, and the axes that are left."""

    source: Source
    axes: str
    index: Index

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the lengths of the axes, rows and columns as viewers show them."""
        shape = list(picked_shape(self.source.shape, self.index))
        if self.source.orientation in TRANSPOSED:
            rows, columns = self.axes.index("Y"), self.axes.index("X")
            shape[rows], shape[columns] = shape[columns], shape[rows]
        return tuple(shape)

    @property
    def n_rows(self) -> int:
        """Return the rows as viewers show them."""
        return self.shape[self.axes.index("Y")]

    @property
    def n_columns(self) -> int:
        """Return the columns as viewers show them."""
        return self.shape[self.axes.index("X")]

    def read(self) -> NDArray[Any]:
        """Read the pixels."""
        memory.check_image(self.source.path, self.shape, math.prod(self.shape) * self.source.dtype.itemsize)
        return orient(self.source.read(self.index), self.axes, self.source.orientation)

    def read_window(self, rows: slice, columns: slice, planes: slice = EVERYTHING) -> NDArray[Any]:
        """Read the pixels of rows and columns as viewers show them, of some planes; slices need start and stop."""
        orientation = self.source.orientation
        stored = {
            "Y": _from_end(rows, self.n_rows) if orientation in MIRRORED_ROWS else rows,
            "X": _from_end(columns, self.n_columns) if orientation in MIRRORED_COLUMNS else columns,
        }
        if orientation in TRANSPOSED:
            stored = {"Y": stored["X"], "X": stored["Y"]}
        stored["Z"] = planes
        left = iter(self.axes)
        index = tuple(entry if isinstance(entry, int) else stored.get(next(left), entry) for entry in self.index)
        return orient(self.source.read(index), self.axes, orientation)


def _from_end(window: slice, n: int) -> slice:
    """Return a window of an axis that runs the other way."""
    return slice(n - window.stop, n - window.start)


def choose_part(source: Source, selection: Selection, *, keep: str = "", keep_first: str = "") -> Part:
    """Return the part of an image that is selected; its scene is chosen already.

    Axes of length 1 are left out, except rows, columns and the axes to ``keep``, and the first axis if its name is the
    one in ``keep_first``.
    """
    names = name_axes(source, selection.axes)
    if names.count("Y") != 1 or names.count("X") != 1:
        raise InvalidFileError(
            f"{source.path} must have rows and columns; it has axes {names} of shape {source.shape}. Name them with "
            "axes, one letter per axis, such as CYX."
        )
    index: list[int | list[int] | slice] = [
        0 if n == 1 and name not in "YX" + keep + keep_first * (i == 0) else EVERYTHING
        for i, (n, name) in enumerate(zip(source.shape, names, strict=True))
    ]
    for letters, option, value in (
        ("Z", "z", selection.z),
        ("T", "t", selection.t),
        ("CS", "channel", selection.channel),
    ):
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
    """Return numbers of planes, times or channels; none may come twice."""
    several = option == "channel" and isinstance(value, Sequence) and not isinstance(value, str)
    chosen = [_checks.as_integer(one, option, minimum=0) for one in (value if several else [value])]
    if not chosen or len(set(chosen)) != len(chosen):
        raise ValueError(f"{option} must hold at least one number, and none twice; got {value}.")
    return chosen


def name_axes(source: Source, axes: str | None) -> str:
    """Return the axes that are given for an image, or those that its file names."""
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
