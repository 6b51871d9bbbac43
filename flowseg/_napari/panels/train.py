"""The panel to train models."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils.notifications import show_info
from numpy.typing import NDArray
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from flowseg._napari import layers
from flowseg._napari.error_notifications import showing_errors
from flowseg._napari.job_messages import NEW_NETWORK, NEW_NETWORKS, Message, TrainJob
from flowseg._napari.model_choice import ModelRow, Models, pretrained_title
from flowseg._napari.model_info import Model
from flowseg._napari.worker_process import WorkerProcess
from flowseg._system import files

# Epochs that show whether training works, and the most that can be set.
EPOCHS, MAX_EPOCHS = 10, 1000
NOT_USED = "not used"
# The pretrained model that a training starts from.
PRETRAINED = "nuclei"
SUFFIX = ".safetensors"


class TrainPanel(QWidget):
    """Choose pairs of images and masks, train, and save the model."""

    def __init__(self, viewer: Any, worker: WorkerProcess, models: Models) -> None:
        super().__init__()
        self._viewer, self._worker, self._models = viewer, worker, models
        self._rows: list[tuple[Image, list[Labels], QComboBox]] = []
        self._decided: list[Image] = []
        self._trained: Model | None = None
        self._n_trained = 0
        self.pairs = QTableWidget(0, 2)
        self.pairs.setHorizontalHeaderLabels(["Image", "Masks"])
        self.pairs.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.pairs.verticalHeader().hide()
        self.pairs.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.pairs.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.pairs.setMinimumHeight(120)
        self.models = ModelRow(models, NEW_NETWORKS)
        self.start, self.open_model = self.models.box, self.models.open_model
        self._suggested = self.start.currentText()
        self.epochs = QSpinBox()
        self.epochs.setRange(1, MAX_EPOCHS)
        self.epochs.setValue(EPOCHS)
        self.run = QPushButton("Train")
        self.run.clicked.connect(self._train)
        self.save = QPushButton("Save model…")
        self.save.setEnabled(False)
        self.save.clicked.connect(self._ask_where_to_save)
        self.result = QLabel("An epoch is 50 steps of 8 crops, for any number of images.")
        self.result.setWordWrap(True)
        hint = QLabel("Masks must have the shape of their image. Planes without an object are left out.")
        hint.setWordWrap(True)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Start from", self.models)
        form.addRow("Epochs", self.epochs)
        column = QVBoxLayout(self)
        column.addWidget(hint)
        column.addWidget(self.pairs, stretch=1)
        column.addLayout(form)
        for widget in (self.run, self.result, self.save):
            column.addWidget(widget)

    def refresh(self) -> None:
        """Update the rows: one for each image with masks of its shape."""
        self._decided = [image for image in self._decided if image in self._viewer.layers]
        before = [(image, _choice(masks, box)) for image, masks, box in self._rows]
        before = [(image, masks) for image, masks in before if masks is not None or image in self._decided]
        all_masks = layers.labels(self._viewer)
        fitting = [
            (image, [m for m in all_masks if layers.shape(m) == layers.shape(image)])
            for image in layers.images(self._viewer)
        ]
        fitting = [(image, masks) for image, masks in fitting if masks]
        self.pairs.setRowCount(0)  # also removes the boxes
        self.pairs.setRowCount(len(fitting))
        self._rows = []
        for k, (image, masks) in enumerate(fitting):
            box = QComboBox()
            box.addItems([NOT_USED, *(m.name for m in masks)])
            chosen = [m for known, m in before if known == image]
            choice = chosen[0] if chosen else _guess(image, masks, is_only=len(fitting) == 1)
            box.setCurrentIndex(masks.index(choice) + 1 if choice in masks else 0)
            box.activated.connect(partial(self._decide, image))
            self.pairs.setItem(k, 0, QTableWidgetItem(image.name))
            self.pairs.setCellWidget(k, 1, box)
            self._rows.append((image, masks, box))

        self._suggest()

    def _decide(self, image: Image, _: int) -> None:
        """Note that the user has chosen masks for an image, or not to use it."""
        self._decided.append(image)
        self._suggest()

    def _suggest(self) -> None:
        """Suggest nuclei for images of one channel, and a new network for color, unless the user has chosen."""
        if self.start.currentText() == self._suggested:
            is_color = any(layers.channels(image) > 1 for image, _ in self.chosen())
            self._suggested = NEW_NETWORK if is_color else pretrained_title(PRETRAINED)
            self.start.choose(self._suggested)

    def chosen(self) -> list[tuple[Image, Labels]]:
        """Return the pairs of layers that the user wants to train on."""
        choices = [(image, _choice(masks, box)) for image, masks, box in self._rows]
        return [(image, masks) for image, masks in choices if masks is not None]

    def _train(self) -> None:
        with showing_errors():
            chosen = self.chosen()
            if not chosen:
                raise ValueError("Choose masks for one image at least; an image and its masks have the same shape.")
            self._worker.check_idle()
            n_channels = self._count_channels([image for image, _ in chosen])
            pairs = [pair for image, masks in chosen for pair in _annotated(image, masks)]
            if not pairs:
                raise ValueError("The masks must hold at least one object; all of them are empty.")
            title = self.start.currentText()
            start = title if title in NEW_NETWORKS else str(self._models.find(title).path)
            job = TrainJob(self._worker.new_folder(), len(pairs), n_channels, start, self.epochs.value())
            for k, (image, masks) in enumerate(pairs):
                np.save(job.image(k), image, allow_pickle=False)
                np.save(job.masks(k), masks, allow_pickle=False)
            self._worker.do(job, lambda message: self._keep(job, message))

    def _count_channels(self, images: list[Image]) -> int:
        counts = sorted({layers.channels(image) for image in images})
        if len(counts) > 1:
            raise ValueError("The images must all be gray or all be in color; there are some of each.")
        title = self.start.currentText()
        if title not in NEW_NETWORKS and (n_channels := self._models.find(title).n_channels) != counts[0]:
            raise ValueError(
                f"The model '{title}' takes images of {n_channels} channel{'s' * (n_channels > 1)}, these have "
                f"{counts[0]}: start from {NEW_NETWORK}."
            )
        return counts[0]

    def _keep(self, job: TrainJob, message: Message) -> None:
        """Keep the model as long as the viewer is open, and let the user choose it."""
        self._n_trained += 1
        path, text = Path(message.file), message.text
        if path.parent == Path(job.folder):  # which is removed; a rename needs no room on the disk
            path = path.rename(Path(self._worker.new_folder()) / f"trained_{self._n_trained}{SUFFIX}")
        self._trained = self._models.add(path, f"trained {self._n_trained} (not saved)")
        self.result.setText(f"{self._trained.title}: {job.n_pairs} image{'s' * (job.n_pairs > 1)}, {text}")
        self.save.setEnabled(True)
        show_info(f"The training is done: {text}. The model can be chosen to segment with.")

    @property
    def trained(self) -> Model | None:
        """The model that was trained last."""
        return self._trained

    def _ask_where_to_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save the model", f"cells{SUFFIX}", f"Models (*{SUFFIX})")
        if path:
            self.save_model(path)

    def save_model(self, path: str) -> None:
        """Write the model that was trained last to a file."""
        with showing_errors():
            if self._trained is None:
                raise ValueError("Train a model to save it; none has been trained yet.")
            target = Path(path) if path.endswith(SUFFIX) else Path(path + SUFFIX)
            source = self._trained.path
            files.write_atomically(target, lambda beside: shutil.copyfile(source, beside))
            show_info(f"Saved as {target}")


def _choice(masks: list[Labels], box: QComboBox) -> Labels | None:
    """Return the masks that a row's box shows; its first entry is none."""
    return masks[box.currentIndex() - 1] if box.currentIndex() > 0 else None


def _guess(image: Image, masks: list[Labels], *, is_only: bool) -> Labels | None:
    """Return the masks whose name is closest to that of an image; for a single image any masks."""
    named = [m for m in masks if m.name.startswith(image.name)]
    return min(named, key=lambda m: len(m.name)) if named else masks[0] if is_only else None


def _annotated(image: Image, masks: Labels) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Return pairs of planes; planes without an object count as not annotated."""
    annotated = [index for index in layers.all_planes(masks) if (layers.label_plane(masks, index) > 0).any()]
    return [(layers.plane(image, index), layers.label_plane(masks, index)) for index in annotated]
