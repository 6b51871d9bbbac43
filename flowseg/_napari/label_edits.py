"""Corrections of a Labels layer: merge, split and delete objects, each as one step of the undo history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import line
from skimage.measure import label as find_components

from flowseg._napari.image_kinds import VOLUME

# Index of pixels: one array per axis.
Index = tuple[NDArray[Any], ...]

# Size in pixels below which a part that a cut leaves between line and border joins the part beside it.
SLIVER = 5


def check_editable(layer: Labels) -> None:
    """Refuse layers that cannot be corrected in place."""
    if layer.multiscale or not isinstance(layer.data, np.ndarray):
        raise ValueError(f"Layer '{layer.name}' must be one array in memory to be corrected; got a larger one.")


def next_label(layer: Labels) -> int:
    """Return the first label above all others."""
    check_editable(layer)
    label = max(int(layer.data.max(initial=0)), 0) + 1
    _check_room(layer, label)
    return label


def _check_room(layer: Labels, label: int) -> None:
    if label > np.iinfo(layer.data.dtype).max:
        raise ValueError(
            f"Layer '{layer.name}' must have room for another label; {layer.data.dtype} has none: convert it to int32."
        )


def pixels_on_line(layer: Labels, points: Sequence[NDArray[Any]], axes: tuple[int, int]) -> Index:
    """Return the pixels of a layer under a line through points, in the plane of two axes."""
    corners = np.rint(np.stack([*points, points[-1]])).astype(int)
    pairs = zip(corners[:-1, axes], corners[1:, axes], strict=True)
    path = np.concatenate([np.stack(line(*start, *end)) for start, end in pairs], axis=1)
    index = np.repeat(corners[:1].T, path.shape[1], axis=1)
    index[list(axes)] = path
    inside = np.all((index >= 0) & (index < np.array(layer.data.shape)[:, None]), axis=0)
    return tuple(index[:, inside])


def labels_on(layer: Labels, path: Index) -> list[int]:
    """Return the objects along a line, each once, in order."""
    return list(dict.fromkeys(label for label in layer.data[path].tolist() if label > 0))


def merge(layer: Labels, path: Index) -> str:
    """Merge the objects that a line crosses, with the label of the first; return a remark, or an empty string."""
    check_editable(layer)
    found = labels_on(layer, path)
    if len(found) < 2:
        raise ValueError(f"The line must cross two or more objects to merge them; it crosses {len(found)}.")
    _set(layer, np.nonzero(np.isin(layer.data, found[1:])), found[0])
    box = ndimage.find_objects(np.asarray(layer.data == found[0]).astype(np.uint8))[0]
    n = int(find_components(layer.data[box] == found[0]).max())
    return f"Object {found[0]} has {n} parts that do not touch: paint the gap." if n > 1 else ""


def erase(layer: Labels, path: Index) -> str:
    """Delete the objects under a line or a click."""
    check_editable(layer)
    found = labels_on(layer, path)
    if not found:
        raise ValueError("The click must be on an object to delete it; it is on the background.")
    _set(layer, np.nonzero(np.isin(layer.data, found)), 0)
    return ""


def split(layer: Labels, path: Index, axes: tuple[int, int], *, through: bool = False) -> str:
    """Split the object under most of a line; the largest part keeps the label, the others get new ones.

    The line cuts the object in the plane of the two axes, or, like a knife, ``through`` all planes of a volume.
    """
    check_editable(layer)
    labels, counts = np.unique(layer.data[path][layer.data[path] > 0], return_counts=True)
    if labels.size == 0:
        raise ValueError("The line must cross an object to split it; it lies on the background.")
    target = int(labels[np.argmax(counts)])
    cut_axes = range(max(layer.ndim - VOLUME, 0), layer.ndim) if through else axes
    plane = tuple(slice(None) if axis in cut_axes else slice(int(k[0]), int(k[0]) + 1) for axis, k in enumerate(path))
    wall = np.zeros(layer.data[plane].shape, dtype=bool)
    wall[tuple(k if axis in axes else slice(None) for axis, k in enumerate(path))] = True
    own = layer.data[plane] == target
    box = ndimage.find_objects(own.astype(np.uint8))[0]
    part = _cut(own[box], wall[box])
    n_parts = int(part.max())
    if n_parts < 2:
        raise ValueError(f"The line must cross object {target} from border to border to split it; it does not.")
    first = next_label(layer)
    _check_room(layer, first + n_parts - 2)
    where = np.nonzero(part > 1)
    starts = [(outer.start or 0) + inner.start for outer, inner in zip(plane, box, strict=True)]
    _set(
        layer,
        tuple(k + start for k, start in zip(where, starts, strict=True)),
        (part[where] - 2 + first).astype(layer.data.dtype),
    )
    return ""


def _set(layer: Labels, index: Index, labels: int | NDArray[Any]) -> None:
    """Change pixels in one step of the history; events are emitted when it is complete."""
    with layer.block_history():
        layer.data_setitem(index, labels)


def _cut(own: NDArray[np.bool_], wall: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Number the parts of an object on the sides of a wall 1, 2, ..., the largest first; 0 outside the object."""
    before = find_components(own, connectivity=1)
    body = before == np.bincount(before[wall & own]).argmax()
    body &= ~wall
    part = find_components(body, connectivity=1)
    sizes = np.bincount(part.ravel())[1:]
    order = np.argsort(-sizes, kind="stable")
    order = order[sizes[order] >= SLIVER]
    rank = np.zeros(sizes.size + 1, dtype=np.intp)
    rank[order + 1] = np.arange(1, order.size + 1)
    ranked: NDArray[np.intp] = rank[part]
    if order.size < 2:
        return ranked
    nearest = ndimage.distance_transform_edt(ranked == 0, return_distances=False, return_indices=True)
    filled: NDArray[np.intp] = np.where(own, ranked[tuple(nearest)], 0)
    return filled
