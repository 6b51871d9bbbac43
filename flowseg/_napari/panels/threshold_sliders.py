"""Sliders for thresholds; one that the user has not moved keeps the model's value exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QDoubleSpinBox, QFormLayout, QGroupBox, QLabel, QPushButton, QSlider, QVBoxLayout, QWidget
from qtpy.QtWidgets import QHBoxLayout as Row

from flowseg._napari.image_kinds import PLANE, VOLUME
from flowseg._napari.model_info import Model
from flowseg._segmenters.learned_decoding.thresholds import Thresholds


@dataclass(frozen=True)
class Scale:
    """The range of a threshold."""

    title: str
    low: float
    high: float
    step: float
    none_at: float | None  # value that stands for None: the threshold is off
    hint: str


# Logits beyond 10 mean certainty; the squared difference of two unit vectors is at most 4.
SCALES = {
    "cellprob_threshold": Scale("Cellprob", -10.0, 10.0, 0.1, None, "Larger: less foreground, smaller objects"),
    "flow_threshold": Scale("Flow error", 0.0, 4.0, 0.05, 4.0, "Objects with a larger flow error are dropped"),
    "min_size": Scale("Minimum size", 0, 2000, 1, None, "Objects of fewer pixels are dropped"),
    "score_threshold": Scale("Score", 0.0, 1.0, 0.01, 0.0, "Objects with a lower score are dropped"),
}


# Largest minimum sizes to choose, in pixels and in voxels.
MAX_SIZES = {PLANE: 2000, VOLUME: 20000}


class Number(QDoubleSpinBox):
    """A number, or "off" at one end."""

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        super().__init__()
        self.setDecimals(0 if scale.step >= 1 else 2)
        self.setRange(scale.low, scale.high)
        self.setSingleStep(scale.step)
        self.setKeyboardTracking(False)  # no signal at every digit

    def textFromValue(self, value: float) -> str:  # noqa: N802 - Qt's name
        """Return the text to show, for Qt."""
        return "off" if value == self.scale.none_at else super().textFromValue(value)


class Slide(QWidget):
    """A threshold by slider and number."""

    changed = Signal()

    def __init__(self, scale: Scale) -> None:
        super().__init__()
        self._scale = scale
        self._value: float | None = scale.low
        self.number = Number(scale)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self._fit_range()
        self.slider.valueChanged.connect(self._slide)
        self.number.valueChanged.connect(self._take)
        self.setToolTip(scale.hint)
        row = Row(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.slider, stretch=1)
        row.addWidget(self.number)

    def _fit_range(self) -> None:
        step = self._scale.step
        self.slider.setRange(round(self.number.minimum() / step), round(self.number.maximum() / step))

    @property
    def value(self) -> Any:
        """The threshold; None where it is off."""
        return self._value

    def set_value(self, value: float | None) -> None:
        """Set a model's value, with all its digits, without a signal."""
        shown = self._scale.none_at if value is None else value
        if shown is None:
            raise ValueError(f"{self._scale.title} must be a number; got None.")
        for widget in (self.number, self.slider):
            widget.blockSignals(True)
        self.number.setRange(min(self.number.minimum(), shown), max(self.number.maximum(), shown))
        self._fit_range()
        self.number.setValue(shown)
        self.slider.setValue(round(shown / self._scale.step))
        for widget in (self.number, self.slider):
            widget.blockSignals(False)
        self._value = value

    def set_high(self, high: float) -> None:
        """Set the upper end, without a signal; a value above it stays."""
        for widget in (self.number, self.slider):
            widget.blockSignals(True)
        self.number.setMaximum(max(high, self.number.value()))
        self._fit_range()
        for widget in (self.number, self.slider):
            widget.blockSignals(False)

    def _slide(self, n_steps: int) -> None:
        self.number.setValue(n_steps * self._scale.step)

    def _take(self, number: float) -> None:
        self.slider.blockSignals(True)
        self.slider.setValue(round(number / self._scale.step))
        self.slider.blockSignals(False)
        whole = self._scale.step >= 1
        self._value = None if number == self._scale.none_at else int(number) if whole else number
        self.changed.emit()


class ThresholdBox(QGroupBox):
    """The thresholds that a model has."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__("Thresholds")
        self.slides = {name: Slide(scale) for name, scale in SCALES.items()}
        self._model: Model | None = None
        self._form = QFormLayout()
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for name, slide in self.slides.items():
            self._form.addRow(SCALES[name].title, slide)
            slide.changed.connect(self.changed)
        self.reset = QPushButton("Reset to the model")
        self.reset.setToolTip("Set all thresholds to the model's values")
        self.reset.clicked.connect(self._reset)
        self.state = QLabel("")
        self.state.setWordWrap(True)
        column = QVBoxLayout(self)
        column.addLayout(self._form)
        column.addWidget(self.reset)
        column.addWidget(self.state)

    def take(self, model: Model, *, has_scores: bool = True) -> None:
        """Show the thresholds of a model, with its values if the model has changed; without scores where none are."""
        names = [name for name in _names(model) if has_scores or name != "score_threshold"]
        for name in self.slides:
            self._form.setRowVisible(self.slides[name], name in names)
        if model != self._model:
            self._model = model
            self.slides["min_size"].set_high(MAX_SIZES[model.ndim])
            for name in self.slides:
                self.slides[name].set_value(getattr(model.thresholds, name))

    @property
    def thresholds(self) -> Thresholds:
        """The thresholds that are set."""
        return Thresholds(**{name: slide.value for name, slide in self.slides.items()})

    def _reset(self) -> None:
        if self._model is not None:
            for name, slide in self.slides.items():
                slide.set_value(getattr(self._model.thresholds, name))
            self.changed.emit()


def _names(model: Model) -> Sequence[str]:
    """Return the names of the thresholds that a model uses."""
    if not model.has_flows:
        return ("min_size",)
    return tuple(name for name in SCALES if name != "score_threshold" or model.has_scores)
