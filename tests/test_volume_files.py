"""Volumes in files: what is one, what is not, and how far its planes are apart."""

import tracemalloc

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image, ImageOps
from vendor_formats import write_czi, write_lif, write_nd2
from zarr_files import change_metadata, numbers, write_ome_zarr

from flowseg import io
from flowseg._image_files.selection import Selection
from flowseg._image_files.volumes import check_volume_memory, name_stack, read_volume_shape
from flowseg._system import memory


@pytest.fixture
def stack():
    """(planes, channels, rows, columns)."""
    return np.random.default_rng(0).integers(0, 60000, (5, 2, 8, 9)).astype(np.uint16)


def write(file, array, axes, *, kind="", **options):
    metadata = {"axes": axes, **options.pop("metadata", {})}
    said = {kind: True} if kind else {}
    tifffile.imwrite(
        file, array, metadata=metadata, photometric=options.pop("photometric", "minisblack"), **said, **options
    )


# What is in each real file: axes of its stack, the shape of the volume or a part of the sentence that refuses it, the
# spacing.
REAL = {
    "readers_files/neubias_training/xyz_8bit__mitotic_plate_calibrated.tif": ("Z", (6, 263, 263), (3, 0.0852, 0.0852)),
    "readers_files/neubias_training/xyz_8bit__mitotic_plate_badZcalibrated.tif": ("Z", (6, 263, 263), None),
    "readers_files/neubias_training/xyz_8bit_calibrated_anisotropic__mri_head.tif": (
        "Z",
        (27, 226, 186),
        (7000, 500, 500),
    ),
    "readers_files/neubias_training/xyz_calibrated_16bit__golgi_bfa.tif": (
        "Z",
        (25, 137, 147),
        (0.3876, 0.3514, 0.3514),
    ),
    "readers_files/qupath/cells/cells-2z.ome.tif": ("Z", (2, 131, 93), (1, 0.25, 0.25)),
    "readers_files/qupath/cells/cells-2t.ome.tif": ("T", "T is time: if these are planes", (1, 0.25, 0.25)),
    "readers_files/qupath/cells/cells-2c.ome.tif": ("", "C is channels: if these are planes", (1, 0.25, 0.25)),
    "readers_files/qupath/cells/cells-gray16.tif": ("", "It is one plane", None),
    "readers_files/yapic_io/tif_images/6width_4height_3slices_rgb_zstack.tif": ("Z", (3, 4, 6, 3), None),
    "readers_files/yapic_io/tiffconnector_1/c2z2y2x2.tif": ("Z", (2, 2, 2, 2), None),
    "readers_files/labkit-ui/test.tif": ("TZ", "T is time: choose one with t", None),
    "readers_files/bioimageanalysisnotebooks/membrane_2d_timelapse.tif": ("Q", "Name Q with axes", None),
    "readers_files/cytomapper/E34_imc.tiff": ("I", "Name I with axes", None),
    "readers_files/plant-seg/rgb_3D.tif": ("QQ", "Name Q with axes", None),
    "readers_files/ngio/v04/images/test_image_czyx.zarr": ("Z", (10, 64, 64, 2), (1, 0.5, 0.5)),
    "readers_files/ngio/v04/images/test_image_czyx.zarr/1": ("Z", (10, 32, 32, 2), (1, 1, 1)),
    "readers_files/ngio/v05/images/test_image_zyx.zarr": ("Z", (10, 64, 64), (1, 0.5, 0.5)),
    "readers_files/ngio/v05/images/test_image_tczyx.zarr": ("TZ", "T is time: choose one with t", (1, 0.5, 0.5)),
    "embryo3d_qcanet/train/images/8_cell_stage.tif": ("Z", (51, 120, 122), None),
    "stardist_examples/images/synthetic3d.tif": ("Q", "Name Q with axes", None),
    "neurites_em3d/val/images/neuroproof_z114.tif": ("I", "Name I with axes", None),
    "timelapse_n2dh_sim/test_open/images/sim01_10frames.tif": ("T", "T is time: if these are planes", None),
}
VENDORS = {  # t, shape, spacing
    "readers_files/czitools/LLS7_small.czi": (0, (3, 64, 64, 2), (0.145, 0.145, 0.145)),
    "readers_files/czitools/CellDivision_T3_Z5_CH2_X240_Y170_comp1.czi": (2, (5, 170, 240, 2), None),  # sizes of 0
    "readers_files/czitools/WellD6_S1.czi": (None, (1, 440, 544), None),
    "readers_files/pims/cluster.nd2": (1, (10, 31, 38, 2), (0.5, 0.1678, 0.1678)),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files(shared, name):
    path, (axes, expected, spacing) = shared / "data" / name, REAL[name]
    assert name_stack(path) == axes
    assert io.read_spacing(path) == (None if spacing is None else pytest.approx(spacing, rel=1e-3))
    if isinstance(expected, str):
        with pytest.raises(
            io.InvalidFileError, match=rf"must be a volume \(planes, rows, columns\); it has axes.*{expected}"
        ):
            io.read_volume(path)
        return
    volume = io.read_volume(path)
    assert volume.shape == expected
    for z in (0, len(volume) - 1):
        assert np.array_equal(volume[z], io.read_image(path, z=z))


@pytest.mark.parametrize("name", VENDORS)
def test_real_files_of_vendors(shared, name):
    pytest.importorskip(f"bioio_{name[-3:]}", reason=f"bioio-{name[-3:]} is not installed")
    path, (t, shape, spacing) = shared / "data" / name, VENDORS[name]
    volume = io.read_volume(path, t=t)
    assert volume.shape == shape
    assert np.array_equal(volume[-1], io.read_image(path, z=len(volume) - 1, t=t))
    assert io.read_spacing(path) == (None if spacing is None else pytest.approx(spacing, rel=1e-3))


@pytest.mark.parametrize("writer", [write_czi, write_lif, write_nd2])
def test_written_files_of_vendors(stack, writer, tmp_path):
    suffix = writer.__name__[-3:]
    pytest.importorskip(f"bioio_{suffix}", reason=f"bioio-{suffix} is not installed")
    writer(tmp_path / f"a.{suffix}", stack)
    assert np.array_equal(io.read_volume(tmp_path / f"a.{suffix}"), np.moveaxis(stack, 1, -1))
    width = 0.5 if suffix == "nd2" else 0.25
    assert io.read_spacing(tmp_path / f"a.{suffix}") == pytest.approx((1, 0.5, width))


def test_a_nikon_file_without_a_size_has_none(stack, tmp_path):
    pytest.importorskip("bioio_nd2", reason="bioio-nd2 is not installed")
    write_nd2(tmp_path / "a.nd2", stack, pixel_size=None)
    assert io.read_spacing(tmp_path / "a.nd2") is None


@pytest.mark.parametrize("kind", ["ome", "imagej", "", "named"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_axes_of_volumes(kind, order, compression, stack, tmp_path):
    options = {"byteorder": order, "compression": compression}
    rgb = np.random.default_rng(1).integers(0, 255, (4, 6, 7, 3)).astype(np.uint8)
    series = np.stack([stack, stack[::-1]])
    for number, (array, axes, extra) in enumerate(
        (
            (stack[:, 0], "ZYX", {}),
            (stack, "ZCYX", {}),
            (series, "TZCYX", {}),
            (rgb, "ZYXS", {"photometric": "rgb"}),
            (np.moveaxis(stack, 0, 1), "CZYX", {}),
            (stack[:, 0], "QYX", {}),
        )
    ):
        file = tmp_path / f"{number}.{'ome.' if kind == 'ome' else ''}tif"
        if (axes, kind) in (("CZYX", "imagej"), ("QYX", "imagej"), ("QYX", "ome")):
            continue  # orders that these do not have
        if kind == "named":  # by the caller
            tifffile.imwrite(file, array, metadata=None, photometric=extra.get("photometric", "minisblack"), **options)
            if axes in ("ZCYX", "CZYX", "TZCYX"):
                continue  # pages alone keep one axis
        else:
            write(file, array, axes, kind=kind, **extra, **options)
        given = {"axes": axes.replace("Q", "Z")} if kind == "named" or "Q" in axes else {}
        read = io.read_volume(file, t=1 if "T" in axes else None, **given)
        expected = array[1] if "T" in axes else array
        names = axes.replace("T", "").replace("Q", "Z")
        expected = expected.transpose([names.index(name) for name in "ZYXCS" if name in names])
        assert read.dtype == array.dtype
        assert np.array_equal(read, expected)
        assert read_volume_shape(file, Selection(t=1 if "T" in axes else None, **given)) == read.shape[:3]
        if "C" in axes:
            one = io.read_volume(file, t=1 if "T" in axes else None, channel=1, **given)
            assert np.array_equal(one, expected[..., 1])


def test_colors_in_planes_and_equal_colors(tmp_path):
    rgb = np.random.default_rng(1).integers(0, 255, (4, 3, 6, 7)).astype(np.uint8)
    write(tmp_path / "a.ome.tif", rgb, "ZSYX", kind="ome", photometric="rgb", planarconfig="separate")
    assert np.array_equal(io.read_volume(tmp_path / "a.ome.tif"), np.moveaxis(rgb, 1, -1))
    write(tmp_path / "b.tif", np.repeat(rgb[:, :1], 3, 1), "ZSYX", photometric="rgb", planarconfig="separate")
    assert np.array_equal(io.read_volume(tmp_path / "b.tif"), rgb[:, 0])
    assert io.read_volume(tmp_path / "b.tif", keep_color=True).shape == (4, 6, 7, 3)


def test_one_plane_that_is_named_is_a_volume(stack, tmp_path):
    write(tmp_path / "a.tif", stack[:1, 0], "ZYX")
    assert io.read_volume(tmp_path / "a.tif").shape == (1, 8, 9)
    assert io.read_image(tmp_path / "a.tif").shape == (8, 9)
    write(tmp_path / "b.tif", stack[:1, 0], "QYX")
    with pytest.raises(io.InvalidFileError, match="It is one plane"):
        io.read_volume(tmp_path / "b.tif")
    assert io.read_volume(tmp_path / "b.tif", axes="ZYX").shape == (1, 8, 9)


def test_films_are_no_volumes_unless_the_caller_says_so(stack, tmp_path):
    for kind in ("ome", "imagej", ""):
        file = tmp_path / f"a{kind}.{'ome.' if kind == 'ome' else ''}tif"
        write(file, stack[:, 0], "TYX", kind=kind)
        with pytest.raises(
            io.InvalidFileError, match="T is time: if these are planes, name the axes with axes, such as ZYX"
        ):
            io.read_volume(file)
        assert np.array_equal(io.read_volume(file, axes="ZYX"), stack[:, 0])
        write(file, stack, "TZYX", kind=kind)
        with pytest.raises(io.InvalidFileError, match="T is time: choose one with t, or"):
            io.read_volume(file)
        assert np.array_equal(io.read_volume(file, t=3), stack[3])
    write(tmp_path / "z.tif", stack[:, 0], "ZYX")
    with pytest.raises(io.InvalidFileError, match="T is time"):
        io.read_volume(tmp_path / "z.tif", axes="TYX")
    with pytest.raises(ValueError, match="t must be below 1"):
        io.read_volume(tmp_path / "z.tif", t=1)
    write(tmp_path / "s.tif", np.zeros((2, 3, 4, 5, 3), np.uint8), "ZCYXS", photometric="rgb")
    with pytest.raises(io.InvalidFileError, match="Choose a channel with channel"):
        io.read_volume(tmp_path / "s.tif")


def test_label_volumes(stack, tmp_path):
    labels = stack[:, 0].astype(np.int32)
    labels[0, 0, 0] = 70000
    for axes, is_volume in (("ZYX", True), ("QYX", True), ("TYX", False), ("YX", False)):
        file = tmp_path / f"{axes}.tif"
        write(file, labels if len(axes) > 2 else labels[0], axes)
        if is_volume:
            read = io.read_masks(file, ndim=3)
            assert read.dtype == np.int32
            assert np.array_equal(read, labels)
        else:
            with pytest.raises(
                io.InvalidFileError, match=r"must be a label volume \(planes, rows, columns\); it has axes"
            ):
                io.read_masks(file, ndim=3)
        if len(axes) > 2:
            with pytest.raises(
                io.InvalidFileError, match=rf"must be a label image \(rows, columns\); it has axes {axes}"
            ):
                io.read_masks(file, ndim=2)
    assert np.array_equal(io.read_masks(tmp_path / "YX.tif", ndim=2), labels[0])
    assert np.array_equal(io.read_masks(tmp_path / "ZYX.tif", ndim=2, z=3), labels[3])
    assert np.array_equal(io.read_masks(tmp_path / "TYX.tif", ndim=3, axes="ZYX"), labels)
    write(tmp_path / "one.tif", labels[:1], "QYX")
    assert io.read_masks(tmp_path / "one.tif", ndim=3).shape == (1, 8, 9)
    assert io.read_masks(tmp_path / "one.tif", ndim=2).shape == (8, 9)
    write(tmp_path / "four.tif", labels[None, :, None], "TZCYX")
    assert np.array_equal(io.read_masks(tmp_path / "four.tif", ndim=3), labels)
    write(tmp_path / "times.tif", np.stack([labels, labels]), "TZYX")
    assert np.array_equal(io.read_masks(tmp_path / "times.tif", ndim=3, t=1), labels)
    with pytest.raises(io.InvalidFileError, match="T is time: choose one with t"):
        io.read_masks(tmp_path / "times.tif", ndim=3)
    with pytest.raises(ValueError, match="ndim must be 2, 3 or None"):
        io.read_masks(tmp_path / "one.tif", ndim=4)


def test_label_volumes_of_the_sets(shared):
    for name in ("embryo3d_qcanet/train/{}/8_cell_stage.tif", "chloroplasts_em3d/train/{}/leaf_q00.tif"):
        image = io.read_volume(shared / "data" / name.format("images"), axes="ZYX")
        masks = io.read_masks(shared / "data" / name.format("labels"), ndim=3)
        assert masks.shape == image.shape
        assert np.array_equal(masks, tifffile.imread(shared / "data" / name.format("labels")))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_that_of_viewers(orientation, stack, tmp_path):
    tags = [(274, "H", 1, orientation, True)]
    planes = (stack[:3, 0] % 255).astype(np.uint8)
    sizes = {"resolution": (4e4, 2e4), "resolutionunit": "CENTIMETER"}
    write(tmp_path / "a.tif", planes, "ZYX", extratags=tags, **sizes)
    right = []
    for plane in planes:
        shown = Image.fromarray(plane)
        shown.getexif()[274] = orientation
        right.append(np.asarray(ImageOps.exif_transpose(shown)))
    assert np.array_equal(io.read_volume(tmp_path / "a.tif"), right)
    assert np.array_equal(io.read_masks(tmp_path / "a.tif", ndim=3), right)
    assert read_volume_shape(tmp_path / "a.tif") == np.shape(right)
    text = '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image><Pixels DimensionOrder="XYZCT" Type="uint8" SizeX="9" SizeY="8" SizeZ="3" SizeC="1" SizeT="1" PhysicalSizeX="0.25" PhysicalSizeY="0.5" PhysicalSizeZ="2"><TiffData/></Pixels></Image></OME>'
    tifffile.imwrite(
        tmp_path / "b.tif", planes, description=text, metadata=None, photometric="minisblack", extratags=tags
    )
    assert io.read_spacing(tmp_path / "b.tif") == ((2, 0.5, 0.25) if orientation < 5 else (2, 0.25, 0.5))
    assert np.array_equal(io.read_volume(tmp_path / "b.tif"), right)


def test_large_and_virtual_stacks(stack, tmp_path):
    write(tmp_path / "a.tif", stack[:, 0], "ZYX", kind="imagej", truncate=True)  # one page only, as beyond 4 GB
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert len(file.pages) == 1
    assert np.array_equal(io.read_volume(tmp_path / "a.tif"), stack[:, 0])
    write(tmp_path / "b.tif", stack, "ZCYX", bigtiff=True, tile=(16, 16), compression="zlib")
    assert np.array_equal(io.read_volume(tmp_path / "b.tif"), np.moveaxis(stack, 1, -1))


def test_a_set_of_files_is_one_volume(tmp_path):
    names = [f"z{z}.ome.tif" for z in range(3)]
    data = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{z}</UUID></TiffData>'
        for z, name in enumerate(names)
    )
    for z, name in enumerate(names):
        text = (
            f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{z}"><Image ID="Image:0">'
            '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="7" SizeY="5" SizeC="1" SizeZ="3" '
            f'SizeT="1" PhysicalSizeX="1" PhysicalSizeY="1" PhysicalSizeZ="2000" PhysicalSizeZUnit="nm">{data}</Pixels>'
            "</Image></OME>"
        )
        tifffile.imwrite(tmp_path / name, np.full((5, 7), z + 1, "u2"), description=text.encode(), metadata=None)
    for name in names:
        assert io.read_volume(tmp_path / name)[:, 0, 0].tolist() == [1, 2, 3]
        assert io.read_spacing(tmp_path / name) == (2, 1, 1)
    (tmp_path / names[2]).unlink()
    with pytest.raises(io.InvalidFileError, match=r"plane 2 is in .*z2\.ome\.tif, which is missing"):
        io.read_volume(tmp_path / names[0])


def test_levels_of_a_pyramid_are_no_planes(stack, tmp_path):
    volume, plane = stack[:, 0], stack[0, 0]
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as file:
        file.write(volume, subifds=2, metadata={"axes": "ZYX"}, photometric="minisblack")
        for step in (2, 4):
            file.write(volume[:, ::step, ::step], subfiletype=1, photometric="minisblack")
    assert np.array_equal(io.read_volume(tmp_path / "a.ome.tif"), volume)
    assert np.array_equal(io.read_masks(tmp_path / "a.ome.tif", ndim=3), volume)
    for name, subfile in (("b.tif", 1), ("c.tif", 0)):  # levels with and without the tag that says so
        with tifffile.TiffWriter(tmp_path / name) as file:
            for step in (1, 2, 4):
                file.write(plane[::step, ::step], subfiletype=subfile * int(step > 1), metadata=None)
        for axes in (None, "ZYX"):
            with pytest.raises(
                ValueError, match="It is one plane|axes must name the 2 axes|scene must be the name or number"
            ):
                io.read_volume(tmp_path / name, axes=axes)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr(version, stack, tmp_path):
    path = tmp_path / "a.ome.zarr"
    write_ome_zarr(path, stack, "zcyx", version=version, scale=[2.0, 1.0, 0.5, 0.25])
    assert np.array_equal(io.read_volume(path), np.moveaxis(stack, 1, -1))
    assert np.array_equal(io.read_volume(path / "1", channel=1), stack[:, 1, ::2, ::2])
    assert io.read_spacing(path) == (2, 0.5, 0.25)
    assert io.read_spacing(path / "1") == (2, 1, 0.5)
    assert io.read_spacing(path, axes="zcxy") == (2, 0.25, 0.5)
    write_ome_zarr(path, stack[:, 0], "zyx", version=version, scale=[3.0, 0.5, 0.25], unit="nanometer")
    assert io.read_spacing(path) == pytest.approx((3e-3, 5e-4, 2.5e-4))
    assert np.array_equal(io.read_masks(path, ndim=3), stack[:, 0])

    def forget(attributes):
        del attributes["multiscales"][0]["axes"][0]["unit"]

    change_metadata(path, forget)
    assert io.read_spacing(path) is None
    assert io.read_pixel_size(path) == pytest.approx((5e-4, 2.5e-4))
    write_ome_zarr(path, stack[:, 0], "tyx", version=version)
    with pytest.raises(io.InvalidFileError, match="T is time: if these are planes"):
        io.read_volume(path)
    assert np.array_equal(io.read_volume(path, axes="ZYX"), stack[:, 0])
    assert io.read_spacing(path, axes="ZYX") is None


def test_plain_arrays_of_zarr(shared, tmp_path):
    array = numbers((4, 6, 7))
    zarr.save_array(tmp_path / "a.zarr", array)
    with pytest.raises(io.InvalidFileError, match="must have rows and columns; it has axes QQQ"):
        io.read_volume(tmp_path / "a.zarr")
    assert np.array_equal(io.read_volume(tmp_path / "a.zarr", axes="ZYX"), array)
    assert io.read_spacing(tmp_path / "a.zarr", axes="ZYX") is None
    assert io.read_volume(shared / "data/readers_files/panseg/3d.zarr/raw", axes="ZYX").shape == (10, 10, 10)


@pytest.mark.parametrize(
    ("z", "unit", "expected"),
    [
        ("2.5", "µm", 2.5),
        ("2500", "nm", 2.5),
        ("0.0025", "mm", 2.5),
        (None, "µm", None),
        ("0", "µm", None),
        ("-2.5", "µm", None),
        ("nan", "µm", None),
        ("inf", "µm", None),
        ("1e-9", "µm", None),
        ("2.5", "pixel", None),
        ("2.5", "reference frame", None),
        ("far", "µm", "damaged"),
    ],
)
def test_distances_of_ome(z, unit, expected, stack, tmp_path):
    given = {} if z is None else {"PhysicalSizeZ": 1.5, "PhysicalSizeZUnit": unit}
    write(tmp_path / "a.ome.tif", stack[:, 0], "ZYX", metadata={"PhysicalSizeY": 0.5, "PhysicalSizeX": 0.25, **given})
    if z is not None:
        text = tifffile.tiffcomment(tmp_path / "a.ome.tif").replace('PhysicalSizeZ="1.5"', f'PhysicalSizeZ="{z}"')
        tifffile.tiffcomment(tmp_path / "a.ome.tif", text.encode())
    assert io.read_pixel_size(tmp_path / "a.ome.tif") == (0.5, 0.25)
    if expected == "damaged":
        with pytest.raises(
            io.InvalidFileError, match=r"a\.ome\.tif must be a readable TIFF file; got: could not convert"
        ):
            io.read_spacing(tmp_path / "a.ome.tif")
    else:
        spacing = io.read_spacing(tmp_path / "a.ome.tif")
        assert spacing == (None if expected is None else pytest.approx((expected, 0.5, 0.25)))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("unit=micron\nspacing=2.5", (2.5, 0.5, 0.25)),
        ("unit=\\u00B5m\nspacing=2.5", (2.5, 0.5, 0.25)),
        ("unit=mm\nspacing=2", (2000, 500, 250)),
        ("unit=micron\nyunit=nm\nzunit=mm\nspacing=2", (2000, 5e-4, 0.25)),
        ("unit=micron\nzunit=slice\nspacing=2", None),
        ("unit=micron", None),  # ImageJ writes no distance of 1, which is its default
        ("unit=pixel\nspacing=2.5", None),
        ("spacing=2.5", None),
        ("unit=micron\nspacing=0", None),
        ("unit=micron\nspacing=-2.5", None),
        ("unit=micron\nspacing=nan", None),
        ("unit=micron\nspacing=far", "damaged"),
    ],
)
def test_distances_of_imagej(lines, expected, stack, tmp_path):
    text = f"ImageJ=1.53t\nimages=5\nslices=5\n{lines}\nloop=false\n"
    options = {"resolution": (4, 2), "resolutionunit": "NONE", "photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "a.tif", stack[:, 0], description=text, metadata=None, **options)
    if expected == "damaged":
        with pytest.raises(io.InvalidFileError, match=r"a\.tif must be a readable TIFF file; got: could not convert"):
            io.read_spacing(tmp_path / "a.tif")
    else:
        spacing = io.read_spacing(tmp_path / "a.tif")
        assert spacing == (None if expected is None else pytest.approx(expected))


def test_spacing_follows_the_axes_that_are_given(stack, tmp_path):
    sizes = {"PhysicalSizeZ": 2.0, "PhysicalSizeY": 0.5, "PhysicalSizeX": 0.25}
    write(tmp_path / "a.ome.tif", stack[:, 0], "ZYX", metadata=sizes)
    assert io.read_spacing(tmp_path / "a.ome.tif", axes="ZYX") == (2, 0.5, 0.25)
    assert io.read_spacing(tmp_path / "a.ome.tif", axes="yzx") == (0.5, 2, 0.25)
    assert np.array_equal(io.read_volume(tmp_path / "a.ome.tif", axes="yzx"), stack[:, 0].swapaxes(0, 1))
    write(tmp_path / "b.ome.tif", stack[:, 0], "TYX", metadata=sizes)
    assert io.read_spacing(tmp_path / "b.ome.tif", axes="ZYX") == (2, 0.5, 0.25)
    with pytest.raises(ValueError, match="axes must name the planes Z"):
        io.read_spacing(tmp_path / "a.ome.tif", axes="TYX")
    with pytest.raises(ValueError, match="axes must name the 3 axes"):
        io.read_spacing(tmp_path / "a.ome.tif", axes="ZCYX")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
    assert io.read_spacing(tmp_path / "a.png") is None


def test_memory_is_checked_and_a_volume_is_held_once(tmp_path, monkeypatch):
    volume = np.random.default_rng(0).integers(0, 99, (40, 200, 200)).astype(np.uint16)
    for name, compression in (("a.tif", "zlib"), ("b.tif", None)):
        write(tmp_path / name, volume, "ZYX", compression=compression)
        tracemalloc.start()
        read = io.read_volume(tmp_path / name)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert np.array_equal(read, volume)
        assert peak < 1.3 * volume.nbytes
    monkeypatch.setattr(memory, "SMALL", 0)
    monkeypatch.setattr(memory, "allowed", lambda: 10_000_000)
    check_volume_memory(tmp_path / "a.tif", 2)
    with pytest.raises(MemoryError, match=r"a\.tif must fit into memory; with shape \(40, 200, 200\)"):
        check_volume_memory(tmp_path / "a.tif", 20)
    monkeypatch.setattr(memory, "allowed", lambda: 1_000_000)
    with pytest.raises(MemoryError, match=r"a\.tif must fit into memory; with shape \(40, 200, 200\)"):
        io.read_volume(tmp_path / "a.tif")


def test_volumes_are_found_and_paired_as_images_are(stack, tmp_path):
    for folder, names in (("images", ("a.ome.tif", "b.tif")), ("masks", ("a_masks.ome.tif", "b_cp_masks.tif"))):
        (tmp_path / folder).mkdir()
        for name in names:
            io.write_masks(tmp_path / folder / name, stack[:, 0])
    write_ome_zarr(tmp_path / "images" / "c.ome.zarr", stack[:, 0], "zyx")
    write_ome_zarr(tmp_path / "masks" / "c_masks.ome.zarr", stack[:, 0], "zyx")
    pairs = io.pair_files(io.find_files(tmp_path / "images"), io.find_files(tmp_path / "masks"))
    assert len(pairs) == 3
    for image, masks in pairs:
        assert np.array_equal(io.read_volume(image), io.read_masks(masks, ndim=3))
