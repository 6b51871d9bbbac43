"""The panel that suggests what to annotate, in a real viewer: run as tests/test_napari.py."""

import sys

import numpy as np
import pytest
from napari_tools import LONG, finish, needs_viewer

from flowseg import synthetic
from flowseg._napari.job_messages import Message
from flowseg._napari.suggestions.found_boxes import FoundBox, write_boxes
from flowseg._suggest.boxes import Box, cut_out

pytest_plugins = ["napari_tools"]
pytestmark = needs_viewer

BOX = Box(10, 20, 50, 60)
# An object that touches the box, one that the edge of the box cuts, and one beside it.
OBJECTS = np.zeros((80, 100), np.int32)
OBJECTS[20:30, 30:40], OBJECTS[35:45, 55:70], OBJECTS[60:70, 80:90] = 1, 2, 3
NAN = float("nan")


def found(image, box=BOX, doubt=4.13, distance=NAN):
    return FoundBox(image, box, doubt, distance, cut_out(OBJECTS, [box]))


@pytest.fixture
def answer(widget, monkeypatch):
    """Let the worker answer with boxes at once; returns the jobs that it was given."""
    jobs = []

    def with_boxes(boxes):
        def do(job, done):
            jobs.append((job, [np.load(job.image(k)) for k in range(job.n_images)]))
            write_boxes(job.result, boxes)
            done(Message("done", ""))

        monkeypatch.setattr(widget.worker, "do", do)
        return jobs

    return with_boxes


def press(widget):
    widget.suggest.next.click()
    return widget.suggest.place.text()


def draw(seed=0, shape=(80, 100)):
    return np.random.default_rng(seed).random(shape)


def test_from_box_to_box_with_the_worker(viewer, widget, qtbot, said, monkeypatch):
    images = [synthetic.cells((96, 96), 8, rng=seed)[0] for seed in range(3)]
    stack = viewer.add_image(np.stack(images[:2]), name="stack", scale=(1, 0.5, 0.5))
    single = viewer.add_image(images[2], name="single", scale=(0.5, 0.5))
    widget.tabs.setCurrentWidget(widget.suggest)
    widget.suggest.box_size.setValue(48)
    widget.suggest.next.click()
    assert widget.worker.is_busy
    assert not widget.suggest.next.isEnabled()
    qtbot.waitUntil(lambda: "looking at image" in widget.state.text(), timeout=LONG)
    finish(qtbot, widget)
    assert "tensorflow" not in sys.modules
    places = [widget.suggest.place.text()]
    assert places[0].startswith("1 of 3: ")
    assert "objects wrong" in places[0]
    places += [press(widget), press(widget)]
    assert [place[:6] for place in places] == ["1 of 3", "2 of 3", "3 of 3"]
    assert {place.split(": ")[1] for place in places} == {"stack, plane 0", "stack, plane 1", "single"}
    masks = viewer.layers["stack suggested masks"], viewer.layers["single suggested masks"]
    for layer, image in zip(masks, (stack, single)):
        assert (layer.data.shape, layer.data.dtype) == (image.data.shape, np.int32)
        assert np.array_equal(layer.scale, image.scale)
        assert layer.data.min() == -1
        assert layer.data.max() > 0
    labels = [np.unique(plane[plane > 0]) for plane in masks[0].data]
    assert np.intersect1d(*labels).size == 0
    press(widget)
    assert said()[-1][1].startswith("All boxes are annotated: train on the suggested masks")

    # The panel to train takes the masks as they are, with what is not annotated.
    assert {(a.name, b.name) for a, b in widget.train.chosen()} == {
        ("stack", "stack suggested masks"),
        ("single", "single suggested masks"),
    }
    jobs = []
    # tests/test_napari_suggest_worker.py does such a job.
    monkeypatch.setattr(
        widget.worker, "do", lambda job, _: jobs.append([np.load(job.masks(k)) for k in range(job.n_pairs)])
    )
    widget.train.run.click()
    assert np.array_equal(jobs, [[*masks[0].data, masks[1].data]])
    assert [message for severity, message in said() if severity == "error"] == []


def test_the_viewer_goes_to_the_box(viewer, widget, answer):
    stack = viewer.add_image(draw(shape=(2, 3, 80, 100)), name="stack", scale=(1, 2, 0.5, 0.5), translate=(0, 3, 5, 7))
    other = viewer.add_image(draw(1), name="other")
    jobs = answer([found(4, distance=1.5), found(6)])
    assert press(widget) == ("1 of 2: stack, plane 1, 1: about 4.1 objects wrong; unlike the training images")
    assert len(jobs[0][1]) == 7
    assert np.array_equal(jobs[0][1][4], stack.data[1, 1])
    masks = viewer.layers["stack suggested masks"]
    assert viewer.dims.current_step[:2] == (1, 1)
    assert viewer.layers.selection.active is masks
    assert widget.correct.masks.layer() is masks
    assert np.allclose(viewer.scene.camera.center[1:], (5 + 0.5 * 29.5, 7 + 0.5 * 39.5))
    canvas = min(viewer.canvas.size)
    assert 0.4 < 40 * 0.5 * viewer.scene.camera.zoom / canvas < 0.8
    (corners,) = viewer.layers["flowseg box"].data
    assert np.array_equal(corners[:, :2], np.ones((4, 2)))
    assert np.allclose([corners.min(axis=0)[2:], corners.max(axis=0)[2:]], [(9.5, 19.5), (49.5, 59.5)])
    assert not other.visible
    plane = masks.data[1, 1]
    assert (plane[BOX.slices] >= 0).all()
    assert (plane[35:45, 60:70] == 2).all()  # the object that the edge of the box cuts, as a whole
    assert (masks.data == -1).sum() == masks.data.size - 40 * 40 - 100
    assert (masks.data[:, :, 0, 0] == -1).all()

    assert press(widget) == "2 of 2: other: about 4.1 objects wrong"
    assert len(jobs) == 1
    assert (other.visible, stack.visible, masks.visible) == (True, False, False)
    assert viewer.layers["other suggested masks"].visible
    assert [layer.name for layer in viewer.layers if layer.name.startswith("flowseg box")] == ["flowseg box"]
    press(widget)
    widget.suggest.images.check(stack, is_on=False)
    answer([found(0, Box(40, 50, 80, 90))])
    assert press(widget).startswith("1 of 1: other")
    assert len(jobs[1][1]) == 1


def test_pixels_that_are_not_annotated_are_darkened(viewer, widget, answer):
    image = viewer.add_image(draw(), name="image")
    answer([found(0)])
    press(widget)
    masks = viewer.layers["image suggested masks"]
    assert np.allclose(masks.get_color(-1), (0, 0, 0, 0.5))
    assert masks.get_color(0) is None or np.allclose(masks.get_color(0), 0)
    one, two, drawn = (masks.get_color(label) for label in (1, 2, 3))
    assert not np.allclose(one, two)
    assert not np.allclose(two, drawn)
    widget.correct.colors.setCurrentIndex(1)  # there are no scores: an error, and the colors as before
    assert np.allclose(masks.get_color(-1), (0, 0, 0, 0.5))
    image.visible = False
    shown = viewer.screenshot(canvas_only=True, flash=False)[..., :3]
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 3


def test_corrections_are_never_replaced(viewer, widget, answer, said):
    viewer.add_image(draw(), name="image")
    jobs = answer([found(0)])
    press(widget)
    masks = viewer.layers["image suggested masks"]
    masks.paint((15, 25), 9)
    masks.fill((25, 35), 0)
    corrected = masks.data.copy()
    assert corrected[25, 35] == 0
    press(widget)
    assert said()[-1][0] == "info"
    assert widget.suggest.place.text() == ""

    # Another look finds the same box and one that overlaps with it.
    answer([found(0), found(0, Box(30, 50, 70, 90))])
    assert press(widget).startswith("2 of 2: ")
    assert len(jobs) == 2
    annotated = corrected >= 0
    assert np.array_equal(masks.data[annotated], corrected[annotated])
    assert (masks.data[60:70, 80:90] == 10).all()
    assert masks.data[69, 60] == 0
    assert len(viewer.layers) == 3

    # What was erased to unknown is not filled in again, and without the layer there is another one.
    masks.data[40:50, 50:54] = -1
    press(widget)
    assert (masks.data[40:50, 50:54] == -1).all()
    viewer.layers.remove(masks)
    assert press(widget).startswith("1 of 2: ")
    assert viewer.layers["image suggested masks"] is not masks
    viewer.layers["image suggested masks"].data = np.zeros((80, 100), np.uint8)
    answer([found(0)])
    widget.suggest.boxes_per_image.setValue(2)
    press(widget)
    assert viewer.layers["image suggested masks [1]"].data.min() == -1
    assert viewer.layers["image suggested masks"].data.max() == 0


def test_a_choice_that_changes_needs_another_look(viewer, widget, answer, said):
    first = viewer.add_image(draw(), name="first")
    second = viewer.add_image(draw(1), name="second")
    jobs = answer([found(0), found(1), found(0, Box(40, 50, 80, 90))])
    assert press(widget).startswith("1 of 3: first")
    widget.suggest.images.check(second, is_on=False)
    assert press(widget).startswith("3 of 3: first")
    assert len(jobs) == 1
    widget.suggest.images.check(second, is_on=True)
    widget.suggest.box_size.setValue(40)
    assert press(widget).startswith("2 of 3: second")
    assert len(jobs) == 2
    assert jobs[1][0].box_size == 40
    first.data = first.data[::-1].copy()
    press(widget)
    assert len(jobs) == 3
    third = viewer.add_image(draw(2), name="third")
    answer([found(2), found(2, Box(40, 50, 80, 90)), found(0)])
    assert press(widget).startswith("1 of 3: third")
    assert len(jobs[3][1]) == 3
    viewer.layers.remove(third)
    assert press(widget) == ""
    assert len(jobs) == 4
    assert [message for severity, message in said() if severity == "error"] == []


def test_an_image_that_changes_meanwhile(viewer, widget, said, monkeypatch):
    image = viewer.add_image(draw(), name="image")

    def do(job, done):
        write_boxes(job.result, [found(0)])
        image.data = draw(shape=(30, 30))
        done(Message("done", ""))

    monkeypatch.setattr(widget.worker, "do", do)
    press(widget)
    assert said()[-1] == ("error", "The images must stay as they are while they are looked at: press again.")
    assert len(viewer.layers) == 1


def test_cancel(viewer, widget, qtbot, said):
    viewer.add_image(draw(), name="image")
    widget.suggest.next.click()
    assert widget.worker.is_busy
    widget.cancel.click()
    assert not widget.worker.is_busy
    assert widget.suggest.next.isEnabled()
    assert said() == []
    assert len(viewer.layers) == 1


def test_refusals_are_one_sentence(viewer, widget, said, monkeypatch):
    def refused():
        press(widget)
        assert not widget.worker.is_busy
        severity, message = said()[-1]
        assert severity == "error"
        return message

    assert refused() == "Open an image to suggest boxes in; there is no image layer."
    color = viewer.add_image(np.zeros((64, 64, 3), np.uint8), name="color")
    assert refused().startswith("The model 'nuclei (pretrained)' takes images of 1 channel; layer 'color' has 3")
    widget.suggest.images.check(color, is_on=False)
    assert refused() == "Check one image at least to suggest boxes in; none is checked."
    stack = viewer.add_image(draw(shape=(5, 32, 32)), name="stack")
    viewer.dims.ndisplay = 3
    assert refused().startswith("The viewer must show the last two axes, rows and columns, in 2-D to show a box;")
    viewer.dims.ndisplay = 2
    viewer.dims.order = (1, 0, 2)
    assert refused().startswith("The viewer must show the last two axes")
    viewer.dims.order = (0, 1, 2)
    stack.data = np.full((2, 32, 32), np.nan)
    assert refused() == (
        "Layer 'stack' must have a finite number in every pixel; 1024 of 1024 are NaN or infinite in plane 0."
    )
    monkeypatch.setattr("flowseg._napari.panels.suggest.PLANE", 3)  # the model is then one of other images
    assert refused() == ("The model 'nuclei (pretrained)' takes volumes: choose a model of planes to suggest boxes.")
    widget.suggest.model.clear()
    assert refused() == "Open a model to suggest boxes with; there is none."
