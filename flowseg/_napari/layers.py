"""Layers of the viewer as arrays, plane by plane."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

# Index of a plane: one number per axis before rows and columns; empty for a single image.
Index = tuple[int, ...]

# Key in the metadata of layers of flows, which are not offered for segmentation.
MARK = "flowseg flows"
# napari's unit of length if a file states none.
PIXEL = "pixel"


def images(viewer: Any) -> list[Image]:
    """Return the layers to segment or to train on."""
    return [layer for layer in viewer.layers if isinstance(layer, Image) and not layer.metadata.get(MARK)]


def labels(viewer: Any) -> list[Labels]:
    """Return the layers of masks."""
    return [layer for layer in viewer.layers if isinstance(layer, Labels)]


def channels(layer: Image) -> int:
    """Return the number of channels of a layer for a model; alpha does not count."""
    return 3 if layer.rgb else 1


def full_size(layer: Image | Labels) -> Any:
    """Return the array of a layer; for a pyramid that of the finest level."""
    return layer.data[0] if layer.multiscale else layer.data


def shape(layer: Image | Labels) -> tuple[int, ...]:
    """Return (rows, columns), after the axes of planes, at full size."""
    data = full_size(layer)
    return tuple(data.shape[:-1] if isinstance(layer, Image) and layer.rgb else data.shape)


def all_planes(layer: Image | Labels) -> list[Index]:
    """Return the index of every plane; that of a single image is ()."""
    return list(np.ndindex(*shape(layer)[:-2]))


def shown_plane(viewer: Any, layer: Image | Labels) -> Index:
    """Return the index of the plane that the viewer shows of a layer."""
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
    """Return an image of a layer: (rows, columns) or, of a color layer, (rows, columns, 3)."""
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
    """Return a label image of a layer."""
    return np.asarray(full_size(layer)[index])


def plane_name(index: Index) -> str:
    """Name a plane by the numbers at the viewer's sliders, which start at 0; a single image has no name."""
    return f"plane {', '.join(map(str, index))}" if index else ""


def plane_columns(n_axes: int) -> list[str]:
    """Return the names of the columns with the numbers of planes, counted from 0 as napari's sliders do."""
    return ["plane"] if n_axes == 1 else [f"plane_{axis}" for axis in range(n_axes)]


def count_planes(layer: Image | Labels) -> int:
    """Return the number of planes."""
    return prod(shape(layer)[:-2])


def wrong_channels(layer: Image, model: str, n_channels: int) -> str:
    """Return the sentence that a layer has other channels than a model takes, with advice."""
    found = channels(layer)
    advice = ": split it (right click on it, Split RGB) and choose one channel." if found > 1 else "."
    return (
        f"The model '{model}' takes images of {n_channels} channel{'s' * (n_channels > 1)}; layer '{layer.name}' has "
        f"{found}{advice}"
    )


def pixel_size(layer: Image | Labels) -> tuple[float, float] | None:
    """Return height and width of a pixel in micrometers, or None if they are not known.

    Most readers of files set the scale in micrometers and do not change the unit, which then stays "pixel". A scale
    other than 1 is taken to be in micrometers.
    """
    height, width = (abs(float(value)) for value in layer.scale[-2:])
    units = layer.units[-2:]
    if all(str(unit) == PIXEL for unit in units):
        return None if height == width == 1.0 else (height, width)
    if not all(unit.is_compatible_with("micrometer") for unit in units):
        return None
    factors = [float((1 * unit).to("micrometer").magnitude) for unit in units]
    return height * factors[0], width * factors[1]
