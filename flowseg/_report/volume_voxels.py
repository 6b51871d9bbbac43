"""Volumes for the report: voxels of the image and numbers of the objects, of limited size, compressed."""

from __future__ import annotations

import base64
import zlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flowseg._labels.overlaps import Overlaps, number_objects
from flowseg._report.image_picture import PAGE_PIXELS, as_bytes, stretch
from flowseg._report.object_outlines import SIDES, describe_errors

# Most voxels of one volume of a page: 256 x 256 x 256, of which a browser shows another plane in 60 ms.
VOLUME_VOXELS = 1 << 24
# Speed and size of compression, as in `zlib`: the highest levels take twice as long and save a hundredth.
LEVEL = 6

Numbers = NDArray[np.int64]


class Volume(NamedTuple):
    """A volume for a page."""

    objects: dict[str, Any]  # sizes, and one entry per object and value
    blocks: dict[str, str]  # by name: bytes, compressed by zlib and in base 64


def describe_volume(
    masks: tuple[NDArray[Any], NDArray[Any]],
    overlaps: Overlaps,
    image: NDArray[Any] | None,
    spacing: tuple[float, ...] | None,
    n_images: int,
) -> Volume:
    """Return one of ``n_images`` volumes of a page, from its true and predicted masks.

    Boxes (first plane, row, column; then past the last) and points are in voxels of the page. Where the volume has too
    many, boxes of them are averaged, and the objects in the middle of each box are shown.
    """
    shape = masks[0].shape
    lengths = np.ones(3) if spacing is None else np.array(spacing) / min(spacing)
    factors = find_factors(shape, lengths, min(VOLUME_VOXELS, PAGE_PIXELS // n_images))
    objects: dict[str, Any] = {
        "shape": list(shape),
        "grid": [-(-n // f) for n, f in zip(shape, factors, strict=True)],
        "factors": list(factors),
        "units": [float(length * f) for length, f in zip(lengths, factors, strict=True)],
        "channels": 0,
    }
    blocks: dict[str, str] = {}
    notes: list[str] = []
    if image is not None:
        gray, notes = stretch(image, 3)
        voxels = as_bytes(average(gray, factors))
        objects["channels"] = voxels.shape[3] if voxels.ndim == 4 else 1
        blocks["picture"] = pack(voxels)
    if max(factors) > 1:
        shares = ", ".join(f"1/{f}" if f > 1 else "all" for f in factors)
        notes.append(f"the volume and its objects are shown at {shares} of the planes, rows, columns")
    objects["note"] = "; ".join(notes)
    for name, labels, values in zip(SIDES, masks, describe_errors(overlaps), strict=True):
        known, flat, _ = number_objects(labels)
        number = flat.reshape(shape)
        seen = number[np.ix_(*(middles(n, f) for n, f in zip(shape, factors, strict=True)))]
        stored = as_smallest(seen, known.size)
        blocks[name] = pack(stored)
        boxes, points = _locate(number, seen, factors)
        objects[name] = {"label": known.tolist(), **values, "boxes": boxes, "points": points, "bytes": stored.itemsize}
    return Volume(objects, blocks)


def find_factors(shape: tuple[int, ...], lengths: NDArray[np.float64], limit: int) -> tuple[int, ...]:
    """Return whole numbers to reduce the axes of a volume by, so that it has at most ``limit`` voxels.

    The axis along which voxels are shortest is reduced first, so that they become about as long along all.
    """
    factors = np.ones(len(shape), dtype=int)
    while np.prod(sizes := -(-np.array(shape) // factors)) > limit:
        reducible = np.where(sizes > 1, lengths * factors, np.inf)
        shortest = np.flatnonzero(reducible == reducible.min())
        factors[shortest[sizes[shortest].argmax()]] += 1
    return tuple(factors.tolist())


def average(gray: NDArray[np.float32], factors: tuple[int, ...]) -> NDArray[np.float32]:
    """Return means over boxes of ``factors`` voxels; those at the end may be smaller."""
    for axis, factor in enumerate(factors):
        n = gray.shape[axis]
        starts = np.arange(0, n, factor)
        counts = np.minimum(factor, n - starts).astype(np.float32)
        if factor > 1:
            sums = np.add.reduceat(gray, starts, axis=axis)
            gray = sums / counts.reshape((-1,) + (1,) * (gray.ndim - axis - 1))
    return gray


def middles(n: int, factor: int) -> NDArray[np.intp]:
    """Return the middle voxel of each group of ``factor`` along an axis of ``n``."""
    return np.minimum(np.arange(0, n, factor) + factor // 2, n - 1)


def as_smallest(number: Numbers, n: int) -> NDArray[np.uint16] | NDArray[np.uint32]:
    """Return numbers up to ``n`` with two bytes each, or with four."""
    return number.astype(np.uint16) if n < 1 << 16 else number.astype(np.uint32)


def pack(values: NDArray[Any]) -> str:
    """Return the bytes of an array, the lowest of each number first, compressed and in base 64."""
    data = values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    return base64.b64encode(zlib.compress(data, LEVEL)).decode("ascii")


def _locate(number: Numbers, seen: Numbers, factors: tuple[int, ...]) -> tuple[list[list[float]], list[list[int]]]:
    """Return box and inner point of each object 1..n, in voxels of the page.

    The point is on what the page shows of the object, unless that is nothing.
    """
    boxes, points = [], []
    parts = ndimage.find_objects(number)
    for k, (box, shown) in enumerate(zip(parts, ndimage.find_objects(seen, max_label=len(parts)), strict=True)):
        ends = [part.start / f for part, f in zip(box, factors, strict=True)]
        ends += [part.stop / f for part, f in zip(box, factors, strict=True)]
        boxes.append([round(end, 3) for end in ends])
        points.append(_find_point(number, box, k + 1) // factors if shown is None else _find_point(seen, shown, k + 1))
    return boxes, [point.tolist() for point in points]


def _find_point(number: Numbers, box: tuple[slice, ...], k: int) -> NDArray[np.intp]:
    """Return a voxel of object ``k``: in the plane that shows most of it, the one nearest to its mean."""
    mask = number[box] == k
    plane = int(mask.sum(axis=(1, 2)).argmax())
    pixels = np.argwhere(mask[plane])
    nearest = pixels[((pixels - pixels.mean(axis=0)) ** 2).sum(axis=1).argmin()]
    point: NDArray[np.intp] = np.array([plane, *nearest]) + [part.start for part in box]
    return point
