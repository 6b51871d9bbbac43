"""Axes, channels, planes, pixel sizes; tables."""

import csv

import numpy as np
import pandas
import pytest
import tifffile
from PIL import Image
from skimage.io import imsave

import flowseg
from flowseg import _checks, io


@pytest.fixture
def stack():
    """(planes, channels, rows, columns)."""
    return np.random.default_rng(0).integers(0, 60000, (3, 2, 8, 9)).astype(np.uint16)


@pytest.mark.parametrize("kind", ["ome", "imagej"])
def test_stacks_with_channels(stack, kind, tmp_path):
    file = tmp_path / ("a.ome.tif" if kind == "ome" else "a.tif")
    tifffile.imwrite(file, stack, metadata={"axes": "ZCYX"}, **{kind: True})
    assert np.array_equal(io.read_image(file, z=1), np.moveaxis(stack[1], 0, -1))
    assert np.array_equal(io.read_image(file, z=2, channel=1), stack[2, 1])
    assert np.array_equal(io.read_image(file, z=0, channel=(1, 0)), np.moveaxis(stack[0, ::-1], 0, -1))
    with pytest.raises(
        ValueError, match=r"must be one image; it has axes ZCYX of shape \(3, 2, 8, 9\). Choose a plane"
    ):
        io.read_image(file)
    with pytest.raises(ValueError, match=r"z must be below 3 for .*; got 3"):
        io.read_image(file, z=3)
    with pytest.raises(ValueError, match=r"channel must be below 2 for .*; got 2"):
        io.read_image(file, z=0, channel=2)


def test_pages_are_not_guessed_at(stack, tmp_path):
    file = tmp_path / "pages.tif"
    tifffile.imwrite(file, stack[:, 0], photometric="minisblack")
    with pytest.raises(ValueError, match=r"pages.tif must be one image; it has axes QYX of shape \(3, 8, 9\)"):
        io.read_image(file)
    assert np.array_equal(io.read_image(file, axes="ZYX", z=2), stack[2, 0])
    assert np.array_equal(io.read_image(file, axes="cyx"), np.moveaxis(stack[:, 0], 0, -1))
    for axes, sentence in (("YX", "must name the 3 axes"), ("ZYY", "must be letters"), ("ABC", "must be letters")):
        with pytest.raises(ValueError, match=f"axes {sentence}"):
            io.read_image(file, axes=axes)
    with pytest.raises(TypeError, match="axes must be letters"):
        io.read_image(file, axes=3)


def test_single_planes_and_channels_are_no_axes(stack, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", stack[:1, :1], imagej=True, metadata={"axes": "ZCYX"})
    assert np.array_equal(io.read_image(tmp_path / "a.tif"), stack[0, 0])
    assert np.array_equal(io.read_image(tmp_path / "a.tif", z=0, channel=0), stack[0, 0])


def test_channels_of_color_pictures(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 255, (6, 7, 3)).astype(np.uint8)
    imsave(tmp_path / "a.png", rgb, check_contrast=False)
    assert np.array_equal(io.read_image(tmp_path / "a.png", channel=1), rgb[..., 1])
    assert np.array_equal(io.read_image(tmp_path / "a.png", channel=[2, 0]), rgb[..., [2, 0]])
    Image.fromarray(rgb[..., 0]).save(tmp_path / "gray.png")
    assert np.array_equal(io.read_image(tmp_path / "gray.png", channel=0), rgb[..., 0])
    with pytest.raises(ValueError, match="channel must be below 1 for .*gray.png"):
        io.read_image(tmp_path / "gray.png", channel=1)


def test_pixel_sizes(stack, tmp_path):
    plane = stack[0, 0]
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        plane,
        ome=True,
        metadata={"PhysicalSizeX": 250, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.5},
    )
    tifffile.imwrite(tmp_path / "b.tif", plane, imagej=True, resolution=(4, 2), metadata={"unit": "um"})
    tifffile.imwrite(tmp_path / "c.tif", plane, resolution=(40000, 20000), resolutionunit="CENTIMETER")
    for name in ("a.ome.tif", "b.tif", "c.tif"):
        assert np.allclose(io.read_pixel_size(tmp_path / name), (0.5, 0.25), rtol=1e-6)
    tifffile.imwrite(tmp_path / "d.tif", plane, resolution=(72, 72), resolutionunit="INCH")
    imsave(tmp_path / "e.png", plane, check_contrast=False)
    for name in ("d.tif", "e.png"):
        assert io.read_pixel_size(tmp_path / name) is None


def test_masks_keep_their_pixel_size(tmp_path):
    for highest, dtype in ((1, np.uint8), (255, np.uint8), (256, np.uint16), (65535, np.uint16), (65536, np.uint32)):
        masks = np.array([[0, 1], [highest, 0]])
        io.write_masks(tmp_path / "m.tif", masks, pixel_size=(0.65, 0.325))
        assert tifffile.imread(tmp_path / "m.tif").dtype == dtype
        assert np.array_equal(io.read_masks(tmp_path / "m.tif"), masks)
        assert np.allclose(io.read_pixel_size(tmp_path / "m.tif"), (0.65, 0.325), rtol=1e-5)
    for bad in (3, "ab", (1,), (1, 0), (1, np.nan), (1e-6, 1e-6), (1, 2e9)):
        with pytest.raises((TypeError, ValueError), match=r"pixel_size"):
            io.write_masks(tmp_path / "n.tif", masks, pixel_size=bad)
    assert not (tmp_path / "n.tif").exists()


def test_implausible_pixel_sizes_are_ignored(tmp_path):
    metres = {"axes": "YX", "PhysicalSizeX": 6.5e-07, "PhysicalSizeY": 6.5e-07}
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((4, 4), np.uint8), metadata=metres)
    assert io.read_pixel_size(tmp_path / "a.ome.tif") is None
    for size in _checks.PIXEL_SIZES:
        io.write_masks(tmp_path / "m.tif", [[0, 1]], pixel_size=(size, size))
        assert io.read_pixel_size(tmp_path / "m.tif") == pytest.approx((size, size))


def test_large_labels_take_no_room():
    table = flowseg.measure(np.array([[0, 2**31 - 1, -1], [7, 7, 0]]))
    assert table["label"].tolist() == [7, 2**31 - 1]
    assert table["area"].tolist() == [2, 1]


def test_half_precision_is_measured_in_single():
    image = np.full((300, 300), 1000, np.float16)  # its sum is beyond what half precision has
    image[0] = 1001
    table = flowseg.measure(np.ones((300, 300), int), image)
    assert table["intensity_mean"] == pytest.approx([1000 + 1 / 300], abs=1e-3)
    assert table["intensity_std"] == pytest.approx([image.astype(float).std()], rel=1e-3)
    assert table["intensity_max"].tolist() == [1001]


def test_tables(pairs, tmp_path):
    image, masks = pairs[0]
    table = flowseg.measure(masks, image, {"label": np.unique(masks)[1:], "score": np.linspace(0, 1, masks.max())})
    assert np.array_equal(table["area"], np.bincount(masks.ravel())[1:])
    assert np.isclose(table["intensity_mean"][0], image[masks == 1].mean())
    io.write_table(tmp_path / "a.csv", table)
    io.write_table(tmp_path / "a.parquet", table)
    for read in (pandas.read_csv(tmp_path / "a.csv"), pandas.read_parquet(tmp_path / "a.parquet")):
        assert list(read) == list(table)
        assert all(np.allclose(read[name], table[name]) for name in table)
    with open(tmp_path / "a.csv", newline="") as file:
        assert next(csv.DictReader(file))["label"] == "1"
    empty = flowseg.measure(np.zeros((5, 5), int))
    io.write_table(tmp_path / "b.csv", empty)
    assert (tmp_path / "b.csv").read_text().strip() == ",".join(empty)
    with pytest.raises(ValueError, match="objects must have the labels of masks; got others"):
        flowseg.measure(masks, objects={"label": np.unique(masks)[1:] + 1})
    with pytest.raises(ValueError, match=r"objects\['score'\] must have the shape of one value per object"):
        flowseg.measure(masks, objects={"score": [1.0]})
    with pytest.raises(ValueError, match="table must have columns of one length"):
        io.write_table(tmp_path / "c.csv", {"a": [1], "b": [1, 2]})
    with pytest.raises(ValueError, match=r"path must end in .csv or .parquet; got .*c\.txt"):
        io.write_table(tmp_path / "c.txt", table)
    assert not (tmp_path / "c.csv").exists()
