"""The napari plugin with volumes, in a viewer: `xvfb-run python -m pytest tests/test_napari_volumes.py`."""

import csv
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from napari_tools import finish, needs_viewer, set_threshold, squares

from flowseg import io, synthetic
from flowseg._napari.model_info import Model
from flowseg._segmenters.learned_decoding.thresholds import Thresholds

pytest_plugins = ["napari_tools"]
pytestmark = needs_viewer

SPACING = (2.0, 1.0, 1.0)
TRAIN = f"""
import sys
from flowseg import FlowSegmenter, synthetic
image, masks = synthetic.cells((8, 32, 32), 5, diameter=12, spacing={SPACING}, rng=0)
segmenter = FlowSegmenter(
    ndim=3, filters=(4, 8), crop_size=16, batch_size=1, epochs=1, steps_per_epoch=5, random_state=0, flow_threshold=None
)
segmenter.fit([image], [masks], spacing={SPACING}).save(sys.argv[1])
"""


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    """A model of volumes; trained in another process, as TensorFlow must not be in the viewer's."""
    file = tmp_path_factory.mktemp("model") / "volumes.safetensors"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    subprocess.run([sys.executable, "-P", "-c", TRAIN, str(file)], check=True, env=environment)
    return file


@pytest.fixture
def add_model(widget, monkeypatch, tmp_path):
    """Add a model without a file that is worth loading."""

    def add(title, ndim=3, spacing=SPACING, n_channels=1):
        model = Model(title, tmp_path, ndim, n_channels, True, False, Thresholds(), spacing, 20.0)
        monkeypatch.setattr("flowseg._napari.model_choice.read_model", lambda *_: model)
        widget.models.add(tmp_path, title)
        return model

    return add


@pytest.fixture
def jobs(widget, monkeypatch):
    """The jobs that the panel starts, with the function to call at their end; none is done."""
    started = []
    monkeypatch.setattr(widget.worker, "do", lambda job, done: started.append((job, done)))
    return started


def titles(box):
    return [box.itemText(k) for k in range(box.count())]


def test_a_volume_becomes_a_layer_at_its_place(viewer, widget, qtbot, said, model_file, tmp_path):
    image, _ = synthetic.cells((10, 40, 40), 8, diameter=12, spacing=SPACING, rng=1)
    layer = viewer.add_image(image, name="volume", scale=(0.5, 0.25, 0.25), translate=(3, 4, 5))
    form = widget.segment.form
    widget.segment.open_model(str(model_file))
    assert titles(form.ways) == ["the volume"]
    assert form.way_note.text() == "Axis 0 is taken for the planes of a volume: 10 of 40 x 40 pixels."
    assert form.model_note.text().startswith("Takes volumes of 1 channel; spacing 2 x 1 x 1; objects of ")
    assert form.spacing.text() == "0.5, 0.25, 0.25"
    layer.scale = SPACING
    assert (form.spacing.text(), form.spacing_note.text()) == ("2, 1, 1", "From the layer's scale.")
    widget.segment.flows.setChecked(True)
    set_threshold(widget, "min_size", 5)
    widget.segment.run.click()
    finish(qtbot, widget)
    assert [message for severity, message in said() if severity == "error"] == []
    masks = viewer.layers["volume masks"]
    assert masks.data.shape == image.shape
    assert np.array_equal(masks.scale, SPACING)
    assert np.array_equal(masks.translate, (3, 4, 5))
    assert viewer.layers["volume flows"].data.shape == (*image.shape, 3)
    sizes = np.bincount(masks.data.ravel())[1:]
    assert masks.features["index"].tolist() == list(range(1, sizes.size + 1))
    assert masks.features["volume"].tolist() == sizes.tolist()
    assert sizes.max() > 40 * 40 / 8  # objects extend over planes

    # Other thresholds, from the outputs that are kept.
    n = sizes.size
    set_threshold(widget, "min_size", int(np.sort(sizes)[n // 2]))
    finish(qtbot, widget)
    assert 0 < masks.data.max() < n

    # The next doubtful object is shown in the plane that holds most of it.
    widget.correct.masks.choose(masks)
    assert widget.correct.through.isChecked()
    widget.correct.next.click()
    shown = int(np.rint(masks.world_to_data(viewer.dims.point)[0]))
    of_planes = (masks.data == masks.selected_label).sum(axis=(1, 2))
    assert of_planes[shown] == of_planes.max() > 0

    # Files: a volume with its spacing, measured in 3-D.
    widget.export.masks.choose(masks)
    assert widget.export.stack.currentText() == "the planes of a volume"
    widget.export.kinds["csv"].setChecked(True)
    widget.export.export_to(str(tmp_path))
    assert np.array_equal(io.read_masks(tmp_path / "volume_masks.tif"), masks.data)
    assert io.read_spacing(tmp_path / "volume_masks.tif") == pytest.approx(SPACING)
    with open(tmp_path / "volume_objects.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [float(row["volume"]) for row in table] == np.bincount(masks.data.ravel())[1:].tolist()
    assert float(table[0]["volume_um3"]) == 2 * float(table[0]["volume"])
    assert float(table[0]["flow_error"]) == pytest.approx(masks.features["flow_error"][0])


def test_a_model_of_planes_makes_one_volume(viewer, widget, qtbot, said):
    image, _ = synthetic.cells((6, 40, 40), 5, diameter=14, spacing=SPACING, rng=1)
    viewer.add_image(image, name="volume", scale=SPACING)
    assert titles(widget.segment.ways) == [
        "the plane shown",
        "all 6 planes",
        "the volume, from planes of three orientations",
        "the volume, from planes, stitched by overlap",
    ]
    for k, name in ((2, "volume masks"), (3, "volume masks [1]")):
        widget.segment.ways.setCurrentIndex(k)
        assert widget.segment.form.spacing_note.text() == "From the layer's scale."
        widget.segment.run.click()
        finish(qtbot, widget)
        masks = viewer.layers[name]
        n = int(masks.data.max())
        assert said()[-1] == ("info", f"volume: {n} object{'s' * (n != 1)}")
        assert n > 0
        assert (masks.data == 1).any(axis=(1, 2)).sum() > 1
    widget.export.masks.choose(masks)
    assert widget.export.stack.currentText() == "the planes of a volume"


def test_models_of_volumes_say_what_they_cannot_take(viewer, widget, said, add_model, jobs):
    add_model("mine")
    form = widget.segment.form
    plane = viewer.add_image(np.eye(16), name="plane")
    form.models.box.choose("mine")
    sentence = (
        "Layer 'plane' is a plane, without the axis of planes that a volume has: open the planes as one layer, or "
        "choose a model of planes."
    )
    assert form.way_note.text() == sentence
    widget.segment.run.click()
    assert said() == [("error", sentence)]
    assert jobs == []

    film = viewer.add_image(np.zeros((4, 16, 16)), name="film", axis_labels=("t", "y", "x"))
    assert form.way_note.text().startswith("Axis 0 of layer 'film' is time, by its name, and the planes of a volume")
    viewer.add_image(np.zeros((4, 16, 16)), name="in seconds", units=("s", "um", "um"))
    assert "is time, by its unit" in form.way_note.text()
    form.models.box.choose("nuclei (pretrained)")
    assert titles(form.ways) == ["the plane shown", "all 4 planes"]
    film.axis_labels = ("z", "y", "x")
    form.image.choose(film)
    form.models.box.choose("mine")
    assert titles(form.ways) == ["the volume"]
    form.image.choose(plane)
    assert form.ways.count() == 0


def test_sliders_choose_among_volumes(viewer, widget, said, add_model, jobs):
    add_model("mine")
    data = np.random.default_rng(0).random((2, 3, 5, 16, 16))
    viewer.add_image(data, name="many", scale=(1, 1, 3, 1, 1))
    form = widget.segment.form
    form.models.box.choose("mine")
    viewer.dims.set_point((0, 1), (1, 2))
    assert titles(form.ways) == ["the volume shown", "all 6 volumes"]
    assert form.way_note.text() == (
        "Axis 2 is taken for the planes of a volume: 5 of 16 x 16 pixels. The viewer's sliders choose the volume: "
        "volume 1, 2 now."
    )
    widget.segment.run.click()
    ((job, done),) = jobs
    assert (job.images, job.ndim, job.mode, job.spacing) == (("volume 1, 2",), 3, "", (3, 1, 1))
    assert np.array_equal(np.load(job.image(0)), data[1, 2])

    # What the child writes goes to its place.
    from safetensors.numpy import save_file

    found = np.zeros((5, 16, 16), dtype=np.int32)
    found[1:4, 2:9, 2:9] = 1
    save_file({"masks": found, "object_label": np.array([1]), "object_volume": np.array([147])}, job.result(0))
    done(replace_text("1 object"))
    masks = viewer.layers["many masks"]
    assert np.array_equal(masks.data[1, 2], found)
    assert masks.data.sum() == 147
    assert masks.features.iloc[0].to_dict() == {"index": 1, "volume": 147, "volume_0": 1, "volume_1": 2}
    assert said()[-1] == (
        "info", "many: 1 object in volume 1, 2 only; to segment the others, choose all volumes",
    )  # fmt: skip
    form.ways.setCurrentIndex(1)
    widget.segment.run.click()
    assert len(jobs[-1][0].images) == 6


def replace_text(text):
    from flowseg._napari.job_messages import Message

    return replace(Message("done"), text=text)


def test_spacing_is_shown_and_can_be_entered(viewer, widget, qtbot, said, add_model, jobs):
    add_model("with")
    add_model("without", spacing=None)
    form = widget.segment.form
    viewer.add_image(np.random.default_rng(0).random((5, 16, 16)), name="volume")
    form.models.box.choose("with")
    assert form.spacing.text() == ""
    assert form.spacing_note.text() == "Not given: voxels are taken for those of the training images, 2 x 1 x 1."
    widget.segment.run.click()
    form.spacing.setFocus()
    qtbot.keyClicks(form.spacing, "3 1 1")
    assert form.spacing_note.text() == ("As entered. The model was trained at 2 x 1 x 1: the volume is scaled to that.")
    viewer.layers["volume"].scale = (7, 1, 1)
    assert form.spacing.text() == "3 1 1"
    widget.segment.run.click()
    form.spacing.enter("3, 0, 1")
    widget.segment.run.click()
    sentence = "Spacing must be three numbers above 0, of planes, rows and columns, or empty; got '3, 0, 1'."
    assert form.spacing_note.text() == sentence
    assert said() == [("error", sentence)]
    form.models.box.choose("without")
    assert form.spacing_note.text() == "The model was trained without spacing, and takes none."
    assert not form.spacing.isEnabled()
    widget.segment.run.click()
    assert [job.spacing for job, _ in jobs] == [None, (3, 1, 1), None]


def test_color_volumes(viewer, widget, said, add_model, jobs):
    add_model("color", n_channels=3)
    data = np.random.default_rng(0).integers(0, 255, (4, 12, 12, 4), dtype=np.uint8)
    viewer.add_image(data, name="color", rgb=True)
    widget.segment.model.choose("color")
    widget.segment.run.click()
    assert np.array_equal(np.load(jobs[0][0].image(0)), data[..., :3])
    assert said() == []


def test_trains_on_volumes(viewer, widget, said, add_model, jobs):
    add_model("mine")
    image, masks = synthetic.cells((8, 32, 32), 5, diameter=12, spacing=SPACING, rng=0)
    masks[:, 5] = 0
    masks[::2] = 0
    first = viewer.add_image(image, name="a", scale=SPACING)
    viewer.add_labels(masks, name="a masks", scale=SPACING)
    train = widget.train
    assert train.kind.currentText() == "planes, each on its own"
    assert train.pairs.isColumnHidden(2)
    train.kind.setCurrentIndex(1)
    train.kind.activated.emit(1)
    assert train.start.currentText() == "a new network"
    assert not train.pairs.isColumnHidden(2)
    assert train.annotated.currentText() == "everything: 0 is background"  # a choice, not a guess
    train.run.click()
    (row,) = train.pairs.rows
    row.spacing.enter("4 2 2")
    train.annotated.setCurrentIndex(1)
    train.run.click()
    train.annotated.setCurrentIndex(2)
    train.start.choose("mine")
    train.run.click()
    (plain, _), (planes, _), (rows, _) = jobs
    assert (plain.ndim, plain.spacings, plain.start) == (3, (SPACING,), "a new network")
    assert np.array_equal(np.load(plain.image(0)), image)
    assert np.array_equal(np.load(plain.masks(0)), masks)
    assert planes.spacings == ((4, 2, 2),)
    expected = masks.copy()
    expected[~masks.any(axis=(1, 2))] = -1
    assert np.array_equal(np.load(planes.masks(0)), expected)
    assert (np.load(rows.masks(0))[:, 5] == -1).all()

    viewer.add_image(image, name="b")
    viewer.add_labels(masks, name="b masks")
    train.run.click()
    assert said()[-1] == ("error", "Spacing must be given for all volumes or for none; 'b' has none.")
    assert [row.spacing.text() for row in train.pairs.rows] == ["4 2 2", ""]
    first.axis_labels = ("time", "y", "x")
    train.pairs.rows[1].spacing.enter("4 2 2")
    train.run.click()
    assert said()[-1][1].startswith("Axis 0 of layer 'a' is time")
    train.start.choose("nuclei (pretrained)")
    assert train.ndim == 2
    train.run.click()
    assert jobs[-1][0].spacings == (None,) * jobs[-1][0].n_pairs


def test_splits_through_all_planes(viewer):
    from flowseg._napari import label_edits

    layer = viewer.add_labels(np.stack([squares()] * 3))
    line = label_edits.pixels_on_line(layer, [np.array([1, 36, 25]), np.array([1, 58, 25])], (1, 2))
    label_edits.split(layer, line, (1, 2), through=True)
    flat = viewer.add_labels(squares())
    label_edits.split(flat, line[1:], (0, 1))
    assert [np.array_equal(plane, flat.data) for plane in layer.data] == [True] * 3
    layer.undo()
    assert np.array_equal(layer.data, np.stack([squares()] * 3))
    side = label_edits.pixels_on_line(layer, [np.array([1, 47, 5]), np.array([1, 47, 75])], (0, 2))
    label_edits.split(layer, side, (0, 2), through=True)  # seen from the side, a line across plane 1
    assert np.unique(layer.data[0]).tolist() != np.unique(layer.data[2]).tolist()
    assert np.array_equal(layer.data > 0, np.stack([squares()] * 3) > 0)


def test_tools_that_need_a_plane_wait_for_one(viewer, widget):
    viewer.add_labels(np.stack([squares()] * 3))
    correct = widget.correct
    correct.buttons["Split"].click()
    viewer.dims.ndisplay = 3
    assert not correct.buttons["Split"].isChecked()
    assert [button.isEnabled() for button in correct.buttons.values()] == [False] * 4
    assert correct.hint.text() == "Show the layer in 2-D to correct it: in 3-D a line has no depth."
    viewer.dims.ndisplay = 2
    assert correct.buttons["Split"].isEnabled()
    assert not correct.through.isChecked()  # planes or a volume: the layer does not tell
    correct.through.setChecked(True)
    correct.buttons["Split"].click()
    assert correct.hint.text() == "Draw a line across the object: it cuts all planes, like a knife."


def test_what_is_exported_as_a_volume(viewer, widget, tmp_path):
    stack = np.stack([squares()] * 4).reshape(2, 2, 60, 80)
    viewer.add_labels(stack, name="many", scale=(1, 2, 0.5, 0.5))
    export = widget.export
    assert export.stack.currentText() == "the planes of a volume"  # by its scale, and shown
    export.kinds["png"].setChecked(True)
    export.export_to(str(tmp_path))
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names[0] == "many_000_000_masks.png"
    assert [name for name in names if name.endswith(".tif")] == ["many_000_masks.tif", "many_001_masks.tif"]
    assert io.read_spacing(tmp_path / "many_001_masks.tif") == pytest.approx((2, 0.5, 0.5))
    viewer.add_labels(stack[0], name="film", axis_labels=("t", "y", "x"))
    assert export.stack.currentText() == "times of a film"
    viewer.add_labels(stack[0], name="unknown")
    assert export.stack.currentText() == "planes, each on its own"
