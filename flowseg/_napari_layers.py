"""Layers of the viewer as arrays, one per plane, and what was found as layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

# Axes of an image and of a stack.
N_AXES = (2, 3)
# Marks layers of flows, which nobody wants to segment, in their metadata.
MARK = "flowseg flows"


def images(viewer: Any) -> list[Image]:
    """Give the layers to segment or to train on."""
    return [layer for layer in viewer.layers if isinstance(layer, Image) and not layer.metadata.get(MARK)]


def labels(viewer: Any) -> list[Labels]:
    """Give the layers of masks."""
    return [layer for layer in viewer.layers if isinstance(layer, Labels)]


def channels(layer: Image) -> int:
    """Give the channels that a model sees of a layer; alpha is none."""
    return 3 if layer.rgb else 1


def planes(layer: Image) -> list[NDArray[Any]]:
    """Give the images of a layer: (rows, columns) or, of a colour layer, (rows, columns, 3)."""
    data = layer.data[0] if layer.multiscale else layer.data
    n_axes = data.ndim - int(layer.rgb)
    if n_axes not in N_AXES:
        raise ValueError(
            f"Layer '{layer.name}' must be an image or a stack (plane, rows, columns); it has {n_axes} axes."
        )
    found = [np.asarray(plane) for plane in (data if n_axes == max(N_AXES) else [data])]
    if not found:
        raise ValueError(f"Layer '{layer.name}' must hold at least one plane; it holds none.")
    return [plane[..., :3] for plane in found] if layer.rgb else found


def label_planes(layer: Labels) -> list[NDArray[Any]]:
    """Give the label images of a layer."""
    data = layer.data[0] if layer.multiscale else layer.data
    return [np.asarray(plane) for plane in (data if data.ndim == max(N_AXES) else [data])]


def shape(layer: Image | Labels) -> tuple[int, ...]:
    """Give (rows, columns) or (planes, rows, columns), at full size."""
    data = layer.data[0] if layer.multiscale else layer.data
    return tuple(data.shape[:-1] if isinstance(layer, Image) and layer.rgb else data.shape)


@dataclass(frozen=True)
class Found:
    """What was found in one plane."""

    masks: NDArray[np.int32]
    objects: dict[str, NDArray[Any]]  # columns; none for a model that does not say more than masks
    flows: NDArray[np.uint8] | None  # in colours


def add_found(viewer: Any, layer: Image, found: Sequence[Found]) -> Labels:
    """Add masks, with what is known of each object, and flows as layers that lie where the image lies."""
    is_stack = len(shape(layer)) == max(N_AXES)
    offsets = np.cumsum([0, *(int(plane.masks.max(initial=0)) for plane in found[:-1])])
    masks = [np.where(p.masks > 0, p.masks + n, 0).astype(np.int32) for p, n in zip(found, offsets, strict=True)]
    stacked = np.stack(masks) if is_stack else masks[0]
    table = _table(found, offsets, is_stack)
    if all(plane.flows is not None for plane in found):
        flows = [plane.flows for plane in found if plane.flows is not None]
        shown = viewer.add_image(
            np.stack(flows) if is_stack else flows[0], name=f"{layer.name} flows", rgb=True, metadata={MARK: True}
        )
        _lay_over(shown, layer)
    added = viewer.add_labels(stacked, name=f"{layer.name} masks", features=table)
    _lay_over(added, layer)
    added.events.paint.connect(_row_keeper(stacked.copy(), added.features.copy()))
    return added


def _lay_over(new: Any, layer: Image) -> None:
    """Place a layer where another lies."""
    new.scale, new.translate, new.rotate, new.shear = layer.scale, layer.translate, layer.rotate, layer.shear
    new.affine, new.units = layer.affine, layer.units


def _table(found: Sequence[Found], offsets: NDArray[Any], is_stack: bool) -> dict[str, NDArray[Any]]:
    """One row per object; napari finds rows by the column ``index``, and shows the others as they come."""
    with_rows = [(k, p.objects, n) for k, (p, n) in enumerate(zip(found, offsets, strict=True)) if p.objects]
    if not with_rows:
        return {}
    names = sorted((name for name in with_rows[0][1] if name != "label"), key=lambda name: name != "score")
    table = {"index": np.concatenate([objects["label"] + n for _, objects, n in with_rows])}
    table |= {name: np.concatenate([objects[name] for _, objects, _ in with_rows]) for name in names}
    if is_stack:
        table["plane"] = np.concatenate([np.full(objects["label"].size, k) for k, objects, _ in with_rows])
    return table


def _row_keeper(masks: NDArray[np.int32], table: Any) -> Callable[[Any], None]:
    """A function that leaves in a layer's table the rows of those objects that nobody has changed by hand."""

    def keep(event: Any) -> None:
        layer = event.source
        if table.empty or layer.data.shape != masks.shape:
            return
        changed = layer.data != masks
        touched = np.union1d(masks[changed], layer.data[changed])
        layer.features = table[~table["index"].isin(touched)].reset_index(drop=True)

    return keep
