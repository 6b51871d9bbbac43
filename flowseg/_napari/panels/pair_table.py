"""The table of images and their masks to train on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from napari.layers import Image, Labels
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QAbstractItemView, QComboBox, QHeaderView, QTableWidget, QTableWidgetItem

from flowseg._napari import layers
from flowseg._napari.panels.spacing_edit import SpacingEdit
from flowseg._napari.training_samples import Pair

NOT_USED = "not used"
# Number of the column of spacings.
SPACING = 2


@dataclass(frozen=True)
class Row:
    """An image with the masks to choose from, and its widgets."""

    image: Image
    fitting: list[Labels]
    box: QComboBox
    spacing: SpacingEdit

    @property
    def masks(self) -> Labels | None:
        """The masks that the row's box shows; its first entry is none."""
        return self.fitting[self.box.currentIndex() - 1] if self.box.currentIndex() > 0 else None


class PairTable(QTableWidget):
    """One row for each image with masks of its shape."""

    changed = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__(0, SPACING + 1)
        self._viewer = viewer
        self.rows: list[Row] = []
        self._decided: list[Image] = []
        self.setHorizontalHeaderLabels(["Image", "Masks", "Spacing"])
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.verticalHeader().hide()
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setMinimumHeight(120)

    def show_spacings(self, is_shown: bool) -> None:
        """Show the column of spacings, for volumes."""
        self.setColumnHidden(SPACING, not is_shown)

    def chosen(self) -> list[Pair]:
        """Return the pairs of layers that the user wants to train on; raise ValueError where a spacing is none."""
        used = [(row, row.masks) for row in self.rows]
        return [
            Pair(row.image, masks, None if self.isColumnHidden(SPACING) else row.spacing.spacing())
            for row, masks in used
            if masks is not None
        ]

    def refresh(self) -> None:
        """Update the rows."""
        self._decided = [image for image in self._decided if image in self._viewer.layers]
        before = {row.image: row.masks for row in self.rows if row.masks is not None or row.image in self._decided}
        entered = {row.image: row.spacing.text() for row in self.rows if row.spacing.is_entered}
        all_masks = layers.labels(self._viewer)
        fitting = [
            (image, [m for m in all_masks if layers.shape(m) == layers.shape(image)])
            for image in layers.images(self._viewer)
        ]
        fitting = [(image, masks) for image, masks in fitting if masks]
        self.setRowCount(0)  # also removes the widgets
        self.setRowCount(len(fitting))
        self.rows = []
        for image, masks in fitting:
            row = Row(image, masks, QComboBox(), SpacingEdit())
            choice = before[image] if image in before else _guess(image, masks, is_only=len(fitting) == 1)
            self._fill(row, choice, entered.get(image))
        self.changed.emit()

    def _fill(self, row: Row, choice: Labels | None, entered: str | None) -> None:
        """Add a row."""
        row.box.addItems([NOT_USED, *(masks.name for masks in row.fitting)])
        row.box.setCurrentIndex(row.fitting.index(choice) + 1 if choice in row.fitting else 0)
        row.box.activated.connect(partial(self._decide, row.image))
        row.spacing.follow(row.image)
        if entered is not None:
            row.spacing.enter(entered)
        k = len(self.rows)
        self.setItem(k, 0, QTableWidgetItem(row.image.name))
        self.setCellWidget(k, 1, row.box)
        self.setCellWidget(k, SPACING, row.spacing)
        self.rows.append(row)

    def _decide(self, image: Image, _: int) -> None:
        """Note that the user has chosen masks for an image, or not to use it."""
        self._decided.append(image)
        self.changed.emit()


def _guess(image: Image, masks: list[Labels], *, is_only: bool) -> Labels | None:
    """Return the masks whose name is closest to that of an image; for a single image any masks."""
    named = [m for m in masks if m.name.startswith(image.name)]
    return min(named, key=lambda m: len(m.name)) if named else masks[0] if is_only else None
