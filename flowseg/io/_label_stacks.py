"""Volumes, and label images over time, as TIFF that Fiji and other programs show with their axes and sizes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray

from flowseg._system import files

# Axes of a stack that this module writes: planes or times.
VOLUME, FILM = "ZYX", "TYX"
STACKS = (VOLUME, FILM)
# Endings of names of files that hold OME metadata; others hold ImageJ's, which ImageJ reads without a plugin.
OME_ENDINGS = (".ome.tif", ".ome.tiff")
# The version of ImageJ whose description of a stack this is, and its word for micrometers.
IMAGEJ, MICRONS = "1.53t", "micron"


class Sizes(NamedTuple):
    """Distance of pixels along planes, rows and columns in micrometers; None is not known."""

    z: float | None = None
    y: float | None = None
    x: float | None = None

    @classmethod
    def of(cls, size: Sequence[float] | None) -> Sizes:
        """Return sizes of one number per axis, or of rows and columns alone."""
        return cls() if size is None else cls(None, *size) if len(size) < len(cls._fields) else cls(*size)

    @property
    def in_plane(self) -> tuple[float, float] | None:
        """Return height and width of a pixel."""
        return None if self.y is None or self.x is None else (self.y, self.x)


def write_stack(path: Path, masks: NDArray[Any], axes: str, sizes: Sizes) -> None:
    """Write labels of shape (planes or times, rows, columns), zlib-compressed, atomically.

    A file named ``.ome.tif`` is OME-TIFF, others are stacks of ImageJ; both of any integer type of up to 32 bits. One
    plane alone is neither, and its axis has no name: those have no axis of length 1.
    """
    if path.name.lower().endswith(OME_ENDINGS):
        _write_ome(path, masks, axes, sizes)
    elif len(masks) == 1:
        files.write_tiff(path, masks, sizes.in_plane)
    else:
        _write_imagej(path, masks, axes, sizes)


def write_channels(path: Path, array: NDArray[Any], sizes: Sizes) -> None:
    """Write numbers of shape (channels, planes, rows, columns), zlib-compressed, atomically.

    A file is OME-TIFF where the distance of planes is known: a plain TIFF has no place for it.
    """
    axes = f"C{VOLUME}"
    if sizes.z is None:
        files.write_tiff(path, array, sizes.in_plane, axes=axes)
    else:
        _write_ome(path, array, axes, sizes)


def _write_ome(path: Path, masks: NDArray[Any], axes: str, sizes: Sizes) -> None:
    metadata: dict[str, Any] = {"axes": axes}
    for letter, size in zip(VOLUME, sizes, strict=True):
        if size is not None:
            metadata |= {f"PhysicalSize{letter}": size, f"PhysicalSize{letter}Unit": "µm"}
    _write(path, masks, sizes, 1e4, {"ome": True, "metadata": metadata, "resolutionunit": "CENTIMETER"})


def _write_imagej(path: Path, masks: NDArray[Any], axes: str, sizes: Sizes) -> None:
    """Write a stack with ImageJ's description. It is written here: tifffile refuses 32 bits, which ImageJ reads."""
    lines = [f"ImageJ={IMAGEJ}", f"images={len(masks)}", f"{'slices' if axes == VOLUME else 'frames'}={len(masks)}"]
    if sizes.in_plane is not None:
        lines.append(f"unit={MICRONS}")
    if sizes.z is not None:
        lines.append(f"spacing={sizes.z!r}")
    lines += ["loop=false", f"min={min(int(masks.min()), 0)}.0", f"max={max(int(masks.max()), 1)}.0", ""]
    _write(path, masks, sizes, 1, {"metadata": None, "description": "\n".join(lines), "resolutionunit": "NONE"})


def _write(path: Path, masks: NDArray[Any], sizes: Sizes, per_unit: float, options: dict[str, Any]) -> None:
    if sizes.in_plane is not None:
        options = options | {"resolution": files.as_resolution(sizes.in_plane, per_unit)}
    array = np.ascontiguousarray(masks)
    files.write_atomically(
        path,
        lambda beside: tifffile.imwrite(beside, array, compression="zlib", photometric="minisblack", **options),
    )
