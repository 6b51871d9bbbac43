"""The panel to train models."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils.notifications import show_info
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from flowseg._napari import layers
from flowseg._napari.error_notifications import showing_errors
from flowseg._napari.image_kinds import NAMES, PLANE, VOLUME
from flowseg._napari.job_messages import NEW_NETWORK, NEW_NETWORKS, Message, TrainJob
from flowseg._napari.model_choice import ModelRow, Models, pretrained_title
from flowseg._napari.model_info import Model
from flowseg._napari.panels.pair_table import PairTable
from flowseg._napari.training_samples import EVERYTHING, check_spacings, find_samples
from flowseg._napari.worker_process import WorkerProcess
from flowseg._system import files

# Epochs that show whether training works, and the most that can be set.
EPOCHS, MAX_EPOCHS = 10, 1000
# The pretrained model that a training starts from.
PRETRAINED = "nuclei"
SUFFIX = ".safetensors"
# Axes of the images that a model is trained for -> title.
KINDS = {PLANE: "planes, each on its own", VOLUME: "volumes"}
# Axis of a volume across which only sections with an object are annotated -> title.
ANNOTATED = {
    EVERYTHING: "everything: 0 is background",
    0: "only planes with an object (others are unknown)",
    1: "only sections across rows with an object",
    2: "only sections across columns with an object",
}
EPOCH = "An epoch is 50 steps of 8 crops, of volumes 2, for any number of images."
SPACING_HINT = "Spacing is the layer's scale: correct it here, for all volumes or for none."


class TrainPanel(QWidget):
    """Choose pairs of images and masks, train, and save the model."""

    def __init__(self, viewer: Any, worker: WorkerProcess, models: Models) -> None:
        super().__init__()
        self._viewer, self._worker, self._models = viewer, worker, models
        self._trained: Model | None = None
        self._n_trained = 0
        self.pairs = PairTable(viewer)
        self.pairs.changed.connect(self._suggest)
        self.kind = QComboBox()
        for ndim, title in KINDS.items():
            self.kind.addItem(title, ndim)
        self.annotated = QComboBox()
        for axis, title in ANNOTATED.items():
            self.annotated.addItem(title, axis)
        self.models = ModelRow(models, NEW_NETWORKS)
        self.start, self.open_model = self.models.box, self.models.open_model
        self._suggested = self.start.currentText()
        self.start.currentIndexChanged.connect(self._take_kind_of_start)
        self.kind.activated.connect(self._choose_kind)
        self.epochs = QSpinBox()
        self.epochs.setRange(1, MAX_EPOCHS)
        self.epochs.setValue(EPOCHS)
        self.run = QPushButton("Train")
        self.run.clicked.connect(self._train)
        self.save = QPushButton("Save model…")
        self.save.setEnabled(False)
        self.save.clicked.connect(self._ask_where_to_save)
        self.result = QLabel(EPOCH)
        self.result.setWordWrap(True)
        self.hint = QLabel("")
        self.hint.setWordWrap(True)
        self._form = QFormLayout()
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._form.addRow("Train on", self.kind)
        self._form.addRow("Annotated", self.annotated)
        self._form.addRow("Start from", self.models)
        self._form.addRow("Epochs", self.epochs)
        column = QVBoxLayout(self)
        column.addWidget(self.hint)
        column.addWidget(self.pairs, stretch=1)
        column.addLayout(self._form)
        for widget in (self.run, self.result, self.save):
            column.addWidget(widget)
        self._show_kind()

    @property
    def ndim(self) -> int:
        """Axes of the images to train on."""
        return int(self.kind.currentData())

    def _choose_kind(self, _: int = 0) -> None:
        """Start from a new network where the chosen model takes other images."""
        title = self.start.currentText()
        if title not in NEW_NETWORKS and self._models.find(title).ndim != self.ndim:
            self._suggested = NEW_NETWORK
            self.start.choose(NEW_NETWORK)
        self._show_kind()
        self._suggest()

    def _take_kind_of_start(self, _: int = 0) -> None:
        """Train on the kind of images that the chosen model takes."""
        title = self.start.currentText()
        if title not in NEW_NETWORKS:
            self.kind.setCurrentIndex(self.kind.findData(self._models.find(title).ndim))
        self._show_kind()

    def _show_kind(self) -> None:
        is_volume = self.ndim == VOLUME
        self._form.setRowVisible(self.annotated, is_volume)
        self.pairs.show_spacings(is_volume)
        name = NAMES[self.ndim].capitalize()
        self.hint.setText(
            f"Masks must have the shape of their image. {name}s without an object are left out."
            + (f" {SPACING_HINT}" if is_volume else "")
        )

    def refresh(self) -> None:
        """Update the rows of pairs."""
        self.pairs.refresh()

    def _suggest(self) -> None:
        """Suggest nuclei for planes of one channel, and else a new network, unless the user has chosen."""
        if self.start.currentText() == self._suggested:
            is_color = any(layers.channels(image) > 1 for image, _ in self.chosen())
            is_new = is_color or self.ndim == VOLUME
            self._suggested = NEW_NETWORK if is_new else pretrained_title(PRETRAINED)
            self.start.choose(self._suggested)

    def chosen(self) -> list[tuple[Image, Labels]]:
        """Return the pairs of layers that the user wants to train on."""
        return [(row.image, row.masks) for row in self.pairs.chosen()]

    def _train(self) -> None:
        with showing_errors():
            rows = self.pairs.chosen()
            if not rows:
                raise ValueError("Choose masks for one image at least; an image and its masks have the same shape.")
            check_spacings(rows)
            self._worker.check_idle()
            n_channels = self._count_channels([row.image for row in rows])
            samples = [sample for row in rows for sample in find_samples(row, self.ndim, self.annotated.currentData())]
            if not samples:
                raise ValueError("The masks must hold at least one object; all of them are empty.")
            title = self.start.currentText()
            start = title if title in NEW_NETWORKS else str(self._models.find(title).path)
            spacings = tuple(sample.spacing for sample in samples)
            job = TrainJob(self._worker.new_folder(), spacings, self.ndim, n_channels, start, self.epochs.value())
            for k, sample in enumerate(samples):
                np.save(job.image(k), sample.image, allow_pickle=False)
                np.save(job.masks(k), sample.masks, allow_pickle=False)
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
        name = "image" if job.ndim == PLANE else NAMES[job.ndim]
        self.result.setText(f"{self._trained.title}: {job.n_pairs} {name}{'s' * (job.n_pairs > 1)}, {text}")
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
