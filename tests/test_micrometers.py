"""Measurements in micrometers where the size of a pixel is known."""

import csv

import numpy as np
import pytest
from cli_tools import run_here

import flowseg
from flowseg import io

MASKS = np.kron([[0, 0, 0], [0, 7, 0], [0, 0, 0]], np.ones((10, 20), int))


def test_square_pixels_scale_everything():
    table = flowseg.measure(MASKS, spacing=(0.5, 0.5))
    assert table["area"] == 200
    assert table["area_um2"] == pytest.approx(50)
    for name in (
        "equivalent_diameter_area",
        "perimeter",
        "major_axis_length",
        "minor_axis_length",
        "feret_diameter_max",
    ):
        assert table[f"{name}_um"] == pytest.approx(table[name] * 0.5)
    assert (table["centroid_um-0"], table["centroid_um-1"]) == (pytest.approx(14.5 / 2), pytest.approx(29.5 / 2))
    assert not [name for name in flowseg.measure(MASKS) if "_um" in name]


def test_pixels_that_are_not_square():
    table = flowseg.measure(MASKS, spacing=(2, 1))  # a square of 20 micrometers
    assert table["area_um2"] == pytest.approx(400)
    assert table["major_axis_length_um"] == pytest.approx(table["minor_axis_length_um"], rel=0.01)
    assert np.isnan(table["perimeter_um"])
    nearly = flowseg.measure(MASKS, spacing=(0.32501, 0.325))
    assert nearly["perimeter_um"] == pytest.approx(nearly["perimeter"] * 0.325, rel=1e-4)
    for wrong in ((1, -1), 1, (1, 2, 3), "x"):
        with pytest.raises((TypeError, ValueError), match="spacing"):
            flowseg.measure(MASKS, spacing=wrong)


def test_no_objects():
    assert flowseg.measure(np.zeros((4, 4), int), spacing=(1, 1))["area_um2"].shape == (0,)


def test_files_with_and_without_a_pixel_size(tmp_path):
    (tmp_path / "m").mkdir()
    io.write_masks(tmp_path / "m" / "a.tif", MASKS, pixel_size=(0.5, 0.5))
    io.write_masks(tmp_path / "m" / "b.tif", MASKS)
    run_here("measure", "m", "-o", "x.csv", cwd=tmp_path)
    with open(tmp_path / "x.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == ["a.tif", "b.tif"]
    assert [row["area_um2"] for row in rows] == ["50.0", "nan"]
    run_here("convert", "m/a.tif", "--to", "csv", "-o", "out", cwd=tmp_path)
    assert "perimeter_um" in (tmp_path / "out" / "a_objects.csv").read_text()
