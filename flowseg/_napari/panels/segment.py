"""The panel to segment with."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QFormLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from flowseg._napari import layers
from flowseg._napari.error_notifications import showing_errors
from flowseg._napari.job_messages import DecodeJob, SegmentJob
from flowseg._napari.kept_outputs import KeptOutputs, KeptRun, Request
from flowseg._napari.model_choice import ModelRow, Models
from flowseg._napari.panels.layer_box import LayerBox
from flowseg._napari.panels.threshold_sliders import ThresholdBox
from flowseg._napari.result_layers import ResultLayer, read_plane
from flowseg._napari.worker_process import WorkerProcess
from flowseg._segmenters.inputs import ESTIMATE

# Diameter of objects in pixels; the minimum, 0, stands for the model's choice.
MAX_DIAMETER = 2000.0
# Width of outlines, in pixels of the image.
OUTLINE = 1
# Time after the last change of thresholds before outputs are decoded again, in milliseconds.
PAUSE = 120


class SegmentPanel(QWidget):
    """Choose a layer and a model, segment, and set the thresholds."""

    def __init__(self, viewer: Any, worker: WorkerProcess, models: Models) -> None:
        super().__init__()
        self._viewer, self._worker, self._models = viewer, worker, models
        self._outputs = KeptOutputs(worker)
        self._results: list[tuple[Request, ResultLayer]] = []
        self._contour = 0
        self.image = LayerBox(viewer, layers.images)
        self.planes = QComboBox()
        self.models = ModelRow(models)
        self.model, self.open_model = self.models.box, self.models.open_model
        self.diameter = QDoubleSpinBox()
        self.diameter.setRange(0, MAX_DIAMETER)
        self.diameter.setDecimals(1)
        self.diameter.setSuffix(" px")
        self.diameter.setSpecialValueText("the model's choice")
        self.diameter.setToolTip(
            "Typical diameter of the objects; 0: that of the training images, or an estimate if training chose that"
        )
        self.estimate = QCheckBox("Estimate it from the image")
        self.estimate.setToolTip("Segments more than once: first to measure the objects")
        self.outlines = QCheckBox("Show masks as outlines")
        self.flows = QCheckBox("Add a layer of the flows")
        self.flows.setToolTip("The color of a pixel is the direction of its flow")
        self.run = QPushButton("Segment")
        self.thresholds = ThresholdBox()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PAUSE)
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        self._form = QFormLayout()
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._form.addRow("Image", self.image)
        self._form.addRow("Segment", self.planes)
        self._form.addRow("Model", self.models)
        self._form.addRow("Diameter", self.diameter)
        self._form.addRow("", self.estimate)
        self._form.addRow("", self.outlines)
        self._form.addRow("", self.flows)
        hint = QLabel("Point at an object: the status bar shows its score, the probability that it is real.")
        hint.setWordWrap(True)
        column = QVBoxLayout(self)
        column.addLayout(self._form)
        for widget in (self.run, self.thresholds, hint):
            column.addWidget(widget)
        column.addStretch()

    def _connect(self) -> None:
        self.estimate.toggled.connect(self.diameter.setDisabled)
        self.outlines.toggled.connect(self._draw_outlines)
        self.run.clicked.connect(self._segment)
        self.thresholds.changed.connect(self._timer.start)
        self._worker.ended.connect(self._timer.start)
        self._timer.timeout.connect(self._decode_again)
        self.image.currentIndexChanged.connect(self._change_image)
        self.model.currentIndexChanged.connect(self._change_model)
        for signal in (self.diameter.valueChanged, self.estimate.toggled, self.planes.currentIndexChanged):
            signal.connect(self._describe)
        self._viewer.dims.events.current_step.connect(self._describe)
        self._change_image()
        self._change_model()

    def _change_image(self) -> None:
        layer = self.image.layer()
        n_planes = 1 if layer is None else layers.count_planes(layer)
        chosen = max(self.planes.currentIndex(), 0)
        self.planes.blockSignals(True)
        self.planes.clear()
        self.planes.addItems(["the plane shown", f"all {n_planes} planes"])
        self.planes.setCurrentIndex(chosen)
        self.planes.blockSignals(False)
        self._form.setRowVisible(self.planes, layer is not None and len(layers.shape(layer)) > 2)
        self._describe()

    def _change_model(self) -> None:
        self.thresholds.take(self._models.find(self.model.currentText()))
        self._describe()

    def _request(self) -> Request:
        """Return the request that the panel's choices make."""
        layer = self.image.layer()
        if layer is None:
            raise ValueError("Open an image to segment; there is no image layer.")
        model = self._models.find(self.model.currentText())
        if layers.channels(layer) != model.n_channels:
            raise ValueError(layers.wrong_channels(layer, model.title, model.n_channels))
        if self.planes.currentIndex() == 0:
            planes = [layers.shown_plane(self._viewer, layer)]
        else:
            planes = layers.all_planes(layer)
        if not planes or 0 in layers.shape(layer):
            raise ValueError(f"Layer '{layer.name}' must have at least one pixel; its shape is {layers.shape(layer)}.")
        given = ESTIMATE if self.estimate.isChecked() else self.diameter.value() or None
        return Request(layer, tuple(planes), model, given)

    def _segment(self) -> None:
        with showing_errors():
            request = self._request()
            self._worker.check_idle()
            model = request.model
            if self.flows.isChecked() and not model.has_flows:
                show_warning(f"The model '{model.title}' has three classes and no flows: no layer of flows is added.")
            job = SegmentJob(
                self._worker.new_folder(),
                request.names,
                str(model.path),
                self.thresholds.thresholds,
                self._outputs.begin(),
                request.diameter,
                self.flows.isChecked(),
            )
            for k, index in enumerate(request.planes):
                np.save(job.plane(k), layers.plane(request.image, index), allow_pickle=False)
            self._worker.do(job, lambda message: self._add(request, job, message.text))

    def _add(self, request: Request, job: SegmentJob, text: str) -> None:
        with showing_errors():
            found = [read_plane(job.result(k)) for k in range(len(job.planes))]
            (first, *others), image = request.planes, request.image
            if found[0].masks.shape != layers.shape(image)[-2:] or len(first) != len(layers.shape(image)) - 2:
                raise ValueError(f"Layer '{image.name}' has changed its shape meanwhile: its masks are left out.")
            result = self._layer_for(request)
            result.write(request.planes, found)
            self._outputs.keep(request, result, job.thresholds)
            if not others and layers.count_planes(image) > 1:
                text += f" in {layers.plane_name(first)} only; to segment the others, choose all planes"
            show_info(f"{image.name}: {text}")

    def _layer_for(self, request: Request) -> ResultLayer:
        """Return the layer of an earlier run with the same model, if it was not changed by hand; or a new layer."""
        self._results = [(other, result) for other, result in self._results if result.is_shown]
        for other, result in self._results:
            same = (other.image, other.model, other.diameter) == (request.image, request.model, request.diameter)
            if same and not result.is_edited(request.planes):
                return result
        return self._new_result(request)

    def _new_result(self, request: Request) -> ResultLayer:
        result = ResultLayer(self._viewer, request.image, self._contour)
        result.layer.events.contour.connect(self._take_outlines)
        self._results.append((request, result))
        return result

    def _kept(self) -> KeptRun | None:
        """Return the run whose outputs are kept for the panel's choices."""
        if self.image.layer() is None:
            return None
        try:
            return self._outputs.of(self._request())
        except ValueError:
            return None

    def _describe(self, _: Any = None) -> None:
        kept = self._kept()
        text = "Segment first; after that, changes take effect at once."
        if kept is not None:
            waits = kept.thresholds != self.thresholds.thresholds and self._worker.is_busy
            when = "changes take effect when the current job has ended" if waits else "changes take effect at once"
            text = f"{kept.result.n_objects} objects in '{kept.result.layer.name}'; {when}."
        self.thresholds.state.setText(text)

    def _decode_again(self) -> None:
        """Decode the outputs that are kept, if the thresholds have changed."""
        self._describe()
        kept, wanted = self._kept(), self.thresholds.thresholds
        if kept is not None and kept.thresholds != wanted and not self._worker.is_busy:
            with showing_errors():
                self._outputs.decode(kept, wanted, lambda job: self._replace(kept, job))

    def _replace(self, kept: KeptRun, job: DecodeJob) -> None:
        with showing_errors():
            request = kept.request
            if kept.result.is_shown and kept.result.is_edited(request.planes):
                name = kept.result.layer.name
                show_warning(f"'{name}' was changed by hand: the masks with other thresholds are in a new layer.")
                kept.result = self._new_result(request)
            elif not kept.result.is_shown:
                kept.result = self._new_result(request)
            kept.result.write(request.planes, [read_plane(job.result(k)) for k in range(len(job.planes))])
            self._describe()

    def _draw_outlines(self, is_on: bool) -> None:
        """Draw the masks of this panel as outlines, and those of the next runs."""
        self._contour = OUTLINE if is_on else 0
        for _, result in self._results:
            result.layer.contour = self._contour

    def _take_outlines(self, event: Any) -> None:
        """Take over the choice in napari's own controls, for the next masks."""
        self._contour = event.source.contour
        self.outlines.blockSignals(True)
        self.outlines.setChecked(self._contour > 0)
        self.outlines.blockSignals(False)
