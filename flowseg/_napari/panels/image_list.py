"""A list of the image layers, to check those to work on."""

from __future__ import annotations

from typing import Any

from napari.layers import Image
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QListWidget, QListWidgetItem

from flowseg._napari import layers

# Height of the list, in pixels of the screen.
HEIGHT = 120


class ImageList(QListWidget):
    """Check image layers; new ones are checked."""

    changed = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._layers: list[Image] = []
        self.setMinimumHeight(HEIGHT)
        self.itemChanged.connect(lambda _: self.changed.emit())

    def chosen(self) -> list[Image]:
        """Return the layers that are checked."""
        return [layer for k, layer in enumerate(self._layers) if self.item(k).checkState() == Qt.CheckState.Checked]

    def check(self, layer: Image, *, is_on: bool) -> None:
        """Check a layer, or leave it out."""
        self.item(self._layers.index(layer)).setCheckState(Qt.CheckState.Checked if is_on else Qt.CheckState.Unchecked)

    def refresh(self) -> None:
        """Update layers and names; the choice stays."""
        chosen = self.chosen()
        left_out = [layer for layer in self._layers if layer not in chosen]
        self.blockSignals(True)
        self.clear()
        self._layers = layers.images(self._viewer)
        for layer in self._layers:
            n = layers.count_images(layer)
            item = QListWidgetItem(f"{layer.name} ({n} planes)" if n > 1 else layer.name, self)
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Unchecked if layer in left_out else Qt.CheckState.Checked)
        self.blockSignals(False)
        self.changed.emit()
