"""Planes and volumes, the images that layers hold: their names and indices, without napari."""

from __future__ import annotations

from collections.abc import Sequence

# Index of an image: one number per axis before those of the image; empty for a single image.
Index = tuple[int, ...]

# Axes of an image without channels.
PLANE, VOLUME = 2, 3
NAMES = {PLANE: "plane", VOLUME: "volume"}


def image_name(index: Index, ndim: int = PLANE) -> str:
    """Name an image by the numbers at the viewer's sliders, which start at 0; a single image has no name."""
    return f"{NAMES[ndim]} {', '.join(map(str, index))}" if index else ""


def index_columns(n_axes: int, ndim: int = PLANE) -> list[str]:
    """Return the names of the columns with the numbers of images, counted from 0 as napari's sliders do."""
    name = NAMES[ndim]
    return [name] if n_axes == 1 else [f"{name}_{axis}" for axis in range(n_axes)]


def format_spacing(spacing: Sequence[float]) -> str:
    """Return a spacing in words."""
    return " x ".join(f"{length:.4g}" for length in spacing)
