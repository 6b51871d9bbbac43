"""Masks of the napari plugin as files: `xvfb-run python -m pytest tests/test_napari_export.py`; no TensorFlow."""

import csv
import json
import os

import numpy as np
import pytest
from napari_tools import needs_viewer, squares

from flowseg import io

pytest_plugins = ["napari_tools"]
pytestmark = needs_viewer


@pytest.fixture
def export(widget, tmp_path):
    """Export kinds of files to a folder, and give their names."""

    def export(*kinds, folder=tmp_path):
        for kind, check in widget.export.kinds.items():
            check.setChecked(kind in kinds)
        widget.export.export_to(str(folder))
        return sorted(file.name for file in tmp_path.iterdir())

    return export


@pytest.fixture
def answers(monkeypatch):
    """The questions that are asked, all answered with No until a test changes it."""
    from qtpy.QtWidgets import QMessageBox

    asked = []
    answers = {"is_yes": False}

    def question(parent, title, text, *_):
        asked.append(text)
        return QMessageBox.StandardButton.Yes if answers["is_yes"] else QMessageBox.StandardButton.No

    monkeypatch.setattr(QMessageBox, "question", question)
    answers["asked"] = asked
    return answers


def test_files_hold_the_masks_and_the_pixel_size(viewer, export, widget, said, tmp_path):
    image = viewer.add_image(np.random.default_rng(0).random((60, 80)), name="a/b", scale=(325, 650), units="nm")
    rows = {"index": [1, 5], "score": [0.5, 0.75]}
    viewer.add_labels(squares(), name="a/b masks", scale=image.scale, units="nm", features=rows)
    names = export("tif", "png", "geojson", "csv", "overlay")
    assert names == ["a_b.geojson", "a_b_masks.png", "a_b_masks.tif", "a_b_objects.csv", "a_b_overlay.png"]
    assert said() == [("info", f"5 files written to {tmp_path}")]
    for name in ("a_b_masks.tif", "a_b_masks.png"):
        assert np.array_equal(io.read_masks(tmp_path / name), squares())
    assert io.read_pixel_size(tmp_path / "a_b_masks.tif") == pytest.approx((0.325, 0.65))
    assert len(json.loads((tmp_path / "a_b.geojson").read_text())["features"]) == 3
    with open(tmp_path / "a_b_objects.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["label"] for row in table] == ["1", "2", "5"]
    assert [row["score"] for row in table] == ["0.5", "nan", "0.75"]  # nobody has scored what was drawn by hand
    assert float(table[0]["intensity_mean"]) == pytest.approx(image.data[10:30, 10:30].mean())


def test_no_file_is_replaced_unasked(viewer, export, said, answers, tmp_path):
    layer = viewer.add_labels(squares(), name="cells")
    export("tif")
    before = (tmp_path / "cells_masks.tif").read_bytes()
    layer.data = 2 * squares()
    said_before = said()
    export("tif", "png")
    assert answers["asked"] == ["Replace this file?\n\ncells_masks.tif"]
    assert (tmp_path / "cells_masks.tif").read_bytes() == before
    assert not (tmp_path / "cells_masks.png").exists()
    assert said() == said_before
    answers["is_yes"] = True
    assert export("tif", "png") == ["cells_masks.png", "cells_masks.tif"]
    assert io.read_masks(tmp_path / "cells_masks.tif").max() == 10


def test_a_stack_is_one_file_or_one_for_each_plane_with_objects(viewer, export, tmp_path):
    stack = np.stack([squares(), np.zeros((60, 80), dtype=np.int32), np.where(squares(), squares() + 5, 0)])
    viewer.add_labels(stack, name="film")
    names = export("tif", "csv", "png", "roi")
    assert names == [
        "film_000_masks.png", "film_000_rois.zip", "film_002_masks.png", "film_002_rois.zip", "film_masks.tif",
        "film_objects.csv",
    ]  # fmt: skip
    assert np.array_equal(io.read_masks(tmp_path / "film_masks.tif"), stack)
    assert np.array_equal(io.read_masks(tmp_path / "film_002_masks.png"), stack[2])
    with open(tmp_path / "film_objects.csv", newline="") as file:
        assert [(row["plane"], row["label"]) for row in csv.DictReader(file)] == [
            ("0", "1"), ("0", "2"), ("0", "5"), ("2", "6"), ("2", "7"), ("2", "10"),
        ]  # fmt: skip


def test_refusals_to_export_are_one_sentence(viewer, export, widget, said, tmp_path, monkeypatch):
    assert export("tif") == []
    layer = viewer.add_labels(np.zeros((8, 8), dtype=np.uint8), name="none")
    assert export("tif") == []
    layer.data = np.eye(8, dtype=np.uint8)
    assert export() == []
    assert export("overlay") == []
    widget.export.height_.setValue(0.5)
    assert export("tif") == []
    widget.export.height_.setValue(0)
    export("tif", folder=tmp_path / "absent")
    (tmp_path / "a file").write_text("")
    export("tif", folder=tmp_path / "a file")
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda *_: False)  # also for root
        export("tif")
    assert {severity for severity, _ in said()} == {"error"}
    assert [message for _, message in said()] == [
        "Open masks to export; there is no Labels layer.",
        "Layer 'none' must hold an object to be exported; it holds none.",
        "Choose one kind of file at least; none is chosen.",
        "A picture of outlines needs the image that was segmented; none of this shape is open.",
        "The pixel size must have a height and a width, or neither of them; one is not known.",
        f"The folder to export to must exist; {tmp_path / 'absent'} does not.",
        f"The folder to export to must exist; {tmp_path / 'a file'} does not.",
        f"{tmp_path / 'none_masks.tif'} must lie in a folder that can be written to; {tmp_path} cannot.",
    ]


def test_a_missing_package_is_named_before_anything_is_written(viewer, export, said, monkeypatch):
    import sys

    viewer.add_labels(squares(), name="cells")
    monkeypatch.setitem(sys.modules, "pycocotools.mask", None)
    assert export("tif", "coco") == []
    ((severity, message),) = said()
    assert severity == "error"
    assert "pycocotools" in message


@pytest.mark.parametrize(
    ("scale", "units", "expected"),
    [
        ((1, 1), None, None),
        ((0.5, 0.25), None, (0.5, 0.25)),  # most readers set micrometres without a unit
        ((500, 250), ("nm", "nm"), (0.5, 0.25)),
        ((1, 1), ("mm", "mm"), (1000, 1000)),
        ((2, 2), ("s", "s"), None),
    ],
)
def test_pixel_sizes_are_micrometres(scale, units, expected):
    from napari.layers import Labels

    from flowseg._napari.layers import spacing

    assert spacing(Labels(squares(), scale=scale, units=units), 2) == (expected and pytest.approx(expected))
