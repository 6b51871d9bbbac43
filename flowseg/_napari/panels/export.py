"""The panel to export masks to files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari.layers import Image, Labels
from napari.utils.notifications import show_info
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from flowseg._napari import layers
from flowseg._napari.error_notifications import showing_errors
from flowseg._napari.export_files import KINDS, Export, Stack, guess_stack, safe_name
from flowseg._napari.image_kinds import PLANE, VOLUME
from flowseg._napari.panels.layer_box import LayerBox

# In micrometers; the minimum, 0, means that the size is not known.
MAX_PIXEL_SIZE = 10000.0
# Most files that are named in the question before they are replaced.
MOST_NAMED = 5


class ExportPanel(QWidget):
    """Choose masks and kinds of files, and write them."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self.masks = LayerBox(viewer, layers.labels)
        self.image = LayerBox(viewer, self._fitting)
        self.name = QLineEdit()
        self.stack = QComboBox()
        for stack in Stack:
            self.stack.addItem(stack.value, stack)
        self.stack.setToolTip("A volume is one TIFF with the distance of its planes, and is measured in 3-D")
        self.depth_, self.height_, self.width_ = _pixel_size_box(), _pixel_size_box(), _pixel_size_box()
        self._by = QLabel("by")
        self.kinds = {kind: QCheckBox(title) for kind, title in KINDS.items()}
        self.kinds["tif"].setChecked(True)
        self.run = QPushButton("Export…")
        self.run.clicked.connect(self._ask_where)
        self.masks.currentIndexChanged.connect(self._change_masks)
        self.image.currentIndexChanged.connect(self._change_name)
        self.stack.currentIndexChanged.connect(self._show_depth)
        self._named = ""
        self._lay_out()
        self._change_masks()

    def _lay_out(self) -> None:
        self._form = form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Masks", self.masks)
        form.addRow("Image", self.image)
        form.addRow("Axes are", self.stack)
        form.addRow("Name", self.name)
        size = QHBoxLayout()
        for widget in (self.depth_, self._by, self.height_, QLabel("by"), self.width_, QLabel("µm")):
            size.addWidget(widget)
        form.addRow("Pixel size", size)
        box = QGroupBox("Files")
        rows = QVBoxLayout(box)
        for check in self.kinds.values():
            rows.addWidget(check)
        hint = QLabel(
            "The image is for intensities in the table and for the picture. Flowseg asks before it replaces a file."
        )
        hint.setWordWrap(True)
        column = QVBoxLayout(self)
        column.addLayout(form)
        for widget in (box, hint, self.run):
            column.addWidget(widget)
        column.addStretch()

    def _fitting(self, viewer: Any) -> list[Image]:
        """Images of the shape of the masks."""
        masks = self.masks.layer()
        wanted = None if masks is None else layers.shape(masks)
        return [image for image in layers.images(viewer) if layers.shape(image) == wanted]

    def refresh(self) -> None:
        """Update the layers to choose from."""
        self.masks.refresh()
        self.image.refresh()

    def _change_masks(self) -> None:
        self.image.refresh()
        masks = self.masks.layer()
        if masks is not None:
            named = [k for k, image in enumerate(self.image.layers) if masks.name.startswith(image.name)]
            self.image.setCurrentIndex(named[0] if named else self.image.currentIndex())
            ndim = min(len(layers.shape(masks)), VOLUME)
            size = layers.spacing(masks, ndim) or layers.spacing(masks, PLANE) or ()
            sizes = (0.0, 0.0, 0.0, *size)[-VOLUME:]
            for box, length in zip((self.depth_, self.height_, self.width_), sizes, strict=True):
                box.setValue(length)
            self.stack.setCurrentIndex(self.stack.findData(guess_stack(masks)))
        self._form.setRowVisible(self.stack, masks is not None and len(layers.shape(masks)) > PLANE)
        self._change_name()
        self._show_depth()

    def _show_depth(self) -> None:
        """Show the distance of planes, for volumes."""
        for widget in (self.depth_, self._by):
            widget.setVisible(self.stack.currentData() is Stack.VOLUME)

    def _change_name(self) -> None:
        """Name files after the image, unless the user has named them."""
        layer = self.image.layer() or self.masks.layer()
        if layer is not None and self.name.text() in ("", self._named):
            self._named = safe_name(layer.name)
            self.name.setText(self._named)

    def _ask_where(self) -> None:
        with showing_errors():
            self._layer()
            folder = QFileDialog.getExistingDirectory(self, "Export to a folder")
            if folder:
                self.export_to(folder)

    def _layer(self) -> Labels:
        layer = self.masks.layer()
        if layer is None:
            raise ValueError("Open masks to export; there is no Labels layer.")
        return layer

    def _size(self) -> tuple[float, ...] | None:
        """Return the size of a pixel, of volumes with the distance of planes; None if it is not known."""
        is_volume = self.stack.currentData() is Stack.VOLUME
        boxes = (self.depth_, self.height_, self.width_) if is_volume else (self.height_, self.width_)
        size = tuple(box.value() for box in boxes)
        if 0 in size and any(size):
            parts = "a height and a width, or neither"
            if is_volume:
                parts = "a distance of planes, a height and a width, or none"
            raise ValueError(f"The pixel size must have {parts} of them; one is not known.")
        return size if all(size) else None

    def export_to(self, folder: str) -> None:
        """Write the chosen kinds of files; ask before one is replaced."""
        with showing_errors():
            stack = self.stack.currentData()
            export = Export(self._layer(), self.image.layer(), Path(folder), self.name.text(), self._size(), stack)
            kinds = [kind for kind, check in self.kinds.items() if check.isChecked()]
            files = export.files(kinds)
            if self._may_replace([file.name for file in files if file.exists()]):
                export.write(kinds)
                show_info(f"{files[0].name if len(files) == 1 else f'{len(files)} files'} written to {folder}")

    def _may_replace(self, names: Sequence[str]) -> bool:
        if not names:
            return True
        text = "\n".join([*names[:MOST_NAMED], *(["…"] if len(names) > MOST_NAMED else [])])
        which = "this file" if len(names) == 1 else f"these {len(names)} files"
        buttons = QMessageBox.StandardButton
        answer = QMessageBox.question(
            self, "Replace files?", f"Replace {which}?\n\n{text}", buttons.Yes | buttons.No, buttons.No
        )
        return bool(answer == buttons.Yes)


def _pixel_size_box() -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(0, MAX_PIXEL_SIZE)
    box.setDecimals(4)
    box.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
    box.setSpecialValueText("unknown")
    return box
