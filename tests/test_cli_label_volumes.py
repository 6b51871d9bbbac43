"""Label volumes on the command line: evaluated, checked, mended, measured and converted, with their spacing."""

import csv

import numpy as np
import pytest
import tifffile
from cli_tools import run_here

import flowseg
from flowseg import io, synthetic

SPACING = (2.0, 1.0, 1.0)
SHAPE = (12, 40, 44)


@pytest.fixture(scope="module")
def drawn():
    return synthetic.cells(SHAPE, 12, diameter=10, rng=0, spacing=SPACING)


@pytest.fixture
def folder(drawn, tmp_path):
    """Label volumes with names and spacing, as times, and without names; and their images."""
    image, masks = drawn
    for name in ("named", "times", "plain", "images"):
        (tmp_path / name).mkdir()
    io.write_masks(tmp_path / "named" / "a.tif", masks, spacing=SPACING)
    io.write_masks(tmp_path / "times" / "a.tif", masks, axes="TYX")
    tifffile.imwrite(tmp_path / "plain" / "a.tif", masks.astype(np.uint8), photometric="minisblack")
    sizes = {f"PhysicalSize{axis}": size for axis, size in zip("ZYX", SPACING)}
    tifffile.imwrite(tmp_path / "images" / "a.ome.tif", image, metadata={"axes": "ZYX", **sizes})
    return tmp_path


def axes_of(file):
    with tifffile.TiffFile(file) as tiff:
        return tiff.series[0].axes


def read_table(file):
    rows = list(csv.DictReader(file.read_text().splitlines()))
    return {name: [float(row[name]) for row in rows] for name in rows[0] if name != "file"}


def refused(*arguments, cwd="."):
    return run_here(*arguments, status=1, cwd=cwd).stderr.splitlines()[0]


def test_measure(drawn, folder):
    image, masks = drawn
    expected = flowseg.measure(masks, image, spacing=SPACING)
    for given in (("named", "images"), ("plain", "images"), ("plain", "images", "--spacing", "2,1,1")):
        assert f"{masks.max()} objects of 1 files" in run_here("measure", *given, "-o", "x.csv", cwd=folder).stdout
        table = read_table(folder / "x.csv")
        assert [*table] == [*expected]
        np.testing.assert_allclose(table["volume_um3"], expected["volume_um3"])
    run_here("measure", "times", "-o", "x.csv", "--axes", "ZYX", cwd=folder)
    assert [*read_table(folder / "x.csv")] == [*flowseg.measure(masks)]
    assert "T is time: if it is a volume, give --axes ZYX" in refused("measure", "times", "-o", "y.csv", cwd=folder)
    said = refused("measure", "plain", "-o", "y.csv", cwd=folder)
    assert "the axis of its planes has no name: if it is a volume, give --axes ZYX" in said
    said = refused("measure", "named", "-o", "y.csv", "--spacing", "1,1", cwd=folder)
    assert "--spacing must be 3 numbers above 0" in said
    io.write_masks(folder / "named" / "b.tif", masks[0])
    said = run_here("measure", "named", "-o", "y.csv", status=1, cwd=folder).stderr
    assert "b.tif must be a volume or an image, as the files before it are" in said


def test_convert(drawn, folder):
    pytest.importorskip("roifile")
    _, masks = drawn
    run_here("convert", "named", "-o", "out", "--to", "tif,roi,csv", cwd=folder)
    assert np.array_equal(io.read_masks(folder / "out" / "a_masks.tif", ndim=3), masks)
    assert io.read_spacing(folder / "out" / "a_masks.tif") == SPACING
    assert "volume_um3" in read_table(folder / "out" / "a_objects.csv")
    plane = 5
    found = io.read_roi(folder / "out" / "a_rois.zip", SHAPE[1:], z=plane)
    assert np.array_equal(found > 0, masks[plane] > 0)
    for name, axes, options in (("plain", "QYX", ()), ("times", "TYX", ()), ("plain", "ZYX", ("--axes", "ZYX"))):
        run_here("convert", name, "-o", "again", "--overwrite", *options, cwd=folder)
        assert axes_of(folder / "again" / "a_masks.tif") in (axes, axes.replace("Q", "I"))
    run_here("convert", "plain", "-o", "scaled", "--axes", "ZYX", "--spacing", "3,1,1", cwd=folder)
    assert io.read_spacing(folder / "scaled" / "a_masks.tif") == (3, 1, 1)
    for kind in ("png", "geojson"):
        said = refused("convert", "named", "-o", f"no-{kind}", "--to", kind, cwd=folder)
        assert said.startswith(
            "flowseg: --to must be one or more of tif, roi, csv, parquet for named/a.tif, a stack of"
        )
    assert "the axis of its planes has no name" in refused("convert", "plain", "-o", "t", "--to", "csv", cwd=folder)
    said = refused("convert", "out/a_rois.zip", "--images", "images", "-o", "r", "--axes", "ZYX", cwd=folder)
    assert "--axes must be left out for annotations of roi" in said


def test_mend_and_flows_keep_what_a_stack_is(drawn, folder):
    run_here("mend", "named", "-o", "mended-named", cwd=folder)
    assert axes_of(folder / "mended-named" / "a_masks.tif") == "ZYX"
    assert io.read_spacing(folder / "mended-named" / "a_masks.tif") == SPACING
    run_here("flows", "named", "-o", "flows", cwd=folder)
    assert tifffile.imread(folder / "flows" / "a_flows.tif").shape == (5, *SHAPE)
    assert io.read_spacing(folder / "flows" / "a_flows.tif") == SPACING
    for command in (("flows", "times", "-o", "t"), ("mend", "times", "-o", "t"), ("evaluate", "times", "named")):
        assert "it is a series of times (T)" in refused(*command, cwd=folder)


def test_series_of_times_are_checked_time_by_time(folder, tmp_path):
    masks = np.zeros((3, 40, 50), np.uint16)
    for t in range(3):
        masks[t, 5 + t : 15 + t, 5 + 9 * t : 15 + 9 * t] = t + 1  # no object in two planes
    tifffile.imwrite(tmp_path / "film.ome.tif", masks, metadata={"axes": "TYX"})
    assert "with errors" in run_here("check", tmp_path / "film.ome.tif").stdout
    masks[1, 30:35, 40:45] = 2
    masks[1, 0:5, 40:45] = 2
    tifffile.imwrite(tmp_path / "film.ome.tif", masks, metadata={"axes": "TYX"})
    assert "time 1: one label only" in run_here("check", tmp_path / "film.ome.tif", status=None).stdout


def test_check_and_mend_by_given_axes(tmp_path):
    volume, masks = synthetic.cells((12, 40, 48), 8, diameter=12, rng=0)
    masks[:, :3] = masks[:, :, :3] = 0
    for kind, array in (("images", volume), ("masks", masks.astype(np.uint16))):
        (tmp_path / kind).mkdir()
        tifffile.imwrite(tmp_path / kind / "a.tif", np.moveaxis(array, 0, -1))
    words = ("check", tmp_path / "masks", tmp_path / "images", "--axes", "YXZ", "--spacing", "2,1,1")
    said = run_here(*words, "--mend", tmp_path / "mended", status=None).stdout
    assert "shape:" not in said
    assert np.array_equal(io.read_masks(tmp_path / "mended" / "a.tif", ndim=3) > 0, masks > 0)
    assert io.read_spacing(tmp_path / "mended" / "a.tif") == SPACING


def test_contradictory_spacings_are_refused(tmp_path):
    volume, masks = synthetic.cells((12, 40, 48), 8, diameter=12, rng=0)
    physical = {f"PhysicalSize{axis}": 1.0 for axis in "ZYX"}
    tifffile.imwrite(tmp_path / "a.ome.tif", volume.astype(np.float32), metadata={"axes": "ZYX", **physical})
    io.write_masks(tmp_path / "m.tif", masks, spacing=(9, 1, 1))
    said = refused("measure", tmp_path / "m.tif", tmp_path / "a.ome.tif", "-o", tmp_path / "o.csv")
    assert "--spacing must be given where image and masks hold different ones" in said
    assert "a.ome.tif holds 1,1,1" in said
    words = ("measure", tmp_path / "m.tif", tmp_path / "a.ome.tif", "-o", tmp_path / "o.csv", "--spacing", "2,1,1")
    run_here(*words)


def test_nothing_annotated_is_not_a_perfect_score(tmp_path):
    masks = np.zeros((8, 40, 48), np.int32)
    masks[2:5, 3:9, 4:12] = 1
    tifffile.imwrite(tmp_path / "found.tif", masks)
    tifffile.imwrite(tmp_path / "true.tif", np.full_like(masks, -1))
    said = refused("evaluate", tmp_path / "true.tif", tmp_path / "found.tif")
    assert "true.tif must hold annotated pixels" in said


def test_check(folder):
    said = run_here("check", "named", "images", cwd=folder, status=None)
    assert "unreadable" not in said.stdout
    run_here(
        "check",
        "plain",
        "images",
        "--against",
        "images",
        "--mend",
        "mended",
        "--spacing",
        "2,1,1",
        cwd=folder,
        status=1,
    )
    assert io.read_spacing(folder / "mended" / "a.tif") == SPACING
    with tifffile.TiffFile(folder / "images" / "a.ome.tif") as tiff:
        image = tiff.asarray()
    (folder / "others").mkdir()
    tifffile.imwrite(folder / "others" / "turned.ome.tif", np.rot90(image, axes=(1, 2)), metadata={"axes": "ZYX"})
    said = run_here("check", "named", "images", "--against", "others", cwd=folder, status=1).stdout
    assert "leak: the same image, perhaps rotated or flipped: images/a.ome.tif, others/turned.ome.tif." in said


def test_evaluate(folder):
    for options in ((), ("--spacing", "4,1,1")):
        run_here("evaluate", "plain", "named", "--images", "images", "--report", "r.html", *options, cwd=folder)
        page = (folder / "r.html").read_text(encoding="utf-8")
        assert f'"units":[{4 if options else 2}.0,1.0,1.0]' in page
    assert "--spacing must come with --report" in refused(
        "evaluate", "plain", "named", "--spacing", "1,1,1", cwd=folder
    )
    tifffile.imwrite(folder / "images" / "a.ome.tif", np.zeros(SHAPE[1:], np.uint8))
    said = refused("evaluate", "plain", "named", "--images", "images", "--report", "r.html", cwd=folder)
    assert "It is one plane" in said


def test_large_volumes_are_worked_on_block_by_block(drawn, folder, monkeypatch):
    """The same numbers as at once."""
    pytest.importorskip("zarr")
    monkeypatch.setattr("flowseg.cli._shared.large_images.LARGE_VOXELS", 1000)
    run_here("measure", "named", "images", "-o", "x.csv", cwd=folder)
    expected = flowseg.measure(drawn[1], drawn[0], spacing=SPACING)
    table = read_table(folder / "x.csv")
    for name, column in expected.items():
        np.testing.assert_allclose(table[name], column, rtol=1e-5, err_msg=name)
    assert "1.000" in run_here("evaluate", "named", "plain", cwd=folder).stdout
    assert "volumes of up to 40 megavoxels" in refused("evaluate", "named", "plain", "--report", "r.html", cwd=folder)


@pytest.mark.parametrize(
    ("file", "axes", "spacing"),
    [
        ("neubias_training/xyz_calibrated_16bit__golgi_bfa.tif", "ZYX", (0.3876, 0.35144, 0.35144)),
        ("qupath/cells/cells-2z.ome.tif", "ZYX", (1.0, 0.25, 0.25)),
    ],
)
def test_spacing_of_real_files(file, axes, spacing, shared, tmp_path):
    """Objects measured in the volumes of ImageJ and QuPath have the size of these files' voxels."""
    image = io.read_volume(shared / "data" / "readers_files" / file)
    (tmp_path / "m").mkdir()
    masks = np.zeros(image.shape, np.uint8)
    masks[:2, 10:20, 10:20] = 1
    tifffile.imwrite(tmp_path / "m" / "a.tif", masks, photometric="minisblack")
    run_here("measure", "m/a.tif", shared / "data" / "readers_files" / file, "-o", "x.csv", cwd=tmp_path)
    assert read_table(tmp_path / "x.csv")["volume_um3"] == [pytest.approx(200 * np.prod(spacing), rel=1e-3)]
