"""Segmentations of COCO as pixels: polygons and run lengths, decoded in proportion to the object, not to the image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._system import memory
from flowseg._system.optional_packages import need
from flowseg.io._entries import UnreadableEntryError, as_floats, parsing_entry

# Pixels from the first one to a corner at most: pycocotools' maskApi.c checks nothing, and subtracts fifths of pixels
# in 32 bits with a sign.
MAX_COORDINATE = 1 << 26
# Bytes that maskApi.c takes per pixel along an outline: five steps of five 32-bit numbers.
OUTLINE_BYTES = 100
# Bytes for each pixel of an object's box: steps, their sums, the mask.
BOX_BYTES = 4
# Outlines may be as long as the image has pixels and this many times its rows and columns: no object has a longer one.
MAX_SIDES = 64
# Pixels of one run at most: more than any image has (pycocotools counts in 32 bits).
MAX_RUN = 1 << 32


def decode_segmentation(segmentation: Any, shape: tuple[int, int]) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """Return a box with the object's pixels, and its first row and column; `shape` is that of the image."""
    height, width = shape
    if isinstance(segmentation, list):
        runs = _fill(segmentation, height, width)
    elif not isinstance(segmentation, dict):
        raise UnreadableEntryError(
            f"a segmentation that is neither polygons nor run lengths but {type(segmentation).__name__}"
        )
    else:
        if segmentation.get("size") != [height, width]:
            raise UnreadableEntryError(
                f"a segmentation of shape {segmentation.get('size')} in an image of shape {shape}"
            )
        counts = segmentation.get("counts")
        runs = unpack_runs(counts) if isinstance(counts, str) else _as_integers(counts)
    if not runs.size or runs.min() < 0 or sum(runs.tolist()) != height * width:
        raise UnreadableEntryError(f"run lengths that are not those of an image of shape {shape}")
    edges = np.cumsum(runs)
    start, stop = edges[: 2 * (runs.size // 2) : 2], edges[1::2]
    return _box(start[start < stop], stop[start < stop], height)


def _box(start: NDArray[np.int64], stop: NDArray[np.int64], height: int) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """Return the box of runs that count pixels column by column, and its first row and column."""
    if not start.size:
        return np.zeros((0, 0), dtype=bool), (0, 0)
    first, last = start // height, (stop - 1) // height
    n = last - first + 1  # columns that a run is in
    run = np.repeat(np.arange(n.size), n)
    column = first[run] + np.arange(run.size) - (np.cumsum(n) - n)[run]
    top = np.where(column == first[run], start[run] % height, 0)
    bottom = np.where(column == last[run], (stop[run] - 1) % height + 1, height)
    low, left = int(top.min()), int(column.min())
    rows, columns = int(bottom.max()) - low + 1, int(column.max()) - left + 1
    memory.check(BOX_BYTES * rows * columns, f"with an object of {rows} rows and {columns} columns it")
    steps = np.zeros((rows, columns), dtype=np.int8)
    np.add.at(steps, (top - low, column - left), 1)
    np.subtract.at(steps, (bottom - low, column - left), 1)
    return np.cumsum(steps[:-1], axis=0, dtype=np.int8) > 0, (low, left)


def _fill(polygons: list[Any], height: int, width: int) -> NDArray[np.int64]:
    """Return run lengths of the inside of all polygons, each a list x, y, x, y, ..."""
    length = 0.0
    for polygon in polygons:
        ring = as_floats(polygon, "corners")
        if ring.ndim != 1 or ring.size < 6 or ring.size % 2 or not np.all(np.abs(ring) <= MAX_COORDINATE):
            raise UnreadableEntryError("a polygon that is not three or more corners x, y near its image")
        corners = ring.reshape(-1, 2)
        length += np.abs(corners - np.roll(corners, 1, axis=0)).max(axis=1).sum()
    if length > height * width + MAX_SIDES * (height + width):
        raise UnreadableEntryError(f"polygons {length:.0f} pixels long in an image of shape {(height, width)}")
    memory.check(int(OUTLINE_BYTES * length), "with outlines that long it")
    coding = need("pycocotools.mask", "formats")
    with parsing_entry():
        text = coding.merge(coding.frPyObjects(polygons, height, width))["counts"].decode("ascii")
    return unpack_runs(text)


def _as_integers(values: Any) -> NDArray[np.int64]:
    """Return run lengths that are written as a list."""
    if not isinstance(values, list) or not all(type(value) is int and abs(value) <= MAX_RUN for value in values):
        raise UnreadableEntryError("run lengths that are no list of whole numbers")
    return np.array(values, dtype=np.int64)


def unpack_runs(text: str) -> NDArray[np.int64]:
    """Return run lengths from text: five bits per character, lowest first; from the fourth on less the last but one."""
    code = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.int64) - ord("0")
    if code.size == 0 or code.min() < 0 or code.max() > 63 or code[-1] & 32:  # 32: the number goes on
        raise UnreadableEntryError("run lengths that are cut off or no text of COCO's")
    last = np.flatnonzero((code & 32) == 0)
    first = np.append(0, last[:-1] + 1)
    shift = 5 * (np.arange(code.size) - np.repeat(first, last - first + 1))
    if shift.max() > 30:
        raise UnreadableEntryError("run lengths of more than 32 bits")
    runs = np.add.reduceat((code & 31) << shift, first)
    runs -= np.where(code[last] & 16, 32 << shift[last], 0)  # 16: the number is negative
    runs[1::2], runs[2::2] = np.cumsum(runs[1::2]), np.cumsum(runs[2::2])
    return runs
