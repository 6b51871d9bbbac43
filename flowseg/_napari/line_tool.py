"""A mouse tool: a line drawn over the objects of a Labels layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from flowseg._napari import label_edits

# Called with a layer, the pixels under a line, and the two axes that are displayed.
Use = Callable[[Labels, label_edits.Index, tuple[int, int]], None]

# Appearance of the line while it is drawn.
LINE_COLOR = "yellow"
LINE_WIDTH = 2.0  # pixels of the screen
LINE_NAME = "flowseg line"
LEFT_BUTTON = 1


class LineTool:
    """Lets the user draw a line on a Labels layer, and calls a function with it; the camera does not move.

    Parameters
    ----------
    viewer : napari.Viewer
        Viewer whose active layer is drawn on.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layer: Labels | None = None
        self._use: Use | None = None

    def take(self, layer: Labels, use: Use) -> None:
        """Start drawing on a layer."""
        self.leave()
        self._viewer.layers.selection.active = layer
        layer.mode = "pan_zoom"
        layer.mouse_pan = False
        self._layer, self._use = layer, use
        self._viewer.mouse_drag_callbacks.append(self._drag)

    def leave(self) -> None:
        """Stop drawing."""
        if self._layer is not None:
            self._viewer.mouse_drag_callbacks.remove(self._drag)
            self._layer.mouse_pan = self._layer.mode == "pan_zoom"
        self._layer = self._use = None

    def _drag(self, viewer: Any, event: Any) -> Iterator[None]:
        layer, use = self._layer, self._use
        if layer is None or use is None or viewer.layers.selection.active != layer:
            return
        if event.button != LEFT_BUTTON or event.modifiers or len(event.dims_displayed) != 2:
            return
        extra = viewer.dims.ndim - layer.ndim
        rows, columns = sorted(axis - extra for axis in event.dims_displayed)
        if rows < 0:
            return
        world, points = [event.position], [np.asarray(layer.world_to_data(event.position))]
        shown = None
        yield
        while event.type == "mouse_move":
            world.append(event.position)
            points.append(np.asarray(layer.world_to_data(event.position)))
            shown = self._show(shown, world, layer)
            yield
        if shown is not None:
            viewer.layers.remove(shown)
            viewer.layers.selection.active = layer
        use(layer, label_edits.pixels_on_line(layer, points, (rows, columns)), (rows, columns))

    def _show(self, shown: Any, world: list[Any], layer: Labels) -> Any:
        """Draw the line so far, in a layer of its own; as points, because growing paths crash software OpenGL."""
        width = LINE_WIDTH / self._viewer.scene.camera.zoom
        points = _points_along(np.array(world), width / 2)
        if shown is None:
            shown = self._viewer.add_points(points, size=width, face_color=LINE_COLOR, border_width=0, name=LINE_NAME)
        else:
            shown.data = points
        self._viewer.layers.selection.active = layer
        return shown


def _points_along(corners: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Return points on the line through ``corners``, at most ``step`` apart."""
    so_far = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
    places = np.linspace(0.0, so_far[-1], int(np.ceil(so_far[-1] / step)) + 1)
    return np.stack([np.interp(places, so_far, axis) for axis in corners.T], axis=-1)
