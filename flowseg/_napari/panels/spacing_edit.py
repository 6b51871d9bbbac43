"""A field for the spacing of a layer: its scale, until the user enters another."""

from __future__ import annotations

import re
from typing import Any

from napari.layers import Image, Labels
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLineEdit

from flowseg import _checks
from flowseg._napari import layers
from flowseg._napari.image_kinds import VOLUME

# What may stand between two numbers.
BETWEEN = r"[\s,;x]+"


class SpacingEdit(QLineEdit):
    """Distance of pixels along planes, rows and columns; an empty field stands for an unknown one."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._layer: Image | Labels | None = None
        self.is_entered = False  # by the user
        self.setPlaceholderText("not given")
        self.setToolTip("Distance of planes, of rows and of columns, from the layer's scale; empty: it is not known")
        self.textEdited.connect(self._enter)
        self.textChanged.connect(lambda _: self.changed.emit())

    def follow(self, layer: Image | Labels | None) -> None:
        """Take the scale of another layer, and follow it."""
        if layer is not self._layer:
            self._layer, self.is_entered = layer, False
            if layer is not None:
                layer.events.scale.connect(self._fill)
                layer.events.units.connect(self._fill)
        self._fill()

    def spacing(self) -> tuple[float, ...] | None:
        """Return the spacing, or raise ValueError where the text is none."""
        words = [word for word in re.split(BETWEEN, self.text()) if word]
        if not words:
            return None
        try:
            return tuple(_checks.as_spacing([float(word) for word in words], VOLUME).tolist())
        except ValueError:
            raise ValueError(
                f"Spacing must be three numbers above 0, of planes, rows and columns, or empty; got '{self.text()}'."
            ) from None

    def enter(self, text: str) -> None:
        """Set the text as if the user had entered it."""
        self.is_entered = True
        self.setText(text)

    def _enter(self) -> None:
        self.is_entered = True

    def _fill(self, event: Any = None) -> None:
        if self.is_entered or (event is not None and event.source is not self._layer):
            return
        known = self._layer is not None and len(layers.shape(self._layer)) >= VOLUME
        spacing = layers.spacing(self._layer, VOLUME) if known else None
        self.setText("" if spacing is None else ", ".join(f"{length:.6g}" for length in spacing))
