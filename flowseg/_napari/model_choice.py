"""The models that a user can choose from, and the widgets to choose them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QPushButton, QWidget

from flowseg._napari.error_notifications import showing_errors
from flowseg._napari.model_info import Model, read_model
from flowseg._segmenters.pretrained import pretrained_file, pretrained_names


class Models(QObject):
    """The pretrained models, the files that were opened and the models that were trained in this session."""

    changed = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._models = [read_model(pretrained_file(name), pretrained_title(name)) for name in pretrained_names()]

    @property
    def titles(self) -> list[str]:
        """Names to choose by."""
        return [model.title for model in self._models]

    def find(self, title: str) -> Model:
        """Return the model with a title."""
        return next(model for model in self._models if model.title == title)

    def add(self, path: Path, title: str) -> Model:
        """Add a model file, or raise the reason why it is none; a model of the same title is replaced."""
        model = read_model(path, title)
        self._models = [other for other in self._models if other.title != title] + [model]
        self.changed.emit()
        return model

    def open(self, path: str) -> Model:
        """Add a model file by its name, or by its path if another file of this name is open."""
        file = Path(path).resolve()
        taken = [title for title in self.titles if title == file.name]
        same = any(self.find(title).path == file for title in taken)
        return self.add(file, str(file) if taken and not same else file.name)


def pretrained_title(name: str) -> str:
    """Return the title of a pretrained model."""
    return f"{name} (pretrained)"


class ModelBox(QComboBox):
    """Choose among the models, with other choices after them."""

    def __init__(self, models: Models, others: Sequence[str], parent: QWidget) -> None:
        super().__init__(parent)
        self._models = models
        self._others = list(others)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)  # a long file name must not widen the viewer's side
        self._fill()
        models.changed.connect(self._fill)

    def _fill(self) -> None:
        chosen = self.currentText()
        self.blockSignals(True)
        self.clear()
        self.addItems([*self._models.titles, *self._others])
        self.setCurrentIndex(max(self.findText(chosen), 0))
        self.blockSignals(False)
        self.currentIndexChanged.emit(self.currentIndex())  # a title may now belong to another file

    def choose(self, title: str) -> None:
        """Choose by name."""
        self.setCurrentIndex(self.findText(title))


class ModelRow(QWidget):
    """A choice of models and a button to open another."""

    def __init__(self, models: Models, others: Sequence[str] = ()) -> None:
        super().__init__()
        self._models = models
        self.box = ModelBox(models, others, self)
        self.open = QPushButton("Open…")
        self.open.setToolTip("Open a model file (.safetensors) that flowseg saved")
        self.open.clicked.connect(self._ask)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.box, stretch=1)
        row.addWidget(self.open)

    def open_model(self, path: str) -> None:
        """Add a model file and choose it."""
        with showing_errors():
            self.box.choose(self._models.open(path).title)

    def _ask(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a model", "", "Models (*.safetensors)")
        if path:
            self.open_model(path)
