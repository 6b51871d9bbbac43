"""Corrections of a Labels layer, each one step of its undo history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import line
from skimage.measure import label as connected_pieces

# Index of pixels: one array per axis.
Index = tuple[NDArray[Any], ...]

# A cut leaves slivers between the line and the border; smaller ones, in pixels, go to the piece beside them.
SLIVER = 5


def check_editable(layer: Labels) -> None:
    """Refuse what cannot be corrected in place."""
    if layer.multiscale or not isinstance(layer.data, np.ndarray):
        raise ValueError(f"Layer '{layer.name}' must be one array in memory to be corrected; got a larger one.")


def next_label(layer: Labels) -> int:
    """Give the first label above all that there are."""
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
    """Give the pixels under a line through points of the plane of two axes, those outside the layer left out."""
    corners = np.rint(np.stack([*points, points[-1]])).astype(int)
    pairs = zip(corners[:-1, axes], corners[1:, axes], strict=True)
    path = np.concatenate([np.stack(line(*start, *end)) for start, end in pairs], axis=1)
    index = np.repeat(corners[:1].T, path.shape[1], axis=1)
    index[list(axes)] = path
    inside = np.all((index >= 0) & (index < np.array(layer.data.shape)[:, None]), axis=0)
    return tuple(index[:, inside])


def labels_on(layer: Labels, path: Index) -> list[int]:
    """Give the objects along a line, each once, in the order in which the line meets them."""
    return list(dict.fromkeys(label for label in layer.data[path].tolist() if label > 0))


def merge(layer: Labels, path: Index) -> str:
    """Make one object of all that a line meets, with the label of the first; say what is odd about it."""
    check_editable(layer)
    found = labels_on(layer, path)
    if len(found) < 2:
        raise ValueError(f"The line must meet two or more objects to merge them; it meets {len(found)}.")
    _set(layer, np.nonzero(np.isin(layer.data, found[1:])), found[0])
    box = ndimage.find_objects(np.asarray(layer.data == found[0]).astype(np.uint8))[0]
    n_pieces = int(connected_pieces(layer.data[box] == found[0]).max())
    return f"Object {found[0]} is in {n_pieces} pieces that do not touch: paint the gap." if n_pieces > 1 else ""


def erase(layer: Labels, path: Index) -> str:
    """Delete the objects that a line, or a click, meets."""
    check_editable(layer)
    found = labels_on(layer, path)
    if not found:
        raise ValueError("The click must be on an object to delete it; it is on the background.")
    _set(layer, np.nonzero(np.isin(layer.data, found)), 0)
    return ""


def split(layer: Labels, path: Index, axes: tuple[int, int]) -> str:
    """Cut the object that most of a line lies on; the largest piece keeps the label, the others get new ones."""
    check_editable(layer)
    labels, counts = np.unique(layer.data[path][layer.data[path] > 0], return_counts=True)
    if labels.size == 0:
        raise ValueError("The line must cross an object to split it; it lies on the background.")
    target = int(labels[np.argmax(counts)])
    plane = tuple(slice(None) if axis in axes else int(path[axis][0]) for axis in range(layer.ndim))
    piece = _cut(layer.data[plane] == target, path[axes[0]], path[axes[1]])
    n_pieces = int(piece.max())
    if n_pieces < 2:
        raise ValueError(f"The line must cross object {target} from border to border to split it; it does not.")
    first = next_label(layer)
    _check_room(layer, first + n_pieces - 2)
    where = np.nonzero(piece > 1)
    index = [np.full(where[0].size, path[axis][0]) for axis in range(layer.ndim)]
    index[axes[0]], index[axes[1]] = where
    _set(layer, tuple(index), (piece[where] - 2 + first).astype(layer.data.dtype))
    return ""


def _set(layer: Labels, index: Index, labels: int | NDArray[Any]) -> None:
    """Change pixels in one step of the history, and tell of it when it is done, not before."""
    with layer.block_history():
        layer.data_setitem(index, labels)


def _cut(own: NDArray[np.bool_], rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[np.intp]:
    """Number the pieces of an object on the sides of a line 1, 2, ..., the largest first; 0 is what is not its."""
    before = connected_pieces(own, connectivity=1)
    on_line = before[rows, columns]
    body = before == np.bincount(on_line[on_line > 0]).argmax()
    body[rows, columns] = False
    piece = connected_pieces(body, connectivity=1)
    sizes = np.bincount(piece.ravel())[1:]
    order = np.argsort(-sizes, kind="stable")
    order = order[sizes[order] >= SLIVER]
    rank = np.zeros(sizes.size + 1, dtype=np.intp)
    rank[order + 1] = np.arange(1, order.size + 1)
    ranked = rank[piece]
    if order.size < 2:
        return ranked
    nearest = ndimage.distance_transform_edt(ranked == 0, return_distances=False, return_indices=True)
    return np.where(own, ranked[tuple(nearest)], 0)
