"""Formats of microscope vendors, by way of bioio; several images in one file."""

import sys
from contextlib import nullcontext

import numpy as np
import pytest
import tifffile
from vendor_formats import write_czi, write_lif, write_nd2

from flowseg import io
from flowseg._image_files.bioio_formats import READERS


@pytest.fixture
def stack():
    """(planes, channels, rows, columns)."""
    return np.random.default_rng(0).integers(0, 60000, (3, 2, 8, 9)).astype(np.uint16)


@pytest.fixture(params=["czi", "lif", "nd2"])
def vendor_file(request, stack, tmp_path):
    pytest.importorskip("bioio", reason="bioio is not installed")
    pytest.importorskip(f"bioio_{request.param}", reason=f"bioio-{request.param} is not installed")
    file = tmp_path / f"a.{request.param}"
    {"czi": write_czi, "lif": write_lif, "nd2": write_nd2}[request.param](file, stack)
    return file


def test_axes_are_handled_as_for_ome(vendor_file, stack, tmp_path):
    tifffile.imwrite(tmp_path / "a.ome.tif", stack[None], ome=True, metadata={"axes": "TZCYX"})
    for options in ({"z": 1}, {"z": 2, "channel": 1}, {"z": 0, "channel": (1, 0)}, {"z": 0, "t": 0, "scene": 0}):
        image = io.read_image(vendor_file, **options)
        assert isinstance(image, np.ndarray)
        assert image.dtype == np.uint16
        assert np.array_equal(image, io.read_image(tmp_path / "a.ome.tif", **options))
    for options, sentence in (
        ({}, r"must be one image; it has axes CZYX of shape \(2, 3, 8, 9\). Choose a plane with z"),
        ({"z": 3}, "z must be below 3 for .*; got 3"),
        ({"z": 0, "channel": 2}, "channel must be below 2 for .*; got 2"),
        ({"z": 0, "t": 1}, "t must be below 1 for .*; got 1"),
        ({"axes": "ZYX"}, "axes must name the 5 axes of .*"),
        ({"z": 0, "scene": 1}, "scene must be below 1 or a name that one scene of .* has, '.*'; got 1"),
        ({"z": 0, "scene": "no"}, "scene must be below 1 or a name that one scene of .* has, '.*'; got 'no'"),
    ):
        with pytest.raises(ValueError, match=sentence):
            io.read_image(vendor_file, **options)
    named = io.read_image(vendor_file, axes="tzcyx", z=1, channel=2)  # said otherwise: taken as said
    assert np.array_equal(named, stack[2, 1])


def test_pixel_sizes(vendor_file):
    width = 0.5 if vendor_file.suffix == ".nd2" else 0.25  # Nikon's pixels are square
    assert io.read_pixel_size(vendor_file) == pytest.approx((0.5, width))


def test_a_size_that_the_file_does_not_know_is_none(stack, tmp_path):
    pytest.importorskip("bioio_nd2", reason="bioio-nd2 is not installed")
    write_nd2(tmp_path / "a.nd2", stack, pixel_size=None)
    assert io.read_pixel_size(tmp_path / "a.nd2") is None


def test_colors_of_a_camera(tmp_path):
    pyczi = pytest.importorskip("pylibCZIrw.czi", reason="pylibCZIrw, which writes CZI files, is not installed")
    pytest.importorskip("bioio_czi", reason="bioio-czi is not installed")
    rgb = np.random.default_rng(0).integers(0, 255, (8, 9, 3)).astype(np.uint8)
    with pyczi.create_czi(str(tmp_path / "a.czi")) as file:
        file.write(rgb, plane={"Z": 0, "C": 0, "T": 0})
        file.write_metadata("a")
    assert np.array_equal(io.read_image(tmp_path / "a.czi"), rgb)
    assert np.array_equal(io.read_image(tmp_path / "a.czi", channel=2), rgb[..., 2])
    assert io.read_pixel_size(tmp_path / "a.czi") is None


def test_ome_as_bioio_reads_it(stack, tmp_path):
    bioio = pytest.importorskip("bioio", reason="bioio is not installed")
    pytest.importorskip("bioio_ome_tiff", reason="bioio-ome-tiff is not installed")
    file = tmp_path / "a.ome.tif"
    metadata = {"axes": "ZCYX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5}
    tifffile.imwrite(file, stack, ome=True, metadata=metadata)
    theirs = bioio.BioImage(file)
    assert theirs.dims.order == "TCZYX"
    for z, channel in np.ndindex(3, 2):
        assert np.array_equal(io.read_image(file, z=z, channel=channel), theirs.get_image_data("YX", Z=z, C=channel))
    assert io.read_pixel_size(file) == (theirs.physical_pixel_sizes.Y, theirs.physical_pixel_sizes.X)


def test_several_series_are_named(stack, tmp_path):
    pytest.importorskip("bioio_lif", reason="bioio-lif is not installed")
    write_lif(tmp_path / "a.lif", stack[:1], stack[1:2], names=("well A1", "well B2"))
    for read in (io.read_image, io.read_pixel_size):
        with pytest.raises(
            ValueError, match=r"scene must be the name or number of one image of .*a\.lif; .* 'well A1', 'well B2'"
        ):
            read(tmp_path / "a.lif")
    for scene in (1, "well B2"):
        assert np.array_equal(io.read_image(tmp_path / "a.lif", scene=scene, channel=0), stack[1, 0])
        assert io.read_pixel_size(tmp_path / "a.lif", scene=scene) == pytest.approx((0.5, 0.25))


def test_several_images_of_ome_are_named(stack, tmp_path):
    file = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(file, ome=True) as tiff:
        for k, size in enumerate((0.5, 0.25)):
            metadata = {"axes": "YX", "Name": f"well {k}", "PhysicalSizeX": size, "PhysicalSizeY": size}
            tiff.write(stack[k, 0], metadata=metadata)
    for read in (io.read_image, io.read_pixel_size):
        with pytest.raises(
            ValueError, match=r"scene must be the name or number of one image of .*; it holds 'well 0', 'well 1'"
        ):
            read(file)
    assert np.array_equal(io.read_image(file, scene="well 1"), stack[1, 0])
    assert np.array_equal(io.read_image(file, scene=0), stack[0, 0])
    assert io.read_pixel_size(file, scene=1) == (0.25, 0.25)
    with pytest.raises(TypeError, match="scene must be"):
        io.read_image(file, scene=0.5)


def test_times(stack, tmp_path):
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, ome=True, metadata={"axes": "TCYX"})
    assert np.array_equal(io.read_image(tmp_path / "a.ome.tif", t=2, channel=1), stack[2, 1])
    with pytest.raises(ValueError, match="t must be below 3"):
        io.read_image(tmp_path / "a.ome.tif", t=3)


def test_only_the_selected_part_is_read(stack, tmp_path, monkeypatch):
    da = pytest.importorskip("dask.array", reason="dask is not installed")
    from flowseg._image_files import opening
    from flowseg._image_files.source import Source, pick

    def refuse(block):
        raise OSError("read too much") if block.any() else ValueError("damaged")

    broken = da.from_array(stack, chunks=(1, 1, 8, 9)).map_blocks(refuse, dtype=stack.dtype, meta=np.array((), "u2"))
    lazy = da.concatenate([broken[:2], da.from_array(stack[2:], chunks=(1, 1, 8, 9))])
    source = Source(tmp_path / "a.nd2", "ZCYX", lazy.shape, lazy.dtype, lambda index: np.asarray(pick(lazy, index)))
    monkeypatch.setattr(opening, "open_scene", lambda path, scene: nullcontext(source))
    (tmp_path / "a.nd2").touch()
    assert np.array_equal(io.read_image(tmp_path / "a.nd2", z=2, channel=0), stack[2, 0])
    with pytest.raises(OSError, match="read too much"):
        io.read_image(tmp_path / "a.nd2", z=0, channel=0)


@pytest.mark.parametrize("suffix", [".czi", ".lif", ".nd2"])
def test_damaged_files(suffix, tmp_path):
    pytest.importorskip(f"bioio_{suffix[1:]}", reason=f"bioio-{suffix[1:]} is not installed")
    file = tmp_path / f"a{suffix}"
    file.write_bytes(b"nothing of the kind" * 30)
    with pytest.raises(ValueError, match=rf"a{suffix} must be a file that bioio-{suffix[1:]} can read; it reports:"):
        io.read_image(file)
    with pytest.raises(FileNotFoundError, match="must be an image file; there is none"):
        io.read_image(tmp_path / f"b{suffix}")


def test_a_reader_that_is_not_there_is_named(tmp_path):
    plugins = pytest.importorskip("bioio.plugins", reason="bioio is not installed")
    missing = [suffix for suffix in READERS if suffix not in plugins.get_plugins(use_cache=True)]
    if not missing:
        pytest.skip("all readers are installed")
    file = tmp_path / f"a{missing[0]}"
    file.write_bytes(b"abc")
    with pytest.raises(ImportError, match=r"needs the package (.*); install it with: pip install \1$"):
        io.read_image(file)


def test_without_bioio_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bioio", None)
    (tmp_path / "a.CZI").write_bytes(b"abc")
    for read in (io.read_image, io.read_pixel_size):
        with pytest.raises(
            ImportError, match=r"needs the package bioio; .* pip install bioio bioio-czi bioio-lif bioio-nd2$"
        ):
            read(tmp_path / "a.CZI")


def test_find_files_offers_them(tmp_path):
    for name in ("a.czi", "b.ND2", "c.lif", "d.oir", "e.txt"):
        (tmp_path / name).touch()
    assert [file.name for file in io.find_files(tmp_path)] == ["a.czi", "b.ND2", "c.lif", "d.oir"]
