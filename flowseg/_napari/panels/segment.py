"""The panel to segment with."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QLabel, QPushButton, QVBoxLayout, QWidget

from flowseg._napari import layers
from flowseg._napari.error_notifications import showing_errors
from flowseg._napari.image_kinds import NAMES, image_name
from flowseg._napari.job_messages import DecodeJob, SegmentJob
from flowseg._napari.kept_outputs import KeptOutputs, KeptRun, Request
from flowseg._napari.model_choice import Models
from flowseg._napari.panels.request_form import RequestForm
from flowseg._napari.panels.threshold_sliders import ThresholdBox
from flowseg._napari.result_layers import ResultLayer, read_result
from flowseg._napari.worker_process import WorkerProcess

# Width of outlines, in pixels of the image.
OUTLINE = 1
# Time after the last change of thresholds before outputs are decoded again, in milliseconds.
PAUSE = 120


class SegmentPanel(QWidget):
    """Choose a layer and a model, segment, and set the thresholds."""

    def __init__(self, viewer: Any, worker: WorkerProcess, models: Models) -> None:
        super().__init__()
        self._viewer, self._worker = viewer, worker
        self._outputs = KeptOutputs(worker)
        self._results: list[tuple[Request, ResultLayer]] = []
        self._contour = 0
        self.form = RequestForm(viewer, models)
        self.image, self.ways, self.spacing = self.form.image, self.form.ways, self.form.spacing
        self.model, self.open_model = self.form.models.box, self.form.models.open_model
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
        hint = QLabel("Point at an object: the status bar shows its score, the probability that it is real.")
        hint.setWordWrap(True)
        column = QVBoxLayout(self)
        for widget in (self.form, self.outlines, self.flows, self.run, self.thresholds, hint):
            column.addWidget(widget)
        column.addStretch()

    def _connect(self) -> None:
        self.outlines.toggled.connect(self._draw_outlines)
        self.run.clicked.connect(self._segment)
        self.thresholds.changed.connect(self._timer.start)
        self._worker.ended.connect(self._timer.start)
        self._timer.timeout.connect(self._decode_again)
        self.form.changed.connect(self._change_request)
        self._change_request()

    def _change_request(self) -> None:
        way = self.form.way
        self.thresholds.take(self.form.model, has_scores=way is None or way.mode != "planes")
        self._describe()

    def _segment(self) -> None:
        with showing_errors():
            request = self.form.request()
            self._worker.check_idle()
            model = request.model
            if self.flows.isChecked() and not model.has_flows:
                show_warning(f"The model '{model.title}' has three classes and no flows: no layer of flows is added.")
            job = SegmentJob(
                self._worker.new_folder(),
                request.names,
                request.way.ndim,
                request.way.mode,
                str(model.path),
                self.thresholds.thresholds,
                self._outputs.begin(),
                request.diameter,
                request.spacing,
                self.flows.isChecked(),
            )
            for k, index in enumerate(request.indices):
                np.save(job.image(k), layers.pixels(request.layer, index), allow_pickle=False)
            self._worker.do(job, lambda message: self._add(request, job, message.text))

    def _add(self, request: Request, job: SegmentJob, text: str) -> None:
        with showing_errors():
            found = [read_result(job.result(k)) for k in range(len(job.images))]
            (first, *others), layer, ndim = request.indices, request.layer, request.way.ndim
            if found[0].masks.shape != layers.shape(layer)[-ndim:] or len(first) != len(layers.shape(layer)) - ndim:
                raise ValueError(f"Layer '{layer.name}' has changed its shape meanwhile: its masks are left out.")
            result = self._layer_for(request)
            result.write(request.indices, found)
            self._outputs.keep(request, result, job.thresholds)
            if not others and layers.count_images(layer, ndim) > 1:
                name = NAMES[ndim]
                text += f" in {image_name(first, ndim)} only; to segment the others, choose all {name}s"
            show_info(f"{layer.name}: {text}")

    def _layer_for(self, request: Request) -> ResultLayer:
        """Return the layer of an earlier run with the same model, if it was not changed by hand; or a new layer."""
        self._results = [(other, result) for other, result in self._results if result.is_shown]
        for other, result in self._results:
            if request.is_like(other) and not result.is_edited(request.indices):
                return result
        return self._new_result(request)

    def _new_result(self, request: Request) -> ResultLayer:
        result = ResultLayer(self._viewer, request.layer, self._contour, request.way.ndim)
        result.layer.events.contour.connect(self._take_outlines)
        self._results.append((request, result))
        return result

    def _kept(self) -> KeptRun | None:
        """Return the run whose outputs are kept for the panel's choices."""
        try:
            return self._outputs.of(self.form.request())
        except ValueError:
            return None

    def _describe(self, _: Any = None) -> None:
        kept = self._kept()
        text = "Segment first; after that, changes take effect at once."
        if kept is not None:
            waits = kept.thresholds != self.thresholds.thresholds and self._worker.is_busy
            when = "changes take effect when the current job has ended" if waits else "changes take effect at once"
            n = kept.result.n_objects
            text = f"{n} object{'s' * (n != 1)} in '{kept.result.layer.name}'; {when}."
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
            if kept.result.is_shown and kept.result.is_edited(request.indices):
                name = kept.result.layer.name
                show_warning(f"'{name}' was changed by hand: the masks with other thresholds are in a new layer.")
                kept.result = self._new_result(request)
            elif not kept.result.is_shown:
                kept.result = self._new_result(request)
            kept.result.write(request.indices, [read_result(job.result(k)) for k in range(len(job.images))])
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
