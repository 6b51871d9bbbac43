"""Layers of the viewer as arrays: images, which are planes or volumes, one by one."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

from flowseg._napari.image_kinds import NAMES, PLANE, VOLUME, Index, image_name

# Key in the metadata of layers of flows, which are not offered for segmentation.
MARK = "flowseg flows"
# Key in the metadata of layers of masks: the number of axes of the images that they were found in.
NDIM_MARK = "flowseg ndim"
# napari's unit of length if a file states none.
PIXEL = "pixel"
# Names of axes that are none of a volume, in lower case.
NO_SPACE = {"t": "time", "time": "time", "frame": "time", "frames": "time", "c": "channels", "channel": "channels"}


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


def all_images(layer: Image | Labels, ndim: int = PLANE) -> list[Index]:
    """Return the index of every plane, or of every volume; that of a single image is ()."""
    return list(np.ndindex(*shape(layer)[:-ndim]))


def shown_image(viewer: Any, layer: Image | Labels, ndim: int = PLANE) -> Index:
    """Return the index of the plane that the viewer shows of a layer, or of the volume."""
    size = shape(layer)
    n_axes = len(size)
    if n_axes == ndim:
        return ()
    extra, name = viewer.dims.ndim - n_axes, NAMES[ndim]
    if not {axis - extra for axis in viewer.dims.displayed} <= set(range(n_axes - ndim, n_axes)):
        axes = "its last two axes in 2-D" if ndim == PLANE else "two of its last three axes"
        raise ValueError(
            f"The viewer must show a {name} of layer '{layer.name}', {axes}; it shows others: switch back, or choose "
            f"all {name}s."
        )
    place = np.rint(layer.world_to_data(viewer.dims.point)[: n_axes - ndim]).astype(int)
    if np.any(place < 0) or np.any(place >= size[:-ndim]):
        raise ValueError(
            f"The viewer must show a {name} of layer '{layer.name}'; it is at a place where that has none."
        )
    return tuple(place.tolist())


def pixels(layer: Image, index: Index) -> NDArray[Any]:
    """Return an image of a layer: a plane (rows, columns) or a volume; of a color layer with three channels last."""
    array = np.asarray(full_size(layer)[index])
    place = f" in {image_name(index, len(shape(layer)) - len(index))}" if index else ""
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


def label_image(layer: Labels, index: Index) -> NDArray[Any]:
    """Return a label image of a layer."""
    return np.asarray(full_size(layer)[index])


def count_images(layer: Image | Labels, ndim: int = PLANE) -> int:
    """Return the number of planes, or of volumes."""
    return prod(shape(layer)[:-ndim])


def check_has_pixels(layer: Image) -> None:
    """Refuse a layer without pixels."""
    if 0 in shape(layer):
        raise ValueError(f"Layer '{layer.name}' must have at least one pixel; its shape is {shape(layer)}.")


def no_volume(layer: Image | Labels) -> str:
    """Return the sentence that a layer holds no volumes; empty where it may: names and units of axes tell."""
    n_axes = len(shape(layer))
    if n_axes < VOLUME:
        return (
            f"Layer '{layer.name}' is a plane, without the axis of planes that a volume has: open the planes as one "
            "layer, or choose a model of planes."
        )
    label = str(layer.axis_labels[-VOLUME]).lower()
    is_time = layer.units[-VOLUME].is_compatible_with("second")
    kind = "time" if is_time else NO_SPACE.get(label)
    if kind is None:
        return ""
    return (
        f"Axis {n_axes - VOLUME} of layer '{layer.name}' is {kind}, by its {'unit' if is_time else 'name'}, and the "
        "planes of a volume do not follow each other along it: choose a model of planes, or rename the axis if it is "
        "one of planes."
    )


def wrong_channels(layer: Image, model: str, n_channels: int) -> str:
    """Return the sentence that a layer has other channels than a model takes, with advice."""
    found = channels(layer)
    advice = ": split it (right click on it, Split RGB) and choose one channel." if found > 1 else "."
    return (
        f"The model '{model}' takes images of {n_channels} channel{'s' * (n_channels > 1)}; layer '{layer.name}' has "
        f"{found}{advice}"
    )


def spacing(layer: Image | Labels, ndim: int) -> tuple[float, ...] | None:
    """Return the distance of pixels along the last axes in micrometers, or None if it is not known.

    Most readers of files set the scale in micrometers and do not change the unit, which then stays "pixel". A scale
    other than 1 is taken to be in micrometers.
    """
    lengths = tuple(abs(float(value)) for value in layer.scale[-ndim:])
    units = layer.units[-ndim:]
    if all(str(unit) == PIXEL for unit in units):
        return None if all(length == 1.0 for length in lengths) else lengths
    if not all(unit.is_compatible_with("micrometer") for unit in units):
        return None
    return tuple(
        length * float((1 * unit).to("micrometer").magnitude) for length, unit in zip(lengths, units, strict=True)
    )
