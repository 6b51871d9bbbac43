"""Label volumes as files for other programs: axes, spacing and every label."""

import xml.etree.ElementTree as ET
import zipfile

import numpy as np
import pytest
import tifffile

from flowseg import io, labels_to_flows
from flowseg._system import files
from flowseg.io._results import Result, write_labels, write_results

SPACING = (2.5, 0.51, 0.2497)
NAMES = ("a.tif", "a.ome.tif", "A.OME.TIFF")


def draw(highest, shape=(5, 40, 50)):
    masks = np.random.default_rng(0).integers(0, 40, shape)
    masks[0, 0, 0] = highest
    return masks


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("highest", "dtype"), [(255, "u1"), (65535, "u2"), (65536, "u4"), (2**32 - 1, "u4")])
def test_volumes_are_read_back(name, highest, dtype, tmp_path):
    masks, file = draw(highest), tmp_path / name
    io.write_masks(file, masks, spacing=SPACING)
    read = io.read_masks(file, ndim=3)
    assert read.dtype == dtype
    assert np.array_equal(read, masks)
    assert np.array_equal(io.read_volume(file), masks)
    assert io.read_spacing(file) == pytest.approx(SPACING)
    assert io.read_pixel_size(file) == pytest.approx(SPACING[1:])
    assert file.stat().st_size < masks.size * read.itemsize  # compressed
    with tifffile.TiffFile(file) as tiff:  # as others see it
        series = tiff.series[0]
        assert (series.axes, series.shape, series.dtype) == ("ZYX", masks.shape, dtype)
        assert np.array_equal(tiff.asarray(), masks)
        assert (series.kind, len(tiff.pages)) == ("ome" if "ome" in name.lower() else "imagej", 5)


def test_metadata_of_imagej(tmp_path):
    io.write_masks(tmp_path / "a.tif", draw(70000), spacing=SPACING)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        described, tags = file.imagej_metadata, file.pages[0].tags
    assert {name: described[name] for name in ("images", "slices", "unit", "spacing", "min", "max")} == {
        "images": 5, "slices": 5, "unit": "micron", "spacing": 2.5, "min": 0, "max": 70000,
    }  # fmt: skip
    (rows, of_rows), (columns, of_columns) = tags["YResolution"].value, tags["XResolution"].value
    assert (of_rows / rows, of_columns / columns) == pytest.approx(SPACING[1:])
    assert tags["ResolutionUnit"].value == tifffile.RESUNIT.NONE


def test_metadata_of_ome(tmp_path):
    io.write_masks(tmp_path / "a.ome.tif", draw(70000), spacing=SPACING)
    root = ET.fromstring(tifffile.tiffcomment(tmp_path / "a.ome.tif"))
    (pixels,) = [node.attrib for node in root.iter() if node.tag.endswith("}Pixels")]
    assert [float(pixels[f"PhysicalSize{axis}"]) for axis in "ZYX"] == list(SPACING)
    assert {pixels[f"PhysicalSize{axis}Unit"] for axis in "ZYX"} == {"µm"}
    assert [pixels[f"Size{axis}"] for axis in "TCZYX"] == ["1", "1", "5", "40", "50"]
    assert pixels["Type"] == "uint32"


def test_ome_is_valid(tmp_path):
    ome_types = pytest.importorskip("ome_types", reason="ome-types, which validates OME metadata, is not installed")
    io.write_masks(tmp_path / "a.ome.tif", draw(70000), spacing=SPACING)
    ome_types.from_xml(tifffile.tiffcomment(tmp_path / "a.ome.tif"), validate=True)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_known_is_not_written(name, tmp_path):
    file = tmp_path / name
    for masks in (draw(300), np.zeros((3, 4, 5), int)):
        io.write_masks(file, masks)
        assert np.array_equal(io.read_masks(file, ndim=3), masks)
        assert io.read_spacing(file) is io.read_pixel_size(file) is None
        io.write_masks(file, masks, pixel_size=(0.5, 0.25))
        assert np.array_equal(io.read_masks(file, ndim=3), masks)
        assert io.read_spacing(file) is None
        assert io.read_pixel_size(file) == (0.5, 0.25)


@pytest.mark.parametrize("name", NAMES)
def test_films(name, tmp_path):
    masks, file = draw(300), tmp_path / name
    io.write_masks(file, masks, axes="TYX", pixel_size=(0.5, 0.25))
    with tifffile.TiffFile(file) as tiff:
        assert tiff.series[0].axes == "TYX"
    assert np.array_equal(io.read_masks(file), masks)
    with pytest.raises(io.InvalidFileError, match="T is time"):
        io.read_masks(file, ndim=3)


@pytest.mark.parametrize(
    "shape", [(1, 6, 7), (2, 6, 7), (3, 6, 7), (4, 6, 7), (3, 1, 7), (3, 6, 1), (1, 1, 3), (5, 6, 3)]
)
def test_small_shapes(shape, tmp_path):
    for highest in (9, 300, 70000):
        masks = draw(highest, shape)
        io.write_masks(tmp_path / "a.tif", masks, spacing=(2, 0.5, 0.5))
        assert np.array_equal(io.read_masks(tmp_path / "a.tif"), masks)
        assert np.array_equal(io.read_masks(tmp_path / "a.tif", ndim=3), masks)
        assert io.read_pixel_size(tmp_path / "a.tif") == pytest.approx((0.5, 0.5))
        assert len(masks) == 1 or io.read_spacing(tmp_path / "a.tif") == pytest.approx((2, 0.5, 0.5))
        io.write_masks(tmp_path / "a.ome.tif", masks, spacing=(2, 0.5, 0.5))
        assert np.array_equal(io.read_masks(tmp_path / "a.ome.tif"), masks if len(masks) > 1 else masks[0])


def test_images_take_spacing_too(tmp_path):
    masks = draw(300)[0]
    for name, size in (("a.tif", {"spacing": (0.5, 0.25)}), ("b.tif", {"pixel_size": (0.5, 0.25)})):
        io.write_masks(tmp_path / name, masks, **size)
        assert io.read_pixel_size(tmp_path / name) == (0.5, 0.25)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"spacing": (1, 2)}, "spacing must be 3 numbers above 0, one per axis"),
        ({"spacing": (0, 1, 1)}, "spacing must be 3 numbers above 0"),
        ({"spacing": (1, -1, 1)}, "spacing must be 3 numbers above 0"),
        ({"spacing": (1, 1, np.nan)}, "spacing must be 3 numbers above 0"),
        ({"spacing": "abc"}, "spacing must be 3 numbers above 0"),
        ({"spacing": (1e-6, 1e-6, 1e-6)}, r"spacing must be from 1e-05 to 1e\+09 micrometers"),
        ({"spacing": (1, 1, 1), "pixel_size": (1, 1)}, "pixel_size must not be given together with spacing"),
        ({"spacing": (1, 1, 1), "axes": "TYX"}, "spacing must not be given for times"),
        ({"pixel_size": (1, 1, 1)}, r"pixel_size must be \(height, width\)"),
        ({"axes": "XYZ"}, "axes must be one of 'ZYX', 'TYX'"),
        ({"masks": np.ones((4, 5), int), "axes": "ZYX"}, "axes must not be given for a label image without a stack"),
        ({"masks": np.full((2, 4, 5), -1)}, "masks must have labels from 0"),
        ({"masks": np.ones((2, 2, 4, 5), int)}, r"masks must be 2-D \(rows, columns\) or 3-D"),
    ],
)
def test_arguments_that_do_not_fit(options, sentence, tmp_path):
    with pytest.raises((TypeError, ValueError), match=sentence):
        io.write_masks(tmp_path / "a.tif", **{"masks": draw(9), **options})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_an_interrupted_write_leaves_the_old_file(name, tmp_path, monkeypatch):
    io.write_masks(tmp_path / name, draw(9), spacing=SPACING)
    content = (tmp_path / name).read_bytes()

    def fail(beside, *_, **__):
        beside.write_bytes(content[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tifffile, "imwrite", fail)
    with pytest.raises(OSError, match="No space left"):
        io.write_masks(tmp_path / name, draw(300), spacing=SPACING)
    assert (tmp_path / name).read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert files.UNFINISHED not in "".join(file.name for file in tmp_path.iterdir())


def test_results_of_commands(tmp_path):
    masks = draw(300)
    for size, axes, names in (
        (SPACING, None, "ZYX"),
        ((0.5, 0.25), None, "QYX"),  # not known to be planes
        ((0.5, 0.25), "ZYX", "ZYX"),
        ((0.5, 0.25), "TYX", "TYX"),
        (None, None, "QYX"),
    ):
        for labels in (masks, np.where(masks == 5, -1, masks)):
            write_labels(tmp_path / "a.tif", labels, size, axes)
            assert np.array_equal(io.read_masks(tmp_path / "a.tif"), labels)
            with tifffile.TiffFile(tmp_path / "a.tif") as file:
                assert file.series[0].axes == names
            spacing = io.read_spacing(tmp_path / "a.tif")
            assert spacing == (pytest.approx(SPACING) if size == SPACING else None)


def test_volumes_of_the_sets(shared, tmp_path):
    for name in ("embryo3d_qcanet/train/labels/8_cell_stage", "ovule_nuclei3d/train/labels/ovule_1135"):
        masks = io.read_masks(shared / "data" / f"{name}.tif", ndim=3)
        for ending in (".tif", ".ome.tif"):
            io.write_masks(tmp_path / f"a{ending}", masks, spacing=(0.284, 0.127, 0.127))
            assert np.array_equal(io.read_masks(tmp_path / f"a{ending}", ndim=3), masks)
            assert io.read_spacing(tmp_path / f"a{ending}") == pytest.approx((0.284, 0.127, 0.127))


def test_flows_of_volumes(shared, tmp_path):
    masks = io.read_masks(shared / "data/embryo3d_qcanet/train/labels/8_cell_stage.tif", ndim=3)[10:20]
    for labels in (masks, masks[:1], masks[:3, :, :1]):
        file = tmp_path / f"{labels.shape}.tif"
        (stack,) = labels_to_flows([labels], files=[file])
        (again,) = labels_to_flows([labels], files=[file])
        assert stack.shape == (5, *labels.shape)
        assert np.array_equal(again, stack)
    write_results(tmp_path, "a", ("flows",), Result(masks, flows=stack_of(masks), pixel_size=(2.0, 0.5, 0.25)))
    assert np.array_equal(np.moveaxis(io.read_volume(tmp_path / "a_flows.tif"), -1, 0), stack_of(masks))
    assert io.read_pixel_size(tmp_path / "a_flows.tif") == (0.5, 0.25)


def stack_of(masks):
    return labels_to_flows([masks])[0][1:]


def test_regions_of_every_plane(shared, tmp_path):
    pytest.importorskip("roifile", reason="roifile is not installed")
    masks = io.read_masks(shared / "data/embryo3d_qcanet/train/labels/8_cell_stage.tif", ndim=3)[5:12]
    masks[2, 60:63, 60:63] = 9
    masks[2, 61, 61] = 0  # a ring
    io.write_roi(tmp_path / "a.zip", masks)
    names = zipfile.ZipFile(tmp_path / "a.zip").namelist()
    expected = [f"{label:04d}-z{z + 1:04d}.roi" for z, plane in enumerate(masks) for label in np.unique(plane)[1:]]
    assert names == expected
    for z, plane in enumerate(masks):
        read = io.read_roi(tmp_path / "a.zip", plane.shape, z=z)
        assert np.array_equal(read > 0, plane > 0)
        pairs = np.unique(np.stack([plane.ravel(), read.ravel()]), axis=1)
        assert pairs.shape[1] == len(np.unique(plane)) == len(np.unique(read))
    with pytest.raises(ValueError, match="z must be given for .*, whose outlines lie in z 0, 1, 2"):
        io.read_roi(tmp_path / "a.zip", masks.shape[1:])


def test_formats_of_images_refuse_volumes(tmp_path):
    masks = draw(30)
    with pytest.raises(ValueError, match=r"masks must be 2-D \(rows, columns\); got shape \(5, 40, 50\)"):
        io.write_geojson(tmp_path / "a.geojson", masks)
    with pytest.raises(ValueError, match=r"must be 2-D \(rows, columns\); got shape \(5, 40, 50\)"):
        io.write_coco(tmp_path / "a.json", {"a.png": masks})
    with pytest.raises(ValueError, match="a label image must have shape"):
        write_results(tmp_path, "a", ("png",), Result(masks))
    assert not list(tmp_path.iterdir())
