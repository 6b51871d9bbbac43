"""The napari plugin in a real viewer: `xvfb-run python -m pytest tests/test_napari.py`, in a process of its own."""

import importlib.util
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import flowseg
from flowseg import metrics, synthetic

# Time for the child to start TensorFlow and to do a job on a busy machine, in milliseconds.
LONG = 900_000


def why_not():
    missing = [name for name in ("napari", "qtpy", "pytestqt") if importlib.util.find_spec(name) is None]
    if missing:
        return f"{', '.join(missing)} not installed"
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        return "no display: run under xvfb-run"
    if "tensorflow" in sys.modules:
        return "TensorFlow beside a software OpenGL crashes: run this file in a process of its own"
    return None


pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


@pytest.fixture(autouse=True)
def _no_tensorflow():
    if "tensorflow" in sys.modules:
        pytest.skip(why_not())


@pytest.fixture
def viewer(make_napari_viewer):
    from npe2 import PluginManager, PluginManifest

    manager = PluginManager.instance()
    if "flowseg" not in manager._manifests:  # not installed with metadata
        manager.register(PluginManifest.from_file(Path(flowseg.__file__).parent / "napari.yaml"))
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 800)
    return viewer


@pytest.fixture
def widget(viewer):
    return viewer.window.add_plugin_dock_widget("flowseg", "Segment, correct and train")[1]


@pytest.fixture
def said(viewer):
    """What the viewer has notified of since, as (severity, message)."""
    from napari.utils.notifications import notification_manager

    notification_manager.records.clear()
    return lambda: [(str(r.severity), r.message) for r in notification_manager.records]


def finish(qtbot, widget):
    qtbot.waitUntil(lambda: not widget.child.is_busy, timeout=LONG)


def drag(qtbot, viewer, points):
    """Press, move and release the mouse on the canvas, at points in world coordinates (row, column)."""
    from qtpy.QtCore import QPoint, Qt

    canvas = viewer.window._qt_viewer.canvas.native
    middle = np.array([canvas.height(), canvas.width()]) / 2
    places = [middle + (np.array(p) - viewer.scene.camera.center[1:]) * viewer.scene.camera.zoom for p in points]
    pixels = [QPoint(round(float(x)), round(float(y))) for y, x in places]
    qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, pos=pixels[0])
    for pixel in pixels[1:]:
        qtbot.mouseMove(canvas, pos=pixel)
        qtbot.wait(30)
    qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=pixels[-1])
    qtbot.wait(30)


def squares():
    """Three squares: 1 and 2 touch, 5 is alone."""
    masks = np.zeros((60, 80), dtype=np.int32)
    masks[10:30, 10:30] = 1
    masks[10:30, 30:50] = 2
    masks[40:55, 10:70] = 5
    return masks


def test_the_manifest_is_valid_and_complete():
    from npe2 import PluginManifest

    manifest = PluginManifest.from_file(Path(flowseg.__file__).parent / "napari.yaml")
    manifest.validate_imports()
    assert manifest.name == "flowseg"
    assert len(manifest.contributions.widgets) == 1
    assert len(manifest.contributions.sample_data) == 2


def test_segments_the_sample_and_says_how_good_objects_are(viewer, widget, qtbot, said):
    viewer.open_sample("flowseg", "cells")
    image, truth = viewer.layers
    image.scale = truth.scale = (0.5, 0.5)
    widget.segment.image.choose(image)
    widget.segment.flows.setChecked(True)
    widget.segment.run.click()
    assert widget.child.is_busy
    assert widget.cancel.isEnabled()
    finish(qtbot, widget)
    assert "tensorflow" not in sys.modules
    masks, flows = viewer.layers["cells masks"], viewer.layers["cells flows"]
    assert flows.rgb
    assert flows.data.shape == (*image.data.shape, 3)
    assert np.array_equal(masks.scale, image.scale)
    assert metrics.average_precision([truth.data], [masks.data])[0] > 0.5
    table = masks.features
    assert list(table.columns[:2]) == ["index", "score"]
    assert set(table) >= {"area", "diameter", "flow_error", "cellprob", "touches_border"}
    assert table["index"].tolist() == np.unique(masks.data)[1:].tolist()
    assert table["area"].tolist() == np.bincount(masks.data.ravel())[1:].tolist()
    place = np.argwhere(masks.data == 7)[0]
    assert f"score: {table['score'][6]:.3g}"[:8] in masks.get_status(tuple(0.5 * place), world=True)["value"]
    assert said() == [("info", f"cells: {masks.data.max()} objects")]

    # By score in colours: the two ends of the scale are what they should be.
    widget.correct.masks.choose(masks)
    widget.correct.colours.setCurrentIndex(1)
    best, worst = table["index"][table["score"].idxmax()], table["index"][table["score"].idxmin()]
    assert np.sum(masks.get_color(best)[:3]) > np.sum(masks.get_color(worst)[:3])
    widget.correct.next.click()
    assert masks.selected_label == worst
    middle = [0.5 * np.median(axis) for axis in np.nonzero(masks.data == worst)]
    assert np.allclose(viewer.scene.camera.center[1:], middle)
    assert f"object {worst}, " in widget.correct.place.text()
    widget.correct.next.click()
    assert masks.selected_label != worst


def test_planes_are_segmented_each_on_its_own(viewer, widget, qtbot, said):
    image, _ = synthetic.cells((96, 96), 8, rng=0)
    blank = np.full_like(image, image.min())
    viewer.add_image(np.stack([image, blank, image[::-1]]), name="stack")
    widget.segment.run.click()
    finish(qtbot, widget)
    masks = viewer.layers["stack masks"]
    assert masks.data.shape == (3, 96, 96)
    assert not masks.data[1].any()
    first, last = np.unique(masks.data[0])[1:], np.unique(masks.data[2])[1:]
    assert min(first.size, last.size) > 3
    assert last[0] == first[-1] + 1  # no number twice
    assert masks.features["plane"].tolist() == [0] * first.size + [2] * last.size
    assert ("warning", "plane 2 is constant and was left without objects.") in said()


def test_cancel_is_prompt_and_the_next_job_works(viewer, widget, qtbot, said):
    viewer.open_sample("flowseg", "cell_stack")
    widget.tabs.setCurrentIndex(2)
    widget.train.start.choose("a new network, small and fast")
    widget.train.run.click()
    qtbot.waitUntil(lambda: "epoch 1" in widget.state.text(), timeout=LONG)
    assert "loss" in widget.state.text()
    assert widget.progress.maximum() == 50 * widget.train.epochs.value()
    process = widget.child._process
    start = time.monotonic()
    widget.cancel.click()
    assert time.monotonic() - start < 2
    assert process.state() == process.ProcessState.NotRunning
    assert not widget.child.is_busy
    assert widget.train.run.isEnabled()
    assert not widget.train.save.isEnabled()
    assert said() == []
    widget.segment.run.click()
    finish(qtbot, widget)
    assert "cell stack masks" in viewer.layers


def test_trains_saves_and_segments_with_it(viewer, widget, qtbot, said, tmp_path):
    viewer.open_sample("flowseg", "cell_stack")
    widget.train.start.choose("a new network, small and fast")
    widget.train.epochs.setValue(2)
    assert [(a.name, b.name) for a, b in widget.train.chosen()] == [("cell stack", "cell stack true masks")]
    widget.train.run.click()
    finish(qtbot, widget)
    assert said()[-1][0] == "info", said()
    assert "6 images, typical diameter" in widget.train.result.text()
    widget.train.save_model(str(tmp_path / "mine"))
    file = tmp_path / "mine.safetensors"
    assert file.stat().st_size > 100_000

    widget.segment.open_model(str(file))
    assert widget.segment.model.currentText() == "mine.safetensors"
    widget.segment.model.choose("trained 1 (not saved)")
    widget.segment.run.click()
    finish(qtbot, widget)
    masks, truth = viewer.layers["cell stack masks"], viewer.layers["cell stack true masks"]
    assert metrics.average_precision(list(truth.data), list(masks.data))[0] > 0.3

    # Train it further, on corrected masks of one plane.
    corrected = np.zeros_like(truth.data)
    corrected[2] = truth.data[2]
    viewer.add_labels(corrected, name="corrected")
    row = [image.name for image, _, _ in widget.train._rows].index("cell stack")
    box = widget.train._rows[row][2]
    box.setCurrentIndex(box.findText("corrected"))
    widget.train.start.choose("mine.safetensors")
    widget.train.epochs.setValue(1)
    widget.train.run.click()
    finish(qtbot, widget)
    assert "trained 2 (not saved): 1 images" in widget.train.result.text()
    assert [message for severity, message in said() if severity == "error"] == []


def test_corrections_with_the_mouse(viewer, widget, qtbot, said):
    layer = viewer.add_labels(squares(), name="squares")
    viewer.reset_view()
    qtbot.wait(100)
    correct = widget.correct
    buttons = correct.buttons
    widget.tabs.setCurrentIndex(1)

    buttons["Merge"].click()
    centre = viewer.scene.camera.center
    drag(qtbot, viewer, [(20, 15), (20, 35), (20, 45)])
    assert viewer.scene.camera.center == centre  # the camera stands still
    assert np.unique(layer.data).tolist() == [0, 1, 5]
    assert (layer.data == 1).sum() == 800
    assert len(viewer.layers) == 1  # the line is gone
    layer.undo()
    assert np.array_equal(layer.data, squares())
    buttons["Merge"].click()
    assert not buttons["Merge"].isChecked()

    buttons["Split"].click()
    drag(qtbot, viewer, [(36, 25), (48, 26), (58, 25)])
    assert np.unique(layer.data).tolist() == [0, 1, 2, 5, 6]
    assert np.array_equal(layer.data > 0, squares() > 0)
    assert (layer.data == 5).sum() > (layer.data == 6).sum() > 200
    drag(qtbot, viewer, [(20, 15), (20, 20)])
    assert said()[-1] == ("error", "The line must cross object 1 from border to border to split it; it does not.")
    correct.undo.click()
    assert np.array_equal(layer.data, squares())
    correct.redo.click()
    assert 6 in layer.data

    buttons["Delete"].click()
    drag(qtbot, viewer, [(20, 20)])
    assert 1 not in layer.data
    drag(qtbot, viewer, [(5, 5)])
    assert said()[-1] == ("error", "The click must be on an object to delete it; it is on the background.")

    buttons["New object"].click()
    assert not buttons["Delete"].isChecked()
    assert (layer.mode, layer.selected_label, layer.preserve_labels) == ("paint", 7, True)
    drag(qtbot, viewer, [(20, 20), (20, 29)])
    assert (layer.data == 7).sum() > 100
    assert (layer.data == 2).sum() == 400


def test_a_tool_is_put_down_for_napari_s_own(viewer, widget):
    layer = viewer.add_labels(squares())
    widget.correct.buttons["Split"].click()
    assert not layer.mouse_pan
    layer.mode = "fill"
    assert not widget.correct.buttons["Split"].isChecked()
    assert viewer.mouse_drag_callbacks.count(widget.correct._tool._drag) == 0
    layer.mode = "pan_zoom"
    assert layer.mouse_pan


def test_corrections_in_a_stack(viewer):
    from flowseg import _napari_edit as edit

    layer = viewer.add_labels(np.stack([squares(), squares()]))
    across = edit.pixels_on_line(layer, [np.array([1, 36, 25]), np.array([1, 58, 25])], (1, 2))
    assert set(across[0]) == {1}
    edit.split(layer, across, (1, 2))
    assert np.array_equal(layer.data[0], squares())
    assert np.unique(layer.data[1]).tolist() == [0, 1, 2, 5, 6]
    edit.erase(layer, (np.array([1]), np.array([50]), np.array([20])))
    assert 6 not in layer.data
    down = edit.pixels_on_line(layer, [np.array([0, 20, 20]), np.array([0, 50, 20])], (1, 2))
    assert edit.merge(layer, down) == "Object 1 is in 2 pieces that do not touch: paint the gap."
    assert np.unique(layer.data).tolist() == [0, 1, 2]


def test_quality_is_that_of_objects_nobody_has_touched(viewer, qtbot):
    from flowseg import _napari_edit as edit
    from flowseg import _napari_layers as layers

    image = viewer.add_image(np.random.default_rng(0).random((60, 80)), name="image")
    masks = np.where(squares() == 5, 3, squares()).astype(np.int32)
    objects = {"label": np.arange(1, 4), "area": np.array([400, 400, 900]), "score": np.array([0.9, 0.8, 0.7])}
    layer = layers.add_found(viewer, image, [layers.Found(masks, objects, None)])
    assert layer.features.columns.tolist() == ["index", "score", "area"]
    edit.erase(layer, (np.array([20]), np.array([20])))
    assert layer.features["index"].tolist() == [2, 3]
    edit.merge(layer, edit.pixels_on_line(layer, [np.array([20, 40]), np.array([50, 40])], (0, 1)))
    assert layer.features["index"].tolist() == []
    layer.undo()
    with layer.block_history():
        layer.paint((45, 15), 9)
    assert layer.features["index"].tolist() == [2]


def test_no_object_is_no_error(viewer):
    from flowseg import _napari_layers as layers
    from flowseg import _napari_quality as quality

    image = viewer.add_image(np.eye(16), name="image")
    nothing = {"label": np.array([], dtype=int), "score": np.array([])}
    layer = layers.add_found(viewer, image, [layers.Found(np.zeros((16, 16), dtype=np.int32), nothing, None)])
    assert len(layer.features) == 0
    assert layer.get_status((2, 2), world=True)
    with pytest.raises(ValueError, match=r"must have a flow error for its objects; it has none"):
        quality.doubtful_first(layer)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (np.zeros((2, 3, 16, 16)), "Layer 'x' must be an image or a stack (plane, rows, columns); it has 4 axes."),
        (
            np.zeros((64, 64, 3), dtype=np.uint8),
            "The model 'nuclei (pretrained)' takes images of 1 channel; layer 'x' has 3: split it (right click on it, "
            "Split RGB) and choose one channel.",
        ),
    ],
)
def test_what_cannot_be_segmented_is_said_in_a_sentence(viewer, widget, said, data, sentence):
    viewer.add_image(data, name="x")
    widget.segment.run.click()
    assert said() == [("error", sentence)]
    assert not widget.child.is_busy


def test_errors_are_notifications(viewer, widget, qtbot, said, tmp_path):
    widget.segment.run.click()
    widget.train.run.click()
    for button in widget.correct.buttons.values():
        button.click()
        assert not button.isChecked()
    assert {severity for severity, _ in said()} == {"error"}
    assert "Open an image to segment; there is no image layer." in said()[0][1]
    assert len(said()) == 6

    wrong = tmp_path / "wrong.safetensors"
    wrong.write_bytes(b"no model")
    widget.segment.open_model(str(wrong))
    assert "must be a flowseg model in .safetensors format" in said()[-1][1]
    assert widget.segment.model.currentText() == "nuclei (pretrained)"

    small = viewer.add_labels(np.arange(256, dtype=np.uint8).reshape(16, 16), name="small")
    widget.correct.masks.choose(small)
    widget.correct.buttons["New object"].click()
    assert said()[-1][1] == "Layer 'small' must have room for another label; uint8 has none: convert it to int32."
    widget.correct.colours.setCurrentIndex(1)
    assert "must have a score for its objects" in said()[-1][1]
    assert widget.correct.colours.currentIndex() == 0

    # What the child says of a job, and the death of the child.
    viewer.add_image(np.ones((32, 32)), name="flat")
    widget.segment.run.click()
    finish(qtbot, widget)
    assert ("warning", "the image is constant (the same value in all pixels): no objects there.") in said()
    widget.segment.run.click()
    widget.child._process.kill()
    finish(qtbot, widget)
    assert said()[-1][1].startswith("The process that segments and trains has ended: ")
    assert widget.segment.run.isEnabled()


def test_colour_layers_are_trained_on_in_colour(viewer, widget, said):
    image, masks = synthetic.cells((64, 64), 5, rng=0)
    colour = (np.clip(np.stack([image, image, image, np.ones_like(image)], axis=-1), 0, 1) * 255).astype(np.uint8)
    layer = viewer.add_image(colour, name="colour")
    viewer.add_labels(masks, name="colour masks")
    viewer.add_image(image, name="grey")
    viewer.add_labels(masks, name="grey masks")
    assert len(widget.train.chosen()) == 2
    widget.train.run.click()
    assert said() == [("error", "The images must all be grey or all be in colour; there are some of each.")]
    from flowseg import _napari_layers as layers

    assert layers.channels(layer) == 3
    assert [plane.shape for plane in layers.planes(layer)] == [(64, 64, 3)]


def test_boxes_follow_layers_and_names(viewer, widget):
    first = viewer.add_image(np.eye(8), name="one")
    viewer.add_image(np.eye(9), name="two")
    box = widget.segment.image
    assert box.currentText() == "two"  # the layer chosen in the viewer
    viewer.layers.selection.active = first
    assert box.currentText() == "one"
    first.name = "renamed"
    assert box.currentText() == "renamed"
    viewer.layers.remove(first)
    assert box.currentText() == "two"


@pytest.mark.parametrize("what", ["dock", "viewer"])
def test_the_process_ends_with_the_panel(viewer, widget, qtbot, what):
    widget.child._start()
    process, running = widget.child._process, widget.child._running
    qtbot.waitUntil(lambda: process.state() == process.ProcessState.Running, timeout=LONG)
    if what == "dock":
        viewer.window.remove_dock_widget("all")
        viewer.add_image(np.eye(8))  # nobody minds
    else:
        viewer.close()
    qtbot.waitUntil(lambda: running == [], timeout=LONG)
