"""The panel to correct masks with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from napari.layers import Labels
from napari.utils.notifications import show_warning
from qtpy.QtWidgets import (
    QCheckBox,
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
from flowseg._napari.image_kinds import PLANE, VOLUME
from flowseg._napari.line_tool import LineTool
from flowseg._napari.panels.layer_box import LayerBox

NEW, MERGE, SPLIT, DELETE = "New object", "Merge", "Split", "Delete"
FLAT = "flat"
HINTS = {
    NEW: "Paint the new object; others are not painted over. Press again for the next one.",
    MERGE: "Draw a line over the objects to merge.",
    SPLIT: "Draw a line across the object, from border to border.",
    DELETE: "Click on an object, or draw a line over several.",
    FLAT: "Show the layer in 2-D to correct it: in 3-D a line has no depth.",
    "": "Choose a tool; napari's brush, eraser and fill work as well.",
}
# With objects of volumes.
HINTS_3D = {
    NEW: "Paint the new object plane by plane, or in all at once with n edit dim 3; others are not painted over.",
    SPLIT: "Draw a line across the object: it cuts all planes, like a knife.",
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
        self.through = QCheckBox("Objects extend over planes")
        self.through.setToolTip("Split cuts an object in all planes of a volume; otherwise in the plane that is shown")
        self.through.toggled.connect(self.leave_tools)
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
        viewer.dims.events.ndisplay.connect(self._allow_tools)
        self.undo.clicked.connect(lambda: self._step_history("undo"))
        self.redo.clicked.connect(lambda: self._step_history("redo"))
        self._lay_out()

    def _lay_out(self) -> None:
        self._form = form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Masks", self.masks)
        form.addRow("", self.through)
        form.setRowVisible(self.through, False)
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
        self.hint.setText(HINTS[self._state])

    @property
    def _state(self) -> str:
        """State of the tools where none is used: they need a plane."""
        return FLAT if self._viewer.dims.ndisplay > PLANE else ""

    def _allow_tools(self) -> None:
        """Allow tools that draw where the viewer shows a plane."""
        self.leave_tools()
        for button in self.buttons.values():
            button.setEnabled(not self._state)
            button.setToolTip(HINTS[FLAT] if self._state else "")

    def _hint(self, name: str) -> str:
        return HINTS_3D.get(name, HINTS[name]) if self.through.isChecked() else HINTS[name]

    def _new(self) -> None:
        with showing_errors():
            layer = self._layer()
            label = label_edits.next_label(layer)
            self.leave_tools()
            self._viewer.layers.selection.active = layer
            layer.preserve_labels = True
            layer.selected_label = label
            layer.mode = "paint"
            self.hint.setText(self._hint(NEW))

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
                    self.hint.setText(self._hint(name))

        self.buttons[name].clicked.connect(press)

    def _merge(self, layer: Labels, path: label_edits.Index, _: tuple[int, int]) -> str:
        return label_edits.merge(layer, path)

    def _split(self, layer: Labels, path: label_edits.Index, axes: tuple[int, int]) -> str:
        return label_edits.split(layer, path, axes, through=self.through.isChecked())

    def _delete(self, layer: Labels, path: label_edits.Index, _: tuple[int, int]) -> str:
        return label_edits.erase(layer, path)

    def _step_history(self, direction: str) -> None:
        with showing_errors():
            layer = self._layer()
            layer.undo() if direction == "undo" else layer.redo()
            layer.events.paint(value=[])  # updates the table

    def _change_layer(self) -> None:
        self.leave_tools()
        layer = self.masks.layer()
        self._form.setRowVisible(self.through, layer is not None and layer.ndim >= VOLUME)
        self.through.setChecked(layer is not None and layer.metadata.get(layers.NDIM_MARK) == VOLUME)
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
        extra = self._viewer.dims.ndim - layer.ndim
        hidden = [axis for axis in self._viewer.dims.not_displayed if axis >= extra]
        world = layer.data_to_world(find_middle(layer, label, [axis - extra for axis in hidden]))
        for axis in hidden:
            self._viewer.dims.set_point(axis, world[axis - extra])
        shown = [world[axis - extra] for axis in self._viewer.dims.displayed if axis >= extra]
        self._viewer.scene.camera.center = tuple([0.0] * (3 - len(shown)) + [float(x) for x in shown])
        layer.selected_label = label


def find_middle(layer: Labels, label: int, hidden: Sequence[int]) -> list[float]:
    """Return the middle of an object: in the plane, across the hidden axes, that shows most of it."""
    place = np.nonzero(np.asarray(layer.data) == label)
    for axis in hidden:
        here = place[axis] == np.bincount(place[axis]).argmax()
        place = tuple(k[here] for k in place)
    return [float(np.median(k)) for k in place]
