"""Layers of the viewer as arrays, one per plane."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

# Where a plane is in a layer: a number per axis before rows and columns, none for a single image.
Index = tuple[int, ...]

# Marks layers of flows, which nobody wants to segment, in their metadata.
MARK = "flowseg flows"
# Micrometres of a length that is none: a pixel is what napari counts in unless a file says more.
PIXEL = "pixel"


def images(viewer: Any) -> list[Image]:
    """Give the layers to segment or to train on."""
    return [layer for layer in viewer.layers if isinstance(layer, Image) and not layer.metadata.get(MARK)]


def labels(viewer: Any) -> list[Labels]:
    """Give the layers of masks."""
    return [layer for layer in viewer.layers if isinstance(layer, Labels)]


def channels(layer: Image) -> int:
    """Give the channels that a model sees of a layer; alpha is none."""
    return 3 if layer.rgb else 1


def full_size(layer: Image | Labels) -> Any:
    """Give the array of a layer, of a pyramid the finest level."""
    return layer.data[0] if layer.multiscale else layer.data


def shape(layer: Image | Labels) -> tuple[int, ...]:
    """Give (rows, columns), after the axes of planes, at full size."""
    data = full_size(layer)
    return tuple(data.shape[:-1] if isinstance(layer, Image) and layer.rgb else data.shape)


def all_planes(layer: Image | Labels) -> list[Index]:
    """Give the place of every plane; a single image has one, ()."""
    return list(np.ndindex(*shape(layer)[:-2]))


def shown_plane(viewer: Any, layer: Image | Labels) -> Index:
    """Give the place of the plane of a layer that the viewer shows."""
    size = shape(layer)
    n_axes = len(size)
    if n_axes == 2:
        return ()
    extra = viewer.dims.ndim - n_axes
    if {axis - extra for axis in viewer.dims.displayed} != {n_axes - 2, n_axes - 1}:
        raise ValueError(
            f"The viewer must show a plane of layer '{layer.name}', its last two axes in 2-D; it shows others: switch "
            "back, or choose all planes."
        )
    place = np.rint(layer.world_to_data(viewer.dims.point)[: n_axes - 2]).astype(int)
    if np.any(place < 0) or np.any(place >= size[:-2]):
        raise ValueError(f"The viewer must show a plane of layer '{layer.name}'; it is at a place where that has none.")
    return tuple(place.tolist())


def plane(layer: Image, index: Index) -> NDArray[Any]:
    """Give an image of a layer: (rows, columns) or, of a color layer, (rows, columns, 3)."""
    array = np.asarray(full_size(layer)[index])
    place = f" in {plane_name(index)}" if index else ""
    if array.dtype == bool:
        raise ValueError(
            f"Layer '{layer.name}' must be an image of gray values or colors; its pixels are true or false."
        )
    if array.dtype.kind == "f" and (n_bad := array.size - np.count_nonzero(np.isfinite(array))):
        raise ValueError(
            f"Layer '{layer.name}' must have a finite number in every pixel; {n_bad} of {array.size} are NaN or "
            f"infinite{place}."
        )
    return array[..., :3] if layer.rgb else array


def label_plane(layer: Labels, index: Index) -> NDArray[Any]:
    """Give a label image of a layer."""
    return np.asarray(full_size(layer)[index])


def plane_name(index: Index) -> str:
    """Name a plane by the numbers at the viewer's sliders, which start at 0; a single image has no name."""
    return f"plane {', '.join(map(str, index))}" if index else ""


def plane_columns(n_axes: int) -> list[str]:
    """Give the columns of a table that say where planes are, counted from 0 as by napari's sliders."""
    return ["plane"] if n_axes == 1 else [f"plane_{axis}" for axis in range(n_axes)]


def count_planes(layer: Image | Labels) -> int:
    """Give the number of planes."""
    return prod(shape(layer)[:-2])


def wrong_channels(layer: Image, model: str, n_channels: int) -> str:
    """Say that a layer has other channels than a model takes, and what to do."""
    found = channels(layer)
    advice = ": split it (right click on it, Split RGB) and choose one channel." if found > 1 else "."
    return (
        f"The model '{model}' takes images of {n_channels} channel{'s' * (n_channels > 1)}; layer '{layer.name}' has "
        f"{found}{advice}"
    )


def pixel_size(layer: Image | Labels) -> tuple[float, float] | None:
    """Give height and width of a pixel in micrometres; without a unit of length, of what napari calls a pixel.

    Most readers of files set the scale in micrometres and leave the unit alone. None where the scale is 1 then.
    """
    height, width = (abs(float(value)) for value in layer.scale[-2:])
    units = layer.units[-2:]
    if all(str(unit) == PIXEL for unit in units):
        return None if height == width == 1.0 else (height, width)
    if not all(unit.is_compatible_with("micrometer") for unit in units):
        return None
    factors = [float((1 * unit).to("micrometer").magnitude) for unit in units]
    return height * factors[0], width * factors[1]
