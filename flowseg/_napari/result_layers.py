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
from flowseg._napari.layers import Index


@dataclass(frozen=True)
class PlaneResult:
    """Results of one plane."""

    masks: NDArray[np.int32]
    objects: dict[str, NDArray[Any]]  # columns; none for a model without flows
    flows: NDArray[np.uint8] | None  # as colors


def read_plane(path: Path) -> PlaneResult:
    """Read the results of a plane from the worker's file."""
    arrays = load_file(path)
    objects = {name.removeprefix("object_"): array for name, array in arrays.items() if name.startswith("object_")}
    return PlaneResult(arrays["masks"], objects, arrays.get("flows"))


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
    """

    def __init__(self, viewer: Any, image: Image, contour: int) -> None:
        self._viewer, self._image = viewer, image
        self._found = np.zeros(layers.shape(image), dtype=np.int32)
        self._table = pd.DataFrame()
        self.n_objects = 0  # in the planes that were written last
        self._flows: Image | None = None
        self.layer: Labels = viewer.add_labels(np.zeros_like(self._found), name=f"{image.name} masks")
        self.layer.contour = contour
        _lay_over(self.layer, image)
        self.layer.events.paint.connect(self._keep_rows)

    @property
    def is_shown(self) -> bool:
        """Whether the layer is still in the viewer, with data of the same kind."""
        data, found = self.layer.data, self._found
        same = isinstance(data, np.ndarray) and (data.shape, data.dtype) == (found.shape, found.dtype)
        return same and self.layer in self._viewer.layers

    def is_edited(self, planes: Sequence[Index]) -> bool:
        """Whether planes were changed by hand."""
        return any(not np.array_equal(self.layer.data[index], self._found[index]) for index in planes)

    def write(self, planes: Sequence[Index], found: Sequence[PlaneResult]) -> None:
        """Write masks into planes, with labels that occur in no other plane."""
        data = self.layer.data
        for index in planes:
            data[index] = 0
        n = int(data.max(initial=0)) if len(planes) < layers.count_planes(self.layer) else 0
        tables = [] if self._table.empty else [self._table[~self._table["index"].isin(self._labels(planes))]]
        for index, plane in zip(planes, found, strict=True):
            data[index] = np.where(plane.masks > 0, plane.masks + n, 0)
            self._found[index] = data[index]
            tables.append(self._rows(index, plane, n))
            n += int(plane.masks.max(initial=0))
        filled = [table for table in tables if not table.empty]
        self._table = pd.concat(filled, ignore_index=True) if filled else tables[-1]
        self.n_objects = sum(int(plane.masks.max(initial=0)) for plane in found)
        self.layer.data = data
        if len(planes) == layers.count_planes(self.layer):
            self.layer.editable = False  # clears napari's undo history, which was that of other masks
            self.layer.editable = True
        self._keep_rows()
        self._write_flows(planes, found)

    def _labels(self, planes: Sequence[Index]) -> NDArray[Any]:
        """Return the labels that were found in planes."""
        return np.unique(np.concatenate([np.unique(self._found[index]) for index in planes]))

    def _rows(self, index: Index, plane: PlaneResult, n: int) -> pd.DataFrame:
        """Return one row per object; napari finds rows by the column ``index``, and shows the others in order."""
        if not plane.objects:
            return pd.DataFrame()
        names = sorted((name for name in plane.objects if name != "label"), key=lambda name: name != "score")
        rows = {"index": plane.objects["label"] + n, **{name: plane.objects[name] for name in names}}
        titles = layers.plane_columns(len(index))
        size = plane.objects["label"].size
        return pd.DataFrame(rows | {title: np.full(size, k) for title, k in zip(titles, index, strict=True)})

    def _keep_rows(self, _: Any = None) -> None:
        """Keep in the layer's table the rows of objects that were not changed by hand."""
        if self._table.empty or self.layer.data.shape != self._found.shape:
            self.layer.features = self._table
            return
        changed = self.layer.data != self._found
        touched = np.union1d(self._found[changed], self.layer.data[changed])
        self.layer.features = self._table[~self._table["index"].isin(touched)].reset_index(drop=True)

    def _write_flows(self, planes: Sequence[Index], found: Sequence[PlaneResult]) -> None:
        if any(plane.flows is None for plane in found):
            return
        if self._flows is None or self._flows not in self._viewer.layers:
            empty = np.zeros((*self._found.shape, 3), dtype=np.uint8)
            name = f"{self._image.name} flows"
            self._flows = self._viewer.add_image(empty, name=name, rgb=True, metadata={layers.MARK: True})
            _lay_over(self._flows, self._image)
            self._viewer.layers.move(len(self._viewer.layers) - 1, self._viewer.layers.index(self.layer))
            self._viewer.layers.selection.active = self.layer
        for index, plane in zip(planes, found, strict=True):
            self._flows.data[index] = plane.flows
        self._flows.refresh()


def _lay_over(new: Any, layer: Image) -> None:
    """Place a layer where another lies."""
    new.scale, new.translate, new.rotate, new.shear = layer.scale, layer.translate, layer.rotate, layer.shear
    new.affine, new.units = layer.affine, layer.units
