"""A box to choose a layer, which follows the layers of the viewer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtWidgets import QComboBox


class LayerBox(QComboBox):
    """Choose one of the layers that a function returns."""

    def __init__(self, viewer: Any, wanted: Callable[[Any], list[Any]]) -> None:
        super().__init__()
        self._viewer, self._wanted = viewer, wanted
        self.layers: list[Any] = []
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)  # a long name must not widen the viewer's side

    def layer(self) -> Any:
        """Return the chosen layer, or None if there are no layers."""
        return self.layers[self.currentIndex()] if self.layers else None

    def choose(self, layer: Any) -> None:
        """Choose a layer, if it is among them."""
        if layer in self.layers:
            self.setCurrentIndex(self.layers.index(layer))

    def refresh(self) -> None:
        """Update layers and names; the choice stays if it can."""
        chosen, before = self.layer(), len(self.layers)
        self.blockSignals(True)
        self.layers = self._wanted(self._viewer)
        self.clear()
        self.addItems([layer.name for layer in self.layers])
        self.choose(chosen)
        self.blockSignals(False)
        if self.layer() != chosen or before != len(self.layers):
            self.currentIndexChanged.emit(self.currentIndex())
