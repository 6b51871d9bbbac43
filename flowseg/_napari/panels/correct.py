"""The panel to correct masks with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.layers import Labels
from napari.utils.notifications import show_warning
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from flowseg._napari import doubtful_objects, label_edits, layers
from flowseg._napari.error_notifications import showing_errors
from flowseg._napari.line_tool import LineTool
from flowseg._napari.panels.layer_box import LayerBox

NEW, MERGE, SPLIT, DELETE = "New object", "Merge", "Split", "Delete"
HINTS = {
    NEW: "Paint the new object; others are not painted over. Press again for the next one.",
    MERGE: "Draw a line over the objects to merge.",
    SPLIT: "Draw a line across the object, from border to border.",
    DELETE: "Click on an object, or draw a line over several.",
    "": "Choose a tool; napari's brush, eraser and fill work as well.",
}
NO_COLORS = "one color per object"


class CorrectPanel(QWidget):
    """Correct a Labels layer by hand, and show which of its objects are doubtful."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._tool = LineTool(viewer)
        self._doubtful: list[int] = []
        self.masks = LayerBox(viewer, layers.labels)
        self.masks.currentIndexChanged.connect(self._change_layer)
        self.buttons = {name: QPushButton(name) for name in (NEW, MERGE, SPLIT, DELETE)}
        self.undo, self.redo = QPushButton("Undo"), QPushButton("Redo")
        self.hint = QLabel(HINTS[""])
        self.hint.setWordWrap(True)
        self.colors = QComboBox()
        self.colors.addItem(NO_COLORS, None)
        for column, (title, _) in doubtful_objects.COLUMNS.items():
            self.colors.addItem(f"{title}: dark is doubtful", column)
        self.colors.currentIndexChanged.connect(self._color)
        self.next = QPushButton("Go to the next doubtful object")
        self.next.clicked.connect(self._go_to_next)
        self.place = QLabel("")
        for name, button in self.buttons.items():
            button.setCheckable(name != NEW)
        self.buttons[NEW].clicked.connect(self._new)
        for name, use in ((MERGE, self._merge), (SPLIT, self._split), (DELETE, self._delete)):
            self._connect(name, use)
        self.undo.clicked.connect(lambda: self._step_history("undo"))
        self.redo.clicked.connect(lambda: self._step_history("redo"))
        self._lay_out()

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Masks", self.masks)
        grid = QGridLayout()
        for k, button in enumerate([*self.buttons.values(), self.undo, self.redo]):
            grid.addWidget(button, k // 2, k % 2)
        box = QGroupBox("Doubtful objects")
        rows = QVBoxLayout(box)
        line = QHBoxLayout()
        line.addWidget(QLabel("Color by"))
        line.addWidget(self.colors, stretch=1)
        rows.addLayout(line)
        rows.addWidget(self.next)
        rows.addWidget(self.place)
        column = QVBoxLayout(self)
        column.addLayout(form)
        column.addLayout(grid)
        column.addWidget(self.hint)
        column.addWidget(box)
        column.addStretch()

    def _layer(self) -> Labels:
        layer = self.masks.layer()
        if layer is None:
            raise ValueError("Open masks to correct; there is no Labels layer.")
        return layer

    def leave_tools(self) -> None:
        """Stop the tool that is in use."""
        self._tool.leave()
        for button in self.buttons.values():
            button.setChecked(False)
        self.hint.setText(HINTS[""])

    def _new(self) -> None:
        with showing_errors():
            layer = self._layer()
            label = label_edits.next_label(layer)
            self.leave_tools()
            self._viewer.layers.selection.active = layer
            layer.preserve_labels = True
            layer.selected_label = label
            layer.mode = "paint"
            self.hint.setText(HINTS[NEW])

    def _connect(self, name: str, use: Callable[[Labels, label_edits.Index, tuple[int, int]], str]) -> None:
        """Let a button start the line tool for one kind of correction."""

        def use_line(layer: Labels, path: label_edits.Index, axes: tuple[int, int]) -> None:
            with showing_errors():
                remark = use(layer, path, axes)
                if remark:
                    show_warning(remark)

        def press(is_on: bool) -> None:
            self.leave_tools()
            if is_on:
                with showing_errors():
                    layer = self._layer()
                    label_edits.check_editable(layer)
                    self._tool.take(layer, use_line)
                    layer.events.mode.connect(self.leave_tools)
                    self.buttons[name].setChecked(True)
                    self.hint.setText(HINTS[name])

        self.buttons[name].clicked.connect(press)

    def _merge(self, layer: Labels, path: label_edits.Index, _: tuple[int, int]) -> str:
        return label_edits.merge(layer, path)

    def _split(self, layer: Labels, path: label_edits.Index, axes: tuple[int, int]) -> str:
        return label_edits.split(layer, path, axes)

    def _delete(self, layer: Labels, path: label_edits.Index, _: tuple[int, int]) -> str:
        return label_edits.erase(layer, path)

    def _step_history(self, direction: str) -> None:
        with showing_errors():
            layer = self._layer()
            layer.undo() if direction == "undo" else layer.redo()
            layer.events.paint(value=[])  # updates the table

    def _change_layer(self) -> None:
        self.leave_tools()
        self.colors.blockSignals(True)
        self.colors.setCurrentIndex(0)
        self.colors.blockSignals(False)
        self._doubtful = []
        self.place.clear()

    def _color(self) -> None:
        with showing_errors():
            layer = self._layer()
            try:
                doubtful_objects.color_by(layer, self.colors.currentData())
            except ValueError:
                self.colors.setCurrentIndex(0)
                raise
            layer.events.features.connect(self._recolor)

    def _recolor(self) -> None:
        """Color the objects again after they have changed."""
        if self.colors.currentData() is not None:
            self._color()

    def _go_to_next(self) -> None:
        with showing_errors():
            layer = self._layer()
            column, order = doubtful_objects.doubtful_first(layer)
            seen = set(self._doubtful)
            left = [label for label in order if label not in seen]
            if not left:
                self._doubtful = []
                raise ValueError(f"All objects of layer '{layer.name}' have been shown; press again to start over.")
            self._doubtful.append(left[0])
            self._show(layer, left[0])
            value = layer.features.loc[layer.features["index"] == left[0], column].iloc[0]
            self.place.setText(
                f"object {left[0]}, {doubtful_objects.COLUMNS[column][0]} {value:.2f}; {len(left) - 1} more"
            )

    def _show(self, layer: Labels, label: int) -> None:
        """Center the viewer on an object."""
        middle = [float(np.median(axis)) for axis in np.nonzero(np.asarray(layer.data) == label)]
        world = layer.data_to_world(middle)
        extra = self._viewer.dims.ndim - layer.ndim
        for axis in self._viewer.dims.not_displayed:
            if axis >= extra:
                self._viewer.dims.set_point(axis, world[axis - extra])
        shown = [world[axis - extra] for axis in self._viewer.dims.displayed if axis >= extra]
        self._viewer.scene.camera.center = tuple([0.0] * (3 - len(shown)) + [float(x) for x in shown])
        layer.selected_label = label
