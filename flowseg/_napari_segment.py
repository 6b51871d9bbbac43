"""The panel to segment with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image
from napari.utils.notifications import show_info, show_warning
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from safetensors.numpy import load_file

from flowseg import _napari_layers as layers
from flowseg._inputs import ESTIMATE
from flowseg._napari_boxes import LayerBox
from flowseg._napari_jobs import SegmentJob
from flowseg._napari_models import Model, ModelBox, Models
from flowseg._napari_notes import errors_shown
from flowseg._napari_process import ChildProcess

# Of objects, in pixels; the least stands for the model's choice.
MAX_DIAMETER = 2000.0


class SegmentPanel(QWidget):
    """Choose a layer and a model, and segment."""

    def __init__(self, viewer: Any, child: ChildProcess, models: Models) -> None:
        super().__init__()
        self._viewer, self._child, self._models = viewer, child, models
        self.image = LayerBox(viewer, layers.images)
        self.model = ModelBox(models, (), self)
        self.open = QPushButton("Open…")
        self.open.setToolTip("Open a model file (.safetensors) that flowseg saved")
        self.open.clicked.connect(self._ask_for_model)
        self.diameter = QDoubleSpinBox()
        self.diameter.setRange(0, MAX_DIAMETER)
        self.diameter.setDecimals(1)
        self.diameter.setSuffix(" px")
        self.diameter.setSpecialValueText("the model's choice")
        self.diameter.setToolTip(
            "Typical diameter of the objects; 0: as in training, or an estimate if the model is made for it"
        )
        self.estimate = QCheckBox("Estimate it from the image")
        self.estimate.setToolTip("Segment more than once: first to see how large the objects are")
        self.estimate.toggled.connect(self.diameter.setDisabled)
        self.flows = QCheckBox("Add a layer of the flows")
        self.flows.setToolTip("Every pixel in the colour of the direction that its flow has")
        self.run = QPushButton("Segment")
        self.run.clicked.connect(self._segment)
        model = QHBoxLayout()
        model.addWidget(self.model, stretch=1)
        model.addWidget(self.open)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Image", self.image)
        form.addRow("Model", model)
        form.addRow("Diameter", self.diameter)
        form.addRow("", self.estimate)
        form.addRow("", self.flows)
        hint = QLabel("Under the mouse: the status bar shows an object's score, the chance that it is real.")
        hint.setWordWrap(True)
        column = QVBoxLayout(self)
        column.addLayout(form)
        column.addWidget(self.run)
        column.addWidget(hint)
        column.addStretch()

    def open_model(self, path: str) -> None:
        """Add a model file and choose it."""
        with errors_shown():
            file = Path(path).resolve()
            taken = [title for title in self._models.titles if title == file.name]
            same = any(self._models.find(title).path == file for title in taken)
            self.model.choose(self._models.add(file, str(file) if taken and not same else file.name).title)

    def _ask_for_model(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a model", "", "Models (*.safetensors)")
        if path:
            self.open_model(path)

    def _segment(self) -> None:
        with errors_shown():
            layer = self.image.layer()
            if layer is None:
                raise ValueError("Open an image to segment; there is no image layer.")
            model = self._models.find(self.model.currentText())
            _check_channels(layer, model)
            found = layers.planes(layer)
            self._child.check_idle()
            given = ESTIMATE if self.estimate.isChecked() else self.diameter.value() or None
            if self.flows.isChecked() and not model.has_flows:
                show_warning(f"The model '{model.title}' has three classes, no flows: there will be no layer of them.")
            folder = self._child.new_folder()
            job = SegmentJob(folder, len(found), str(model.path), given, self.flows.isChecked())
            for k, plane in enumerate(found):
                np.save(job.plane(k), plane, allow_pickle=False)
            self._child.do(job, lambda text: self._add(layer, job, text))

    def _add(self, layer: Image, job: SegmentJob, text: str) -> None:
        layers.add_found(self._viewer, layer, [_read(job.result(k)) for k in range(job.n_planes)])
        show_info(f"{layer.name}: {text}")


def _check_channels(layer: Image, model: Model) -> None:
    n_channels = layers.channels(layer)
    if n_channels == model.n_channels:
        return
    advice = " split it (right click on it, Split RGB) and choose one channel." if n_channels > 1 else ""
    raise ValueError(
        f"The model '{model.title}' takes images of {model.n_channels} channel{'s' * (model.n_channels > 1)}; layer "
        f"'{layer.name}' has {n_channels}{':' if advice else '.'}{advice}"
    )


def _read(path: Path) -> layers.Found:
    arrays = load_file(path)
    objects = {name.removeprefix("object_"): array for name, array in arrays.items() if name.startswith("object_")}
    return layers.Found(arrays["masks"], objects, arrays.get("flows"))
