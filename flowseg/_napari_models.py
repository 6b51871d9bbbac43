"""The models that a viewer can choose from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QComboBox, QWidget

from flowseg._pretrained import pretrained_file, pretrained_names
from flowseg._saving import read_document


@dataclass(frozen=True)
class Model:
    """A model file and what has to be known of it before it is loaded."""

    title: str
    path: Path
    n_channels: int
    has_flows: bool


def describe(path: Path, title: str) -> Model:
    """Read what a model file says of itself; no weights, no Keras."""
    document = read_document(path)
    n_channels = document["parameters"].get("n_channels")
    if not isinstance(n_channels, int):
        raise ValueError(f"{path} must hold the number of channels; got {n_channels!r}.")
    return Model(title, path, n_channels, document["estimator"] == "FlowSegmenter")


class Models(QObject):
    """The pretrained models, the files that were opened and the models that were trained in this session."""

    changed = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._models = [describe(pretrained_file(name), f"{name} (pretrained)") for name in pretrained_names()]

    @property
    def titles(self) -> list[str]:
        """Names to choose by."""
        return [model.title for model in self._models]

    def find(self, title: str) -> Model:
        """Give the model of a title."""
        return next(model for model in self._models if model.title == title)

    def add(self, path: Path, title: str) -> Model:
        """Add a model file, or find out why it is none; one of the same title is replaced."""
        model = describe(path, title)
        self._models = [other for other in self._models if other.title != title] + [model]
        self.changed.emit()
        return model


class ModelBox(QComboBox):
    """Choose among the models, with other choices before them."""

    def __init__(self, models: Models, first: Sequence[str], parent: QWidget) -> None:
        super().__init__(parent)
        self._models = models
        self._first = list(first)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)  # a long file name must not widen the viewer's side
        self._fill()
        models.changed.connect(self._fill)

    def _fill(self) -> None:
        chosen = self.currentText()
        self.clear()
        self.addItems([*self._first, *self._models.titles])
        self.setCurrentIndex(max(self.findText(chosen), 0))

    def choose(self, title: str) -> None:
        """Choose by name."""
        self.setCurrentIndex(self.findText(title))
