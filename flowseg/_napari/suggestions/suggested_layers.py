"""Layers of suggestions: masks to correct, one layer for each image layer, and the box."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image, Labels, Shapes

from flowseg._labels.numbering import NOT_ANNOTATED
from flowseg._napari import layers
from flowseg._napari.image_kinds import PLANE, Index
from flowseg._napari.result_layers import lay_over
from flowseg._napari.suggestions import pixels_not_annotated
from flowseg._napari.suggestions.found_boxes import FoundBox, fill_in, is_annotated
from flowseg._suggest.boxes import Box

BOX_NAME = "flowseg box"
BOX_COLOR = "yellow"
# Width of its edges in pixels of the screen, and the share of the canvas that it takes.
BOX_WIDTH, SHARE = 2.0, 0.6
# Pixels have their centers at whole numbers.
HALF = 0.5


class SuggestedMasks:
    """Labels layers with the predicted objects of the boxes; what is annotated in them is never changed.

    Parameters
    ----------
    viewer : napari.Viewer
        Viewer to add the layers to.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layers: dict[Image, Labels] = {}

    def of(self, image: Image) -> Labels | None:
        """Return the layer of an image layer, if it is still there, with data of the same kind."""
        masks = self._layers.get(image)
        if masks is None or masks not in self._viewer.layers or not isinstance(masks.data, np.ndarray):
            return None
        return masks if (masks.data.shape, masks.data.dtype) == (layers.shape(image), np.int32) else None

    def is_annotated(self, image: Image, index: Index, box: Box) -> bool:
        """Return whether most of a box is annotated in the layer."""
        masks = self.of(image)
        return masks is not None and is_annotated(masks.data[index], box)

    def add(self, image: Image, index: Index, found: FoundBox) -> Labels:
        """Add the objects of a box to a plane, where nothing is annotated, with labels that occur in no other plane."""
        masks = self.of(image) or self._new(image)
        first = int(masks.data.max(initial=0)) + 1
        masks.data[index] = fill_in(masks.data[index], found.part, first)
        pixels_not_annotated.color_objects(masks)
        masks.refresh()
        return masks

    def show_only(self, image: Image, images: tuple[Image, ...]) -> None:
        """Hide other images, and their masks: they would lie over this one."""
        for other in images:
            for layer in filter(None, (other, self.of(other))):
                layer.visible = other is image

    def _new(self, image: Image) -> Labels:
        self._layers = {other: masks for other, masks in self._layers.items() if other in self._viewer.layers}
        empty = np.full(layers.shape(image), NOT_ANNOTATED, dtype=np.int32)
        metadata = {layers.NDIM_MARK: PLANE, pixels_not_annotated.MARK: True}
        masks = Labels(empty, name=f"{image.name} suggested masks", metadata=metadata)
        lay_over(masks, image)
        self._viewer.add_layer(masks)
        self._layers[image] = masks
        return masks


class BoxLayer:
    """A Shapes layer with the box that is suggested.

    Parameters
    ----------
    viewer : napari.Viewer
        Viewer to add the layer to.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layer: Shapes | None = None

    def show(self, image: Image, index: Index, box: Box) -> None:
        """Show a box of a plane, and go there."""
        viewer = self._viewer
        if self._layer is not None and self._layer in viewer.layers:
            viewer.layers.remove(self._layer)
        rows, columns = (box.min_row - HALF, box.max_row - HALF), (box.min_col - HALF, box.max_col - HALF)
        corners = [(*index, rows[i], columns[j]) for i, j in ((0, 0), (0, 1), (1, 1), (1, 0))]
        world = np.array([image.data_to_world(corner) for corner in corners])
        extra = viewer.dims.ndim - world.shape[1]
        for axis in range(len(index)):
            viewer.dims.set_point(axis + extra, world[0, axis])
        camera, places = viewer.scene.camera, world[:, -PLANE:]
        camera.center = (0.0, *places.mean(axis=0).tolist())
        camera.zoom = SHARE * float((np.array(viewer.canvas.size) / np.ptp(places, axis=0)).min())
        self._layer = Shapes(
            [np.array(corners)],
            shape_type="rectangle",
            edge_width=BOX_WIDTH / (camera.zoom * abs(float(image.scale[-1]))),
            edge_color=BOX_COLOR,
            face_color="transparent",
            name=BOX_NAME,
        )
        lay_over(self._layer, image)
        viewer.add_layer(self._layer)


def check_shows_planes(viewer: Any) -> None:
    """Refuse a viewer that shows a volume, or sections across other axes: a box lies in a plane."""
    dims = viewer.dims
    if {*dims.displayed} != {dims.ndim - 2, dims.ndim - 1}:
        raise ValueError(
            "The viewer must show the last two axes, rows and columns, in 2-D to show a box; it shows others: switch "
            "back."
        )
