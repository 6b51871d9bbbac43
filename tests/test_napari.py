"""The napari plugin in a real viewer: `xvfb-run python -m pytest tests/test_napari.py`, in a process of its own."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest
from napari_tools import LONG, drag, finish, needs_viewer, set_threshold, squares

import flowseg
from flowseg import metrics, synthetic

pytest_plugins = ["napari_tools"]
pytestmark = needs_viewer


def test_the_manifest_is_valid_and_complete():
    from npe2 import PluginManifest

    manifest = PluginManifest.from_file(Path(flowseg.__file__).parent / "napari.yaml")
    manifest.validate_imports()
    assert manifest.name == "flowseg"
    assert len(manifest.contributions.widgets) == 1
    assert len(manifest.contributions.sample_data) == 3


def test_segments_the_sample_with_scores(viewer, widget, qtbot, said):
    viewer.open_sample("flowseg", "cells")
    image, truth = viewer.layers
    image.scale = truth.scale = (0.5, 0.5)
    widget.segment.image.choose(image)
    widget.segment.flows.setChecked(True)
    widget.segment.run.click()
    assert widget.worker.is_busy
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

    # Thresholds make masks again, without the network; what is changed by hand stays.
    n_before, own = int(masks.data.max()), widget.segment.thresholds.thresholds
    widget.segment.outlines.setChecked(True)
    assert masks.contour == 1
    set_threshold(widget, "min_size", 300)
    finish(qtbot, widget)
    sizes = np.bincount(masks.data.ravel())[1:]
    assert 0 < sizes.size < n_before
    assert sizes.min() >= 300
    assert masks.features["index"].tolist() == list(range(1, sizes.size + 1))
    assert f"{sizes.size} objects in 'cells masks'" in widget.segment.thresholds.state.text()
    large = masks.data.copy()
    masks.contour = 0
    masks.paint((10, 10), 900)
    painted = masks.data.copy()
    widget.segment.thresholds.reset.click()
    assert widget.segment.thresholds.thresholds == own
    finish(qtbot, widget)
    assert np.array_equal(masks.data, painted)
    assert not np.array_equal(painted, large)
    assert said()[-1] == (
        "warning",
        "'cells masks' was changed by hand: the masks with other thresholds are in a new layer.",
    )
    masks = viewer.layers["cells masks [1]"]
    assert masks.contour == 0  # as chosen last in napari's own controls
    assert int(masks.data.max()) == n_before
    assert np.array_equal(masks.scale, image.scale)
    table = masks.features

    # By score in colors: the two ends of the scale are what they should be.
    widget.correct.masks.choose(masks)
    widget.correct.colors.setCurrentIndex(1)
    best, worst = table["index"][table["score"].idxmax()], table["index"][table["score"].idxmin()]
    assert np.sum(masks.get_color(best)[:3]) > np.sum(masks.get_color(worst)[:3])
    widget.correct.next.click()
    assert masks.selected_label == worst
    middle = [0.5 * np.median(axis) for axis in np.nonzero(masks.data == worst)]
    assert np.allclose(viewer.scene.camera.center[1:], middle)
    assert f"object {worst}, " in widget.correct.place.text()
    widget.correct.next.click()
    assert masks.selected_label != worst


def test_planes_of_a_stack(viewer, widget, qtbot, said):
    image, _ = synthetic.cells((96, 96), 8, rng=0)
    blank = np.full_like(image, image.min())
    layer = viewer.add_image(np.stack([image, blank, image[::-1]])[np.newaxis], name="stack")
    viewer.dims.set_point((0, 1), (0, 2))
    widget.segment.run.click()
    finish(qtbot, widget)
    masks = viewer.layers["stack masks"]
    assert masks.data.shape == (1, 3, 96, 96)
    assert [bool(plane.any()) for plane in masks.data[0]] == [False, False, True]
    one = masks.data[0, 2].copy()
    n = int(one.max())
    first_note = ("info", f"stack: {n} objects in plane 0, 2 only; to segment the others, choose all planes")
    assert said() == [first_note]

    # Another plane goes into the same layer, until somebody has changed it; its thresholds are its own.
    viewer.dims.set_point((0, 1), (0, 0))
    assert widget.segment.thresholds.state.text().startswith("Segment first")
    set_threshold(widget, "min_size", 100)
    finish(qtbot, widget)
    assert np.array_equal(masks.data[0, 2], one)
    widget.segment.run.click()
    finish(qtbot, widget)
    assert np.array_equal(masks.data[0, 2], one)
    assert np.unique(masks.data[0, 0])[1] == n + 1
    assert masks.features["plane_1"].value_counts().to_dict() == {2: n, 0: np.unique(masks.data[0, 0]).size - 1}

    # All planes, in one layer of masks, as that was left as it was found.
    widget.segment.thresholds.reset.click()
    widget.segment.ways.setCurrentIndex(1)
    widget.segment.run.click()
    finish(qtbot, widget)
    assert len(viewer.layers) == 2
    first, last = np.unique(masks.data[0, 0])[1:], np.unique(masks.data[0, 2])[1:]
    assert min(first.size, last.size) > 3
    assert not masks.data[0, 1].any()
    assert last[0] == first[-1] + 1  # no number twice
    assert masks.features["plane_1"].tolist() == [0] * first.size + [2] * last.size
    count = f"stack: {first.size + last.size} objects in 3 planes, with labels that do not repeat"
    assert said()[-1] == ("info", f"{count}; without objects, as all pixels have the same value: plane 0, 1")

    # Other pixels in the layer: nothing is made of what the network said of those before.
    layer.data = layer.data[:, :, ::-1].copy()
    set_threshold(widget, "min_size", 0)
    finish(qtbot, widget)
    assert np.array_equal(np.unique(masks.data[0, 2])[1:], last)


def test_cancel_is_prompt_and_the_next_job_works(viewer, widget, qtbot, said):
    viewer.open_sample("flowseg", "cell_stack")
    widget.tabs.setCurrentIndex(2)
    widget.train.start.choose("a new network, small and fast")
    widget.train.run.click()
    qtbot.waitUntil(lambda: "epoch 1" in widget.state.text(), timeout=LONG)
    assert "loss" in widget.state.text()
    assert widget.progress.maximum() == 50 * widget.train.epochs.value()
    process = widget.worker._process
    start = time.monotonic()
    widget.cancel.click()
    assert time.monotonic() - start < 2
    assert process.state() == process.ProcessState.NotRunning
    assert not widget.worker.is_busy
    assert widget.train.run.isEnabled()
    assert not widget.train.save.isEnabled()
    assert said() == []
    widget.segment.run.click()
    finish(qtbot, widget)
    assert "cell stack masks" in viewer.layers


def test_trains_saves_and_segments_with_it(viewer, widget, qtbot, said, tmp_path):
    viewer.open_sample("flowseg", "cell_stack")
    assert widget.train.start.currentText() == "nuclei (pretrained)"
    widget.train.start.choose("a new network, small and fast")
    widget.train.epochs.setValue(1)
    assert [(a.name, b.name) for a, b in widget.train.chosen()] == [("cell stack", "cell stack true masks")]
    widget.train.run.click()
    finish(qtbot, widget)
    assert said()[-1][0] == "info", said()
    assert "6 images, validation images: loss " in widget.train.result.text()
    assert "flow_threshold 0.4, min_size 15, score_threshold none" in widget.train.result.text()
    widget.train.save_model(str(tmp_path / "mine"))
    file = tmp_path / "mine.safetensors"
    assert file.stat().st_size > 100_000

    widget.segment.open_model(str(file))
    assert widget.segment.model.currentText() == "mine.safetensors"
    widget.segment.model.choose("trained 1 (not saved)")
    widget.segment.ways.setCurrentIndex(1)
    widget.segment.run.click()
    finish(qtbot, widget)
    masks, truth = viewer.layers["cell stack masks"], viewer.layers["cell stack true masks"]
    assert metrics.average_precision(list(truth.data), list(masks.data))[0] > 0.1

    # Train it further, on corrected masks of one plane.
    corrected = np.zeros_like(truth.data)
    corrected[2] = truth.data[2]
    viewer.add_labels(corrected, name="corrected")
    (box,) = [row.box for row in widget.train.pairs.rows if row.image.name == "cell stack"]
    box.setCurrentIndex(box.findText("corrected"))
    widget.train.start.choose("mine.safetensors")
    widget.train.epochs.setValue(1)
    widget.train.run.click()
    finish(qtbot, widget)
    assert "trained 2 (not saved): 1 image, no validation images" in widget.train.result.text()
    assert [message for severity, message in said() if severity == "error"] == []


def test_corrections_with_the_mouse(viewer, widget, qtbot, said):
    layer = viewer.add_labels(squares(), name="squares")
    viewer.reset_view()
    qtbot.wait(100)
    correct = widget.correct
    buttons = correct.buttons
    widget.tabs.setCurrentIndex(1)

    buttons["Merge"].click()
    center = viewer.scene.camera.center
    drag(qtbot, viewer, [(20, 15), (20, 35), (20, 45)])
    assert viewer.scene.camera.center == center  # the camera stands still
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
    from flowseg._napari import label_edits

    layer = viewer.add_labels(np.stack([squares(), squares()]))
    across = label_edits.pixels_on_line(layer, [np.array([1, 36, 25]), np.array([1, 58, 25])], (1, 2))
    assert set(across[0]) == {1}
    label_edits.split(layer, across, (1, 2))
    assert np.array_equal(layer.data[0], squares())
    assert np.unique(layer.data[1]).tolist() == [0, 1, 2, 5, 6]
    label_edits.erase(layer, (np.array([1]), np.array([50]), np.array([20])))
    assert 6 not in layer.data
    down = label_edits.pixels_on_line(layer, [np.array([0, 20, 20]), np.array([0, 50, 20])], (1, 2))
    assert label_edits.merge(layer, down) == "Object 1 has 2 parts that do not touch: paint the gap."
    assert np.unique(layer.data).tolist() == [0, 1, 2]


def test_qualities_are_of_unchanged_objects(viewer, qtbot):
    from flowseg._napari import label_edits
    from flowseg._napari.result_layers import ImageResult, ResultLayer

    image = viewer.add_image(np.random.default_rng(0).random((60, 80)), name="image")
    masks = np.where(squares() == 5, 3, squares()).astype(np.int32)
    objects = {"label": np.arange(1, 4), "area": np.array([400, 400, 900]), "score": np.array([0.9, 0.8, 0.7])}
    result = ResultLayer(viewer, image, contour=2)
    result.write([()], [ImageResult(masks, objects, None)])
    layer = result.layer
    assert layer.contour == 2
    assert not result.is_edited([()])
    assert layer.features.columns.tolist() == ["index", "score", "area"]
    label_edits.erase(layer, (np.array([20]), np.array([20])))
    assert layer.features["index"].tolist() == [2, 3]
    assert result.is_edited([()])
    label_edits.merge(layer, label_edits.pixels_on_line(layer, [np.array([20, 40]), np.array([50, 40])], (0, 1)))
    assert layer.features["index"].tolist() == []
    layer.undo()
    with layer.block_history():
        layer.paint((45, 15), 9)
    assert layer.features["index"].tolist() == [2]


def test_no_object_is_no_error(viewer):
    from flowseg._napari import doubtful_objects
    from flowseg._napari.result_layers import ImageResult, ResultLayer

    image = viewer.add_image(np.eye(16), name="image")
    nothing = {"label": np.array([], dtype=int), "score": np.array([])}
    result = ResultLayer(viewer, image, contour=0)
    result.write([()], [ImageResult(np.zeros((16, 16), dtype=np.int32), nothing, None)])
    layer = result.layer
    assert len(layer.features) == 0
    assert layer.get_status((2, 2), world=True)
    with pytest.raises(ValueError, match=r"must have a flow error for its objects; it has none"):
        doubtful_objects.doubtful_first(layer)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (
            np.full((2, 16, 16), np.nan),
            "Layer 'x' must have a finite number in every pixel; 256 of 256 are NaN or infinite in plane 0.",
        ),
        (
            np.zeros((64, 64, 3), dtype=np.uint8),
            "The model 'nuclei (pretrained)' takes images of 1 channel; layer 'x' has 3: split it (right click on it, "
            "Split RGB) and choose one channel.",
        ),
    ],
)
def test_refusals_to_segment_are_one_sentence(viewer, widget, said, data, sentence):
    viewer.add_image(data, name="x")
    widget.segment.run.click()
    assert said() == [("error", sentence)]
    assert not widget.worker.is_busy


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
    widget.correct.colors.setCurrentIndex(1)
    assert "must have a score for its objects" in said()[-1][1]
    assert widget.correct.colors.currentIndex() == 0

    # Messages of the worker process, and its end.
    viewer.add_image(np.ones((32, 32)), name="flat")
    n_said = len(said())
    widget.segment.run.click()
    finish(qtbot, widget)
    assert said()[n_said:] == [("info", "flat: 0 objects, as all pixels have the same value")]
    assert not viewer.layers["flat masks"].data.any()
    widget.segment.run.click()
    widget.worker._process.kill()
    finish(qtbot, widget)
    assert said()[-1][1].startswith("The process that segments and trains has ended: ")
    assert widget.segment.run.isEnabled()


def test_color_layers_are_trained_on_in_color(viewer, widget, said):
    image, masks = synthetic.cells((64, 64), 5, rng=0)
    color = (np.clip(np.stack([image, image, image, np.ones_like(image)], axis=-1), 0, 1) * 255).astype(np.uint8)
    layer = viewer.add_image(color, name="color")
    viewer.add_labels(masks, name="color masks")
    viewer.add_image(image, name="gray")
    viewer.add_labels(masks, name="gray masks")
    assert len(widget.train.chosen()) == 2
    widget.train.run.click()
    assert said() == [("error", "The images must all be gray or all be in color; there are some of each.")]
    from flowseg._napari import layers

    assert layers.channels(layer) == 3
    assert layers.pixels(layer, ()).shape == (64, 64, 3)


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
    widget.worker._start()
    process, running = widget.worker._process, widget.worker._running
    qtbot.waitUntil(lambda: process.state() == process.ProcessState.Running, timeout=LONG)
    if what == "dock":
        viewer.window.remove_dock_widget("all")
        viewer.add_image(np.eye(8))  # nobody minds
    else:
        viewer.close()
    qtbot.waitUntil(lambda: running == [], timeout=LONG)
