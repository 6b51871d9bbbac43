"""Measurements of volumes: balls and boxes of known size, and real objects."""

from pathlib import Path

import numpy as np
import pytest
from real_data import label_images

import flowseg
from flowseg._labels.measure import is_in_micrometers


def ellipsoid(radii, spacing, rng):
    """Mask of an ellipsoid anywhere between the voxels, with semi-axes in the unit of the spacing."""
    shape = np.ceil(2 * np.array(radii) / spacing).astype(int) + 3
    center = (shape - 1) / 2 + rng.uniform(-0.5, 0.5, 3)
    place = (np.indices(shape).T - center) * spacing / radii
    return (np.linalg.norm(place, axis=-1) <= 1).T.astype(np.int32)


@pytest.mark.parametrize("spacing", [(1, 1, 1), (2.2, 1, 1), (4, 1, 1), (0.3, 0.1, 0.2)])
@pytest.mark.parametrize("radius", [8, 15])
def test_balls(spacing, radius):
    rng = np.random.default_rng(0)
    size = radius * min(spacing)
    for _ in range(3):
        table = flowseg.measure(ellipsoid((size,) * 3, spacing, rng) * 7, spacing=spacing)
        assert table["label"].tolist() == [7]
        assert table["volume_um3"] == pytest.approx(4 / 3 * np.pi * size**3, rel=0.06)
        assert table["equivalent_diameter_um"] == pytest.approx(2 * size, rel=0.02)
        assert table["surface_um2"] == pytest.approx(4 * np.pi * size**2, rel=0.06)
        assert table["sphericity"] == pytest.approx(1, abs=0.05)
        assert table["major_axis_length_um"] == pytest.approx(2 * size, rel=0.06)
        assert table["minor_axis_length_um"] == pytest.approx(2 * size, rel=0.06)
        assert 2 * size < table["feret_diameter_max_um"] < 2 * size + 2 * max(spacing)
        assert 0.88 < table["solidity"] <= 1


def test_ellipsoids_have_the_surface_of_their_integral():
    rng = np.random.default_rng(1)
    theta, phi = np.meshgrid((np.arange(400) + 0.5) / 400 * np.pi, np.arange(400) / 200 * np.pi, indexing="ij")
    for radii in ((20, 10, 10), (10, 10, 20), (10, 15, 6)):
        a, b, c = radii
        sides = b * c * np.cos(theta), a * c * np.sin(theta) * np.cos(phi), a * b * np.sin(theta) * np.sin(phi)
        surface = np.mean(np.linalg.norm(sides, axis=0) * np.sin(theta)) * 2 * np.pi**2
        for spacing in ((1, 1, 1), (3, 1, 1)):
            assert flowseg.measure(ellipsoid(radii, spacing, rng), spacing=spacing)["surface_um2"] == pytest.approx(
                surface, rel=0.03
            )


@pytest.mark.parametrize("spacing", [(1, 1, 1), (2, 1, 1)])
def test_boxes(spacing):
    masks = np.zeros((30, 40, 50), dtype=np.uint16)
    masks[5:25, 5:35, 5:45] = 3
    table = flowseg.measure(masks, spacing=spacing)
    lengths = np.array([20, 30, 40]) * spacing
    faces = 2 * np.sum(lengths.prod() / lengths)
    assert table["volume"] == 24000
    assert table["volume_um3"] == lengths.prod()
    assert 0.85 * faces < table["surface_um2"] < faces
    assert table["feret_diameter_max_um"] == pytest.approx(np.linalg.norm(lengths), rel=0.02)
    assert (table["extent"], table["solidity"]) == (1, 1)
    assert [int(table[f"bbox-{k}"][0]) for k in range(6)] == [5, 5, 5, 25, 35, 45]
    assert [table[f"centroid_um-{k}"][0] for k in range(3)] == [14.5 * spacing[0], 19.5, 24.5]


def test_each_object_is_measured_alone():
    _, masks = flowseg.synthetic.cells((24, 60, 60), 12, diameter=16, spacing=(2, 1, 1), rng=0)
    together = flowseg.measure(masks * 5, spacing=(2, 1, 1))
    for k in (1, 6, 12):
        alone = flowseg.measure(np.where(masks == k, 5 * k, 0), spacing=(2, 1, 1))
        for name, values in alone.items():
            assert together[name][k - 1] == pytest.approx(values[0]), name


def test_flips_and_swaps_of_axes_change_nothing():
    _, masks = flowseg.synthetic.cells((40, 50, 60), 12, diameter=20, rng=2)
    first, other = (flowseg.measure(m) for m in (masks, masks[::-1, :, ::-1].transpose(2, 0, 1)))
    for name in ("volume", "surface", "sphericity", "feret_diameter_max", "solidity", "major_axis_length"):
        assert other[name] == pytest.approx(first[name], rel=0.005), name


def test_one_voxel_one_plane_one_line():
    masks = np.zeros((5, 9, 9), dtype=int)
    masks[2, 3, 3], masks[1, 5:8, 5:8], masks[3, 1, 1:6] = 1, 2, 3
    table = flowseg.measure(masks, masks, spacing=(2, 1, 1))
    assert all(np.isfinite(column).all() for column in table.values())
    assert table["volume"].tolist() == [1, 9, 5]
    assert table["intensity_mean"].tolist() == [1, 2, 3]


def test_columns():
    masks = np.ones((4, 5, 6), int)
    picture = np.zeros((4, 5, 6, 2), np.float16)
    table = flowseg.measure(masks, picture, {"score": [0.5]}, spacing=(3, 1, 1))
    assert list(table)[:2] == ["label", "volume"]
    assert {"intensity_mean-1", "score", "surface_um2"} <= set(table)
    assert {name for name in table if is_in_micrometers(name)} == {name for name in table if "_um" in name}
    page = (Path(__file__).parents[1] / "docs/reference/columns.rst").read_text(encoding="utf-8")
    explained = [name.removesuffix("-0").removesuffix("-1") for name in table if name != "score"]
    assert [name for name in explained if f"``{name}" not in page] == []
    empty = flowseg.measure(np.zeros((4, 5, 6), int), picture, spacing=(3, 1, 1))
    assert list(empty) == [name for name in table if name != "score"]
    assert all(column.shape == (0,) for column in empty.values())
    assert not set(flowseg.measure(masks)) & {"area", "perimeter", "orientation"}
    with pytest.raises(ValueError, match=r"image \(planes, rows and columns\) must have the shape of masks"):
        flowseg.measure(masks, picture[0])
    for wrong in ((1, 1), (1, 0, 1), (1, -1, 1), (1, np.nan, 1), 2):
        with pytest.raises(ValueError, match="spacing must be 3 numbers above 0"):
            flowseg.measure(masks, spacing=wrong)


def test_real_nuclei(shared):
    """Nuclei of an ovule, voxels of 0.284 x 0.127 x 0.127 micrometers."""
    ((_, masks),) = label_images(shared, "ovule_nuclei3d")
    table = flowseg.measure(masks, spacing=(0.284, 0.127, 0.127))
    assert np.array_equal(table["label"], np.unique(masks)[1:])
    assert np.array_equal(table["volume"], np.unique(masks, return_counts=True)[1][1:])
    faces = np.concatenate([masks[[0, -1]], masks[:, [0, -1]], masks[:, :, [0, -1]]], axis=None)
    inner = np.setdiff1d(masks, faces)
    whole = np.isin(table["label"], inner)
    assert np.all((table["sphericity"][whole] > 0.6) & (table["sphericity"][whole] < 1.02))
    assert np.all((table["equivalent_diameter_um"][whole] > 1.5) & (table["equivalent_diameter_um"][whole] < 8))
    assert np.all(table["solidity"] > 0.5)
