"""The panel to find out what to annotate next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image
from napari.utils.notifications import show_info
from qtpy.QtWidgets import QFormLayout, QLabel, QPushButton, QSpinBox, QVBoxLayout, QWidget

from flowseg._napari import layers
from flowseg._napari.error_notifications import showing_errors
from flowseg._napari.image_kinds import PLANE, Index, image_name
from flowseg._napari.job_messages import Message, SuggestJob
from flowseg._napari.model_choice import ModelRow, Models
from flowseg._napari.model_info import Model
from flowseg._napari.panels.image_list import ImageList
from flowseg._napari.suggestions.found_boxes import FoundBox, Queue, read_boxes
from flowseg._napari.suggestions.suggested_layers import BoxLayer, SuggestedMasks, check_shows_planes
from flowseg._napari.worker_process import WorkerProcess
from flowseg._suggest.suggestion import describe_reasons

# Sides of boxes in pixels, and boxes of an image, that can be set; the side 0 stands for the default.
MAX_SIDE, MAX_BOXES = 10_000, 100
HINT = (
    "The model looks at all planes of the images once; then each press shows the next box. Correct every object that "
    "touches it; the rest is darkened: not annotated, and left out of training."
)
PROMISE = "What is annotated in the suggested masks stays as it is."


@dataclass(frozen=True)
class Choices:
    """What boxes are looked for with."""

    model: Model
    box_size: int | None
    boxes_per_image: int


@dataclass(frozen=True)
class Round:
    """The boxes of one look at all images."""

    choices: Choices
    images: tuple[Image, ...]
    places: tuple[tuple[Image, Index], ...]  # layer and plane of each image of the job
    queue: Queue


class SuggestPanel(QWidget):
    """Choose images and a model, and go from one box to the next."""

    def __init__(self, viewer: Any, worker: WorkerProcess, models: Models) -> None:
        super().__init__()
        self._viewer, self._worker, self._models = viewer, worker, models
        self._round: Round | None = None
        self._is_changed = False  # an image, while the worker looks at it
        self._masks, self._box = SuggestedMasks(viewer), BoxLayer(viewer)
        self.images = ImageList(viewer)
        self.models = ModelRow(models)
        self.model, self.open_model = self.models.box, self.models.open_model
        self.box_size, self.boxes_per_image = QSpinBox(), QSpinBox()
        self.box_size.setRange(0, MAX_SIDE)
        self.box_size.setSuffix(" px")
        self.box_size.setSpecialValueText("eight typical diameters")
        self.box_size.setToolTip("Rows and columns of a box; larger than the images gives whole images")
        self.boxes_per_image.setRange(1, MAX_BOXES)
        self.boxes_per_image.setToolTip("Boxes in one image at most; they do not overlap")
        self.next = QPushButton("Suggest next")
        self.next.clicked.connect(self._press)
        self.place = QLabel("")
        self.place.setWordWrap(True)
        self._lay_out()

    def _lay_out(self) -> None:
        hint = QLabel(f"{HINT} {PROMISE}")
        hint.setWordWrap(True)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Images", self.images)
        form.addRow("Model", self.models)
        form.addRow("Box", self.box_size)
        form.addRow("Boxes per image", self.boxes_per_image)
        column = QVBoxLayout(self)
        column.addLayout(form)
        for widget in (self.next, self.place, hint):
            column.addWidget(widget)
        column.addStretch()

    def _press(self) -> None:
        with showing_errors():
            images, choices = self._chosen()
            self._worker.check_idle()
            check_shows_planes(self._viewer)
            last = self._round
            if last is not None and last.choices == choices and set(images) <= set(last.images):
                self._show_next(last)
            else:
                self._look(images, choices)

    def _chosen(self) -> tuple[list[Image], Choices]:
        """Return what is chosen, or raise ValueError where it does not fit together."""
        if not layers.images(self._viewer):
            raise ValueError("Open an image to suggest boxes in; there is no image layer.")
        images, title = self.images.chosen(), self.model.currentText()
        if not images:
            raise ValueError("Check one image at least to suggest boxes in; none is checked.")
        if title not in self._models.titles:
            raise ValueError("Open a model to suggest boxes with; there is none.")
        model = self._models.find(title)
        if model.ndim != PLANE:
            raise ValueError(f"The model '{title}' takes volumes: choose a model of planes to suggest boxes.")
        for image in images:
            if layers.channels(image) != model.n_channels:
                raise ValueError(layers.wrong_channels(image, title, model.n_channels))
            layers.check_has_pixels(image)
        return images, Choices(model, self.box_size.value() or None, self.boxes_per_image.value())

    def _look(self, images: list[Image], choices: Choices) -> None:
        """Let the worker look at all planes."""
        places = tuple((image, index) for image in images for index in layers.all_images(image))
        job = SuggestJob(
            self._worker.new_folder(),
            len(places),
            str(choices.model.path),
            choices.box_size,
            choices.boxes_per_image,
        )
        for k, (image, index) in enumerate(places):
            np.save(job.image(k), layers.pixels(image, index), allow_pickle=False)
        for image in images:
            image.events.data.connect(self._forget)
        self._round, self._is_changed = None, False

        def begin(_: Message) -> None:
            with showing_errors():
                if self._is_changed:
                    raise ValueError("The images must stay as they are while they are looked at: press again.")
                self._round = Round(choices, tuple(images), places, Queue(read_boxes(job.result)))
                check_shows_planes(self._viewer)
                self._show_next(self._round)

        self._worker.do(job, begin)

    def _forget(self, _: Any = None) -> None:
        """Forget the boxes: an image has other pixels now."""
        self._round, self._is_changed = None, True

    def _show_next(self, found: Round) -> None:
        """Show the next box of an image that is still chosen, where it is not annotated yet."""
        images, queue = self.images.chosen(), found.queue

        def is_wanted(box: FoundBox) -> bool:
            image, index = found.places[box.image]
            return image in images and not self._masks.is_annotated(image, index, box.box)

        box = queue.find_next(is_wanted)
        if box is None:
            self._round = None
            self.place.setText("")
            show_info("All boxes are annotated: train on the suggested masks, or press again for another look.")
            return
        image, index = found.places[box.image]
        masks = self._masks.add(image, index, box)
        self._masks.show_only(image, found.images)
        self._box.show(image, index, box.box)
        self._viewer.layers.selection.active = masks
        where = f"{image.name}, {image_name(index)}" if index else image.name
        self.place.setText(f"{queue.n_past} of {len(queue)}: {where}: {describe_reasons(box.doubt, box.distance)}")
