"""Layers of results: masks with a table of their objects, and what was changed by hand since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Image, Labels
from numpy.typing import NDArray
from safetensors.numpy import load_file

from flowseg._napari import layers
from flowseg._napari.image_kinds import PLANE, Index, index_columns


@dataclass(frozen=True)
class ImageResult:
    """Results of one image, a plane or a volume."""

    masks: NDArray[np.int32]
    objects: dict[str, NDArray[Any]]  # columns; none for a model without flows
    flows: NDArray[np.uint8] | None  # as colors


def read_result(path: Path) -> ImageResult:
    """Read the results of an image from the worker's file."""
    arrays = load_file(path)
    objects = {name.removeprefix("object_"): array for name, array in arrays.items() if name.startswith("object_")}
    return ImageResult(arrays["masks"], objects, arrays.get("flows"))


class ResultLayer:
    """The masks of an image as a Labels layer at the place of the image.

    Parameters
    ----------
    viewer : napari.Viewer
        Viewer to add the layers to.
    image : Image
        Layer that was segmented.
    contour : int
        Width of outlines in pixels; 0 fills the objects.
    ndim : int
        Axes of what was segmented at a time: 2, planes, or 3, volumes.
    """

    def __init__(self, viewer: Any, image: Image, contour: int, ndim: int = PLANE) -> None:
        self._ndim = ndim
        self._viewer, self._image = viewer, image
        self._found = np.zeros(layers.shape(image), dtype=np.int32)
        self._table = pd.DataFrame()
        self.n_objects = 0  # in the images that were written last
        self._flows: Image | None = None
        empty, name = np.zeros_like(self._found), f"{image.name} masks"
        self.layer = Labels(empty, name=name, metadata={layers.NDIM_MARK: ndim})
        self.layer.contour = contour
        lay_over(self.layer, image)
        viewer.add_layer(self.layer)
        self.layer.events.paint.connect(self._keep_rows)

    @property
    def is_shown(self) -> bool:
        """Whether the layer is still in the viewer, with data of the same kind."""
        data, found = self.layer.data, self._found
        same = isinstance(data, np.ndarray) and (data.shape, data.dtype) == (found.shape, found.dtype)
        return same and self.layer in self._viewer.layers

    def is_edited(self, indices: Sequence[Index]) -> bool:
        """Whether images were changed by hand."""
        return any(not np.array_equal(self.layer.data[index], self._found[index]) for index in indices)

    def write(self, indices: Sequence[Index], found: Sequence[ImageResult]) -> None:
        """Write masks into planes or volumes, with labels that occur in no other one."""
        data = self.layer.data
        is_all = len(indices) == layers.count_images(self.layer, self._ndim)
        for index in indices:
            data[index] = 0
        n = 0 if is_all else int(data.max(initial=0))
        tables = [] if self._table.empty else [self._table[~self._table["index"].isin(self._labels(indices))]]
        for index, image in zip(indices, found, strict=True):
            data[index] = np.where(image.masks > 0, image.masks + n, 0)
            self._found[index] = data[index]
            tables.append(self._rows(index, image, n))
            n += int(image.masks.max(initial=0))
        filled = [table for table in tables if not table.empty]
        self._table = pd.concat(filled, ignore_index=True) if filled else tables[-1]
        self.n_objects = sum(int(image.masks.max(initial=0)) for image in found)
        self.layer.data = data
        if is_all:
            self.layer.editable = False  # clears napari's undo history, which was that of other masks
            self.layer.editable = True
        self._keep_rows()
        self._write_flows(indices, found)

    def _labels(self, indices: Sequence[Index]) -> NDArray[Any]:
        """Return the labels that were found in images."""
        return np.unique(np.concatenate([np.unique(self._found[index]) for index in indices]))

    def _rows(self, index: Index, image: ImageResult, n: int) -> pd.DataFrame:
        """Return one row per object; napari finds rows by the column ``index``, and shows the others in order."""
        if not image.objects:
            return pd.DataFrame()
        names = sorted((name for name in image.objects if name != "label"), key=lambda name: name != "score")
        rows = {"index": image.objects["label"] + n, **{name: image.objects[name] for name in names}}
        titles = index_columns(len(index), self._ndim)
        size = image.objects["label"].size
        return pd.DataFrame(rows | {title: np.full(size, k) for title, k in zip(titles, index, strict=True)})

    def _keep_rows(self, _: Any = None) -> None:
        """Keep in the layer's table the rows of objects that were not changed by hand."""
        if self._table.empty or self.layer.data.shape != self._found.shape:
            self.layer.features = self._table
            return
        changed = self.layer.data != self._found
        touched = np.union1d(self._found[changed], self.layer.data[changed])
        self.layer.features = self._table[~self._table["index"].isin(touched)].reset_index(drop=True)

    def _write_flows(self, indices: Sequence[Index], found: Sequence[ImageResult]) -> None:
        if any(image.flows is None for image in found):
            return
        if self._flows is None or self._flows not in self._viewer.layers:
            empty = np.zeros((*self._found.shape, 3), dtype=np.uint8)
            name = f"{self._image.name} flows"
            self._flows = self._viewer.add_image(empty, name=name, rgb=True, metadata={layers.MARK: True})
            lay_over(self._flows, self._image)
            self._viewer.layers.move(len(self._viewer.layers) - 1, self._viewer.layers.index(self.layer))
            self._viewer.layers.selection.active = self.layer
        for index, image in zip(indices, found, strict=True):
            self._flows.data[index] = image.flows
        self._flows.refresh()


def lay_over(new: Any, layer: Image) -> None:
    """Place a layer where another lies."""
    new.scale, new.translate, new.rotate, new.shear = layer.scale, layer.translate, layer.rotate, layer.shear
    new.affine, new.units, new.axis_labels = layer.affine, layer.units, layer.axis_labels
