"""The form that says what to segment: a layer, which of its images, a model, a diameter and a spacing."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QFormLayout, QLabel, QWidget

from flowseg._napari import layers
from flowseg._napari.image_kinds import NAMES, PLANE, VOLUME, format_spacing, image_name
from flowseg._napari.kept_outputs import Request
from flowseg._napari.model_choice import ModelRow, Models
from flowseg._napari.model_info import Model
from flowseg._napari.panels.layer_box import LayerBox
from flowseg._napari.panels.spacing_edit import SpacingEdit
from flowseg._napari.ways import Way, find_ways
from flowseg._nets.lattice import Lattice, Spacing
from flowseg._segmenters.inputs import ESTIMATE

# Diameter of objects in pixels; the minimum, 0, stands for the model's choice.
MAX_DIAMETER = 2000.0


class RequestForm(QWidget):
    """Choose what to segment; notes say what the choices mean."""

    changed = Signal()

    def __init__(self, viewer: Any, models: Models) -> None:
        super().__init__()
        self._viewer, self._models = viewer, models
        self._ways: list[Way] = []
        self.image = LayerBox(viewer, layers.images)
        self.ways = QComboBox()
        self.models = ModelRow(models)
        self.diameter = QDoubleSpinBox()
        self.diameter.setRange(0, MAX_DIAMETER)
        self.diameter.setDecimals(1)
        self.diameter.setSuffix(" px")
        self.diameter.setSpecialValueText("the model's choice")
        self.diameter.setToolTip(
            "Typical diameter of the objects, in volumes of the ball of equal volume, in pixels of the finest axis; 0: "
            "that of the training images, or an estimate if training chose that"
        )
        self.estimate = QCheckBox("Estimate it from the image")
        self.estimate.setToolTip("Segments more than once: first to measure the objects")
        self.spacing = SpacingEdit()
        self.way_note, self.model_note, self.spacing_note = _note(), _note(), _note()
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._form.addRow("Image", self.image)
        self._form.addRow("Model", self.models)
        self._form.addRow("", self.model_note)
        self._form.addRow("Segment", self.ways)
        self._form.addRow(self.way_note)
        self._form.addRow("Diameter", self.diameter)
        self._form.addRow("", self.estimate)
        self._form.addRow("Spacing", self.spacing)
        self._form.addRow(self.spacing_note)
        self._connect()

    def _connect(self) -> None:
        self.estimate.toggled.connect(self.diameter.setDisabled)
        self.image.currentIndexChanged.connect(self._fill)
        self.models.box.currentIndexChanged.connect(self._fill)
        changes = (
            self.diameter.valueChanged,
            self.estimate.toggled,
            self.ways.currentIndexChanged,
            self.spacing.changed,
            self._viewer.dims.events.current_step,
        )
        for signal in changes:
            signal.connect(self._describe)
        self._fill()

    @property
    def model(self) -> Model:
        """The model that is chosen."""
        return self._models.find(self.models.box.currentText())

    @property
    def way(self) -> Way | None:
        """The way that is chosen; None where there is none."""
        return self._ways[self.ways.currentIndex()] if self._ways else None

    def request(self) -> Request:
        """Return the request that the choices make, or raise ValueError where they make none."""
        layer, model, way = self.image.layer(), self.model, self.way
        if layer is None:
            raise ValueError("Open an image to segment; there is no image layer.")
        if layers.channels(layer) != model.n_channels:
            raise ValueError(layers.wrong_channels(layer, model.title, model.n_channels))
        if way is None:
            raise ValueError(layers.no_volume(layer))
        if way.is_every:
            indices = layers.all_images(layer, way.ndim)
        else:
            indices = [layers.shown_image(self._viewer, layer, way.ndim)]
        layers.check_has_pixels(layer)
        diameter = ESTIMATE if self.estimate.isChecked() else self.diameter.value() or None
        spacing = self.spacing.spacing() if way.ndim == VOLUME and _takes_spacing(model) else None
        return Request(layer, tuple(indices), model, diameter, spacing, way)

    def _fill(self) -> None:
        """Fill in what depends on the layer and the model."""
        layer, model, before = self.image.layer(), self.model, self.way
        self._ways = [] if layer is None else find_ways(layer, model)
        self.ways.blockSignals(True)
        self.ways.clear()
        self.ways.addItems([way.title(layer) for way in self._ways])
        self.ways.setCurrentIndex(self._ways.index(before) if before in self._ways else 0)
        self.ways.blockSignals(False)
        self.model_note.setText(model.description + ".")
        self.spacing.follow(layer)
        self._describe()

    def _describe(self, _: Any = None) -> None:
        layer, way, model = self.image.layer(), self.way, self.model
        is_volume = way is not None and way.ndim == VOLUME
        self._form.setRowVisible(self.ways, layer is not None and len(layers.shape(layer)) > PLANE and way is not None)
        self.way_note.setText("" if layer is None else self._about_way(layer, way))
        self._form.setRowVisible(self.way_note, bool(self.way_note.text()))
        self._form.setRowVisible(self.spacing, is_volume)
        self._form.setRowVisible(self.spacing_note, is_volume)
        self.spacing.setEnabled(_takes_spacing(model))
        self.spacing_note.setText(self._about_spacing(model))
        self.changed.emit()

    def _about_way(self, layer: Any, way: Way | None) -> str:
        if way is None:
            return layers.no_volume(layer)
        if way.ndim == PLANE:
            return ""
        *outer, n_planes, n_rows, n_columns = layers.shape(layer)
        text = f"Axis {len(outer)} is taken for the planes of a volume: {n_planes} of {n_rows} x {n_columns} pixels."
        if outer and not way.is_every:
            try:
                index = layers.shown_image(self._viewer, layer, VOLUME)
            except ValueError as error:
                return str(error)
            text += f" The viewer's sliders choose the {NAMES[VOLUME]}: {image_name(index, VOLUME)} now."
        return text

    def _about_spacing(self, model: Model) -> str:
        if not _takes_spacing(model):
            return "The model was trained without spacing, and takes none."
        try:
            given = self.spacing.spacing()
        except ValueError as error:
            return str(error)
        if given is None:
            if model.ndim == PLANE or model.spacing is None:
                return "Not given: voxels are taken to be as long along every axis."
            return f"Not given: voxels are taken for those of the training images, {format_spacing(model.spacing)}."
        text = "As entered." if self.spacing.is_entered else "From the layer's scale."
        if model.ndim == VOLUME and _differs(given, model):
            text += f" The model was trained at {format_spacing(model.spacing or ())}: the volume is scaled to that."
        return text


def _takes_spacing(model: Model) -> bool:
    """Return whether a model of volumes knows the spacing of its training images; one of planes needs no spacing."""
    return model.ndim == PLANE or model.spacing is not None


def _differs(given: Spacing, model: Model) -> bool:
    return Lattice(model.spacing, (0,) * model.ndim).differs(given)


def _note() -> QLabel:
    label = QLabel("")
    label.setWordWrap(True)
    return label
