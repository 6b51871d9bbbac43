"""The plugin's dock widget: panels to segment, suggest, correct, train and export, with the progress of jobs."""

from __future__ import annotations

from typing import Any

from napari.utils.notifications import show_error, show_warning
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QTabWidget, QVBoxLayout, QWidget

from flowseg._napari.job_messages import Message
from flowseg._napari.model_choice import Models
from flowseg._napari.panels.correct import CorrectPanel
from flowseg._napari.panels.export import ExportPanel
from flowseg._napari.panels.segment import SegmentPanel
from flowseg._napari.panels.suggest import SuggestPanel
from flowseg._napari.panels.train import TrainPanel
from flowseg._napari.worker_process import WorkerProcess


class FlowsegWidget(QWidget):
    """Segment layers, correct masks and train models in napari.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Viewer with the layers to work on.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self.worker = WorkerProcess(self)
        self.models = Models(self)
        self.segment = SegmentPanel(napari_viewer, self.worker, self.models)
        self.suggest = SuggestPanel(napari_viewer, self.worker, self.models)
        self.correct = CorrectPanel(napari_viewer)
        self.train = TrainPanel(napari_viewer, self.worker, self.models)
        self.export = ExportPanel(napari_viewer)
        self.tabs = QTabWidget()
        panels = {
            "Segment": self.segment,
            "Suggest": self.suggest,
            "Correct": self.correct,
            "Train": self.train,
            "Export": self.export,
        }
        for title, panel in panels.items():
            self.tabs.addTab(panel, title)
        self.tabs.currentChanged.connect(self.correct.leave_tools)
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.state = QLabel("")
        self.state.setWordWrap(True)
        self.cancel = QPushButton("Cancel")
        self.cancel.clicked.connect(self.worker.cancel)
        row = QHBoxLayout()
        row.addWidget(self.progress, stretch=1)
        row.addWidget(self.cancel)
        column = QVBoxLayout(self)
        column.addWidget(self.tabs)
        column.addLayout(row)
        column.addWidget(self.state)
        self._rest()
        self.worker.started.connect(self._begin)
        self.worker.received.connect(self._show_progress)
        self.worker.failed.connect(show_error)
        self.worker.ended.connect(self._rest)
        self._follow_layers()

    def event(self, event: QEvent) -> bool:
        """Handle an event of Qt; when napari takes the panel out of its dock, it is closed, and the process ends."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.worker.cancel()
            self.worker.stop()
        return bool(super().event(event))

    def _follow_layers(self) -> None:
        events = self._viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered):
            event.connect(self._refresh)
        self._viewer.layers.selection.events.active.connect(self._follow_choice)
        self._refresh()
        self._follow_choice()

    def _refresh(self) -> None:
        for layer in self._viewer.layers:
            layer.events.name.connect(self._refresh)  # connected once, however often this runs
        self.segment.image.refresh()
        self.suggest.images.refresh()
        self.correct.masks.refresh()
        self.train.refresh()
        self.export.refresh()

    def _follow_choice(self) -> None:
        """Choose the active layer of the viewer in the panels."""
        active = self._viewer.layers.selection.active
        self.segment.image.choose(active)
        self.correct.masks.choose(active)
        self.export.masks.choose(active)

    def _begin(self) -> None:
        self._show_busy(True)
        self.progress.setRange(0, 0)
        self.state.setText("starting")

    def _show_progress(self, message: Message) -> None:
        if message.kind == "warning":
            show_warning(message.text)
            return
        self.progress.setRange(0, message.n_all)
        self.progress.setValue(message.n_done)
        self.state.setText(message.text)

    def _rest(self) -> None:
        self._show_busy(False)
        self.progress.setRange(0, 1)
        self.progress.setValue(0)
        self.state.setText("")

    def _show_busy(self, is_busy: bool) -> None:
        self.cancel.setEnabled(is_busy)
        self.segment.run.setEnabled(not is_busy)
        self.suggest.next.setEnabled(not is_busy)
        self.train.run.setEnabled(not is_busy)
