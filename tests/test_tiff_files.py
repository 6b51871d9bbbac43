"""TIFF files beyond the matrix: turned, inverted, with palettes, in sets, in pyramids, and damaged."""

import uuid

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from flowseg import io
from flowseg._image_files.opening import open_image
from flowseg._image_files.reading import check_image_memory, read_shape
from flowseg._image_files.selection import Selection
from flowseg._system import memory

ORIENTATIONS = range(1, 9)


@pytest.fixture
def plane():
    return np.random.default_rng(0).integers(1, 255, (5, 7)).astype(np.uint8)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_orientation_is_that_of_viewers(orientation, plane, tmp_path):
    tags = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(tmp_path / "a.tif", plane, extratags=tags, resolution=(4e4, 2e4), resolutionunit="CENTIMETER")
    shown = Image.fromarray(plane)
    shown.getexif()[274] = orientation
    right = np.asarray(ImageOps.exif_transpose(shown))
    for read in (io.read_image, io.read_masks):
        assert np.array_equal(read(tmp_path / "a.tif"), right)
    assert read_shape(tmp_path / "a.tif") == right.shape
    assert io.read_pixel_size(tmp_path / "a.tif") == ((0.5, 0.25) if orientation < 5 else (0.25, 0.5))
    stack = np.stack([plane, plane[::-1], plane[:, ::-1]])
    tifffile.imwrite(tmp_path / "b.tif", stack, photometric="minisblack", metadata={"axes": "ZYX"}, extratags=tags)
    assert np.array_equal(io.read_image(tmp_path / "b.tif", z=0), right)
    assert np.array_equal(io.read_masks(tmp_path / "b.tif")[0], right)


def test_where_zero_is_white(plane, tmp_path):
    file = tmp_path / "a.tif"
    for dtype, compression in (("u1", None), ("u1", "lzw"), ("u2", "zlib"), ("i2", None)):
        tifffile.imwrite(file, plane.astype(dtype), photometric="miniswhite", compression=compression)
        limits = np.iinfo(dtype)
        assert np.array_equal(io.read_image(file), (limits.max + limits.min - plane.astype(int)).astype(dtype))
        assert np.array_equal(io.read_masks(file), plane)  # labels are numbers
    tifffile.imwrite(file, plane > 99, photometric="miniswhite")  # as tifffile tags every array of bool
    assert np.array_equal(io.read_image(file), plane > 99)
    tifffile.imwrite(file, plane.astype("f4"), photometric="miniswhite")
    with pytest.raises(ValueError, match=r"a\.tif must have 0 as black"):
        io.read_image(file)


def test_single_bits(plane, tmp_path):
    for compression in (None, "packbits", "zlib"):
        tifffile.imwrite(tmp_path / "a.tif", plane > 99, compression=compression)
        for read in (io.read_image, io.read_masks):
            assert read(tmp_path / "a.tif").dtype == np.uint8
            assert np.array_equal(read(tmp_path / "a.tif"), plane > 99)
    Image.fromarray(plane > 99).save(tmp_path / "b.tif", compression="group4")
    if tifffile.COMPRESSION.CCITT_T6 not in tifffile.TIFF.DECOMPRESSORS:
        with pytest.raises(ValueError, match=r"must have a compression that imagecodecs reads; it has CCITT_T6"):
            io.read_image(tmp_path / "b.tif")
        return
    assert np.array_equal(io.read_image(tmp_path / "b.tif"), plane > 99)


def test_palettes(plane, tmp_path):
    picture = Image.fromarray(plane, mode="P")
    picture.putpalette(np.random.default_rng(0).integers(0, 255, 768).astype(np.uint8).tobytes())
    picture.save(tmp_path / "a.tif")
    assert np.array_equal(io.read_image(tmp_path / "a.tif"), np.asarray(picture.convert("RGB")))
    assert np.array_equal(io.read_image(tmp_path / "a.tif", channel=1), np.asarray(picture.convert("RGB"))[..., 1])
    assert np.array_equal(io.read_masks(tmp_path / "a.tif"), plane)
    ramp = np.zeros((3, 256), np.uint16)
    ramp[1] = np.arange(256) * 257
    for name, options in (("green.tif", {}), ("imagej.tif", {"imagej": True})):
        tifffile.imwrite(tmp_path / name, plane, photometric="palette", colormap=ramp, **options)
        assert np.array_equal(io.read_image(tmp_path / name), plane)


def test_colors_by_jpeg_and_others(tmp_path):
    smooth = np.linspace(0, 200, 48 * 32).reshape(48, 32, 1).astype(np.uint8) + np.array([0, 20, 50], np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", smooth, photometric="rgb", compression="jpeg")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages[0].photometric == tifffile.PHOTOMETRIC.YCBCR
    assert np.abs(io.read_image(tmp_path / "a.tif").astype(int) - smooth).max() < 20
    with pytest.raises(ValueError, match=r"a\.tif must not be compressed by JPEG, which changes labels"):
        io.read_masks(tmp_path / "a.tif")
    for photometric, samples in (("separated", 4), ("cielab", 3), ("ycbcr", 3)):
        array = np.zeros((8, 8, samples), np.uint8)
        tifffile.imwrite(tmp_path / "b.tif", array, photometric=photometric, planarconfig="contig")
        with pytest.raises(ValueError, match=rf"b\.tif must be gray or RGB; its colors are {photometric.upper()}"):
            io.read_image(tmp_path / "b.tif")


def test_opacity_is_known_by_its_tag(tmp_path):
    two = np.random.default_rng(0).integers(0, 255, (5, 6, 2)).astype(np.uint8)
    two[..., 1] = 255
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, two, photometric="minisblack", planarconfig="contig")
    assert np.array_equal(io.read_image(file), two)  # a channel that is saturated
    tifffile.imwrite(file, two, photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"])
    for read in (io.read_image, io.read_masks):
        assert np.array_equal(read(file), two[..., 0])


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i4"])
def test_label_stacks_are_stacks(n, dtype, tmp_path):
    labels = np.random.default_rng(0).integers(0, 99, (n, 6, 8)).astype(dtype)
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, labels)  # three and four planes are tagged as colors
    assert np.array_equal(io.read_masks(file), labels)
    if n in (3, 4):
        tifffile.imwrite(file, labels, photometric="rgb", planarconfig="separate", metadata=None)
        if dtype == "u1":
            with pytest.raises(ValueError, match="must hold a stack of labels or colors; its tags leave open which"):
                io.read_masks(file)
            if n == 3:
                assert io.read_masks(file, axes="SYX").shape == (6, 8)
        assert np.array_equal(io.read_masks(file, axes="ZYX"), labels)
    for shape in ((n, 6, 1), (n, 3, 4), (n, 4, 3), (n, 1, 3), (6, n), (n, 6, 3)):
        written = np.random.default_rng(0).integers(0, 99, shape)
        io.write_masks(file, written)
        assert np.array_equal(io.read_masks(file), written)


def test_axes_of_labels_are_those_of_the_file(tmp_path):
    labels = np.random.default_rng(0).integers(0, 99, (2, 3, 6, 8)).astype(np.uint16)
    file = tmp_path / "a.ome.tif"
    tifffile.imwrite(file, labels, metadata={"axes": "ZCYX"})
    with pytest.raises(ValueError, match="must be labels of one channel; it has axes ZCYX"):
        io.read_masks(file)
    assert np.array_equal(io.read_masks(file, channel=1), labels[:, 1])
    assert np.array_equal(io.read_masks(file, channel=1, z=1), labels[1, 1])
    tifffile.imwrite(tmp_path / "f.tif", labels[0, 0].astype("f4"))
    assert io.read_masks(tmp_path / "f.tif").dtype == np.int32
    assert np.array_equal(io.read_masks(tmp_path / "f.tif"), labels[0, 0])
    tifffile.imwrite(tmp_path / "f.tif", labels[0, 0].astype("f4") + np.float32(2**25))
    with pytest.raises(ValueError, match=r"must have labels of at most 16777216 when stored as floats"):
        io.read_masks(tmp_path / "f.tif")


def test_levels_of_a_pyramid_are_no_images_to_choose_from(tmp_path):
    full = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as file:
        file.write(full, subifds=2, tile=(16, 16))
        for step in (2, 4):
            file.write(full[::step, ::step], subfiletype=1, tile=(16, 16))
    with tifffile.TiffWriter(tmp_path / "b.tif") as file:
        for step in (1, 2, 4):
            file.write(full[::step, ::step], subfiletype=int(step > 1), metadata=None)
    for name in ("a.ome.tif", "b.tif"):
        assert np.array_equal(io.read_image(tmp_path / name), full)
        assert np.array_equal(io.read_masks(tmp_path / name), full)


def test_series_are_chosen(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(np.zeros((5, 6), np.uint8))
        file.write(np.ones((7, 9), np.uint16))
    for read in (io.read_image, io.read_masks, io.read_pixel_size):
        with pytest.raises(
            ValueError,
            match=r"scene must be the name or number of one image of .*; it holds '0: 5 x 6 uint8', '1: 7 x 9",
        ):
            read(tmp_path / "a.tif")
    assert io.read_image(tmp_path / "a.tif", scene=1).shape == (7, 9)
    assert io.read_masks(tmp_path / "a.tif", scene="1: 7 x 9 uint16").shape == (7, 9)


def write_set(folder, names=("t0.ome.tif", "t1.ome.tif")):
    """An OME set, one time in each file; as in the field, every file describes all."""
    files = [(name, uuid.uuid4()) for name in names]
    data = "".join(
        f'<TiffData FirstT="{t}" IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{one}</UUID></TiffData>'
        for t, (name, one) in enumerate(files)
    )
    for t, (name, one) in enumerate(files):
        text = (
            f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{one}"><Image ID="Image:0">'
            '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="7" SizeY="5" SizeC="1" SizeZ="1" '
            f'SizeT="{len(files)}"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{data}</Pixels></Image></OME>'
        )
        tifffile.imwrite(folder / name, np.full((5, 7), t + 1, "u2"), description=text.encode(), metadata=None)


def test_ome_sets(tmp_path):
    write_set(tmp_path)
    for name in ("t0.ome.tif", "t1.ome.tif"):
        for t in (0, 1):
            assert io.read_image(tmp_path / name, t=t)[0, 0] == t + 1
    (tmp_path / "t1.ome.tif").rename(tmp_path / "kept.ome.tif")
    assert io.read_image(tmp_path / "t0.ome.tif", t=0)[0, 0] == 1
    for read in (io.read_image, io.read_masks):
        with pytest.raises(ValueError, match=r"plane 1 is in .*t1\.ome\.tif, which is missing"):
            read(tmp_path / "t0.ome.tif", t=1)
    with pytest.raises(ValueError, match=r"t1\.ome\.tif, which is missing"):
        io.read_masks(tmp_path / "t0.ome.tif")
    (tmp_path / "other").mkdir()
    write_set(tmp_path / "other")
    (tmp_path / "other" / "t1.ome.tif").rename(tmp_path / "t1.ome.tif")
    with pytest.raises(ValueError, match=r"t1\.ome\.tif must be the file of .*t0\.ome\.tif's set that holds plane 1"):
        io.read_image(tmp_path / "t0.ome.tif", t=1)


def test_ome_images_whose_files_are_missing_do_not_shift_the_others(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as file:
        file.write(np.zeros((5, 7), np.uint8), metadata={"Name": "first"})
        file.write(np.ones((5, 7), np.uint8), metadata={"Name": "second"})
    text = tifffile.tiffcomment(tmp_path / "a.ome.tif")
    lost = '<TiffData IFD="0" PlaneCount="1"><UUID FileName="gone.ome.tif">urn:uuid:1</UUID></TiffData>'
    text = text.replace('<TiffData IFD="0" PlaneCount="1"/>', lost, 1)
    tifffile.tiffcomment(tmp_path / "a.ome.tif", text)
    with pytest.raises(ValueError, match="must hold the 2 images that its OME metadata describe; only 1 can be read"):
        io.read_image(tmp_path / "a.ome.tif", scene=0)


def test_one_plane_is_read_without_the_rest(tmp_path, monkeypatch):
    stack = np.random.default_rng(0).integers(0, 99, (40, 32, 32)).astype(np.uint16)
    decoded, decode = [], tifffile.TiffPage.asarray
    monkeypatch.setattr(tifffile.TiffPage, "asarray", lambda page, **said: decoded.append(1) or decode(page, **said))
    for name, options in (("a", {}), ("b", {"compression": "lzw"}), ("c", {"compression": "zlib", "tile": (16, 16)})):
        file = tmp_path / f"{name}.ome.tif"
        tifffile.imwrite(file, stack, metadata={"axes": "ZYX"}, photometric="minisblack", **options)
        decoded.clear()
        assert np.array_equal(io.read_image(file, z=17), stack[17])
        assert np.array_equal(io.read_masks(file, z=39), stack[39])
        assert len(decoded) <= 2
        assert read_shape(file) == read_shape(file, Selection(z=3)) == (32, 32)


def test_memory_is_checked_for_the_plane_that_is_read(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((40, 100, 100), np.uint16), metadata={"axes": "ZYX"})
    Image.new("L", (200, 100)).save(tmp_path / "b.png")
    monkeypatch.setattr(memory, "SMALL", 0)
    monkeypatch.setattr(memory, "allowed", lambda: 250_000)
    check_image_memory(tmp_path / "a.ome.tif", 2, Selection(z=3))
    assert io.read_image(tmp_path / "a.ome.tif", z=3).shape == (100, 100)
    with pytest.raises(MemoryError, match=r"a\.ome\.tif must fit into memory; with shape \(40, 100, 100\)"):
        io.read_masks(tmp_path / "a.ome.tif")
    with pytest.raises(MemoryError, match=r"b\.png must fit into memory; with shape \(100, 200\)"):
        check_image_memory(tmp_path / "b.png", 20)


def test_questions_out_of_range(tmp_path):
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((3, 2, 5, 6), np.uint8), metadata={"axes": "ZCYX"})
    for options, sentence in (
        ({"z": 3}, "z must be below 3 for .*; got 3"),
        ({"z": 0, "t": 1}, "t must be below 1 for .*; got 1"),
        ({"z": 0, "channel": (0, 0)}, "channel must hold at least one number, and none twice"),
        ({"z": 0, "channel": ()}, "channel must hold at least one number"),
        ({"z": -1}, "z must be an integer of at least 0"),
        ({"axes": "ZYX"}, "axes must name the 4 axes of"),
        ({"axes": "YXCS"}, "z must be below|must be one image|axes"),
        ({}, r"Choose a plane with z\.$"),
    ):
        with pytest.raises((ValueError, TypeError), match=sentence):
            io.read_image(tmp_path / "a.ome.tif", **options)
    assert read_shape(tmp_path / "a.ome.tif") == (5, 6)
    with pytest.raises(ValueError, match="z must be below 3"):
        read_shape(tmp_path / "a.ome.tif", Selection(z=3))


@pytest.mark.parametrize("kind", ["strips", "tiles", "lzw", "imagej", "ome", "shaped"])
def test_truncated_files_are_refused_or_right(kind, tmp_path):
    stack = np.random.default_rng(0).integers(1, 255, (4, 40, 48)).astype(np.uint8)
    options = {
        "strips": {"rowsperstrip": 8, "metadata": None},
        "tiles": {"tile": (16, 16), "metadata": {"axes": "ZYX"}},
        "lzw": {"compression": "lzw", "metadata": None},
        "imagej": {"imagej": True, "metadata": {"axes": "ZYX"}},
        "ome": {"ome": True, "metadata": {"axes": "ZYX"}},
        "shaped": {"metadata": {"axes": "ZYX"}},
    }[kind]
    tifffile.imwrite(tmp_path / "whole.tif", stack, photometric="minisblack", **options)
    content = (tmp_path / "whole.tif").read_bytes()
    said = {"axes": "ZYX"} if options["metadata"] is None else {}
    count = {"right": 0, "refused": 0}
    for end in np.linspace(0, len(content) - 1, 60).astype(int):
        (tmp_path / "cut.tif").write_bytes(content[:end])
        for z in (0, 3):
            try:
                read = io.read_image(tmp_path / "cut.tif", z=z, **said)
            except ValueError:
                count["refused"] += 1
            else:
                assert np.array_equal(read, stack[z]), end
                count["right"] += 1
        try:
            read = io.read_masks(tmp_path / "cut.tif")
        except ValueError:
            continue
        assert np.array_equal(read, stack), end
    assert count["refused"] >= 50


def test_files_that_are_no_tiff(tmp_path):
    file = tmp_path / "a.tif"
    for content, sentence in (
        (b"", "must be a TIFF file to match its name; it is empty"),
        (b"some text", "it does not begin as one"),
        (b"\x89PNG\r\n\x1a\nrest", r"it is a PNG file. Let its name end in \.png"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "it is a PostScript file. Save the image as TIFF or PNG"),
        (b"II*\0\xff\xff\xff\xff", "a.tif must"),
        (b"II*\0\x08\0\0\0\xff\xff", "a.tif must"),
    ):
        file.write_bytes(content)
        for read in (io.read_image, io.read_masks, io.read_pixel_size, read_shape):
            with pytest.raises(ValueError, match=sentence):
                read(file)
    (tmp_path / "folder.tif").mkdir()
    with pytest.raises(ValueError, match="must be an image file; it is a folder"):
        io.read_image(tmp_path / "folder.tif")
    (tmp_path / "a.csv").write_text("1,2")
    with pytest.raises(ValueError, match=r"a\.csv must be an image file, whose name ends in one of \.tif, .*\.png"):
        io.read_image(tmp_path / "a.csv")


def test_pixels_that_are_not_there(tmp_path):
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, np.full((64, 64), 9, np.uint8), tile=(16, 16), compression="zlib")
    with tifffile.TiffFile(file, mode="r+b") as tiff:
        for code in ("TileOffsets", "TileByteCounts"):
            tag = tiff.pages[0].tags[code]
            tag.overwrite((0, *tag.value[1:]))
    with pytest.warns(UserWarning, match=r"a\.tif holds no pixels for 1 of its 16 tiles; they are read as 0"):
        image = io.read_image(file)
    assert not image[:16, :16].any()
    tifffile.imwrite(file, np.full((64, 64), 9, np.uint8), rowsperstrip=16, compression="zlib")
    with tifffile.TiffFile(file, mode="r+b") as tiff:
        tag = tiff.pages[0].tags["StripByteCounts"]
        tag.overwrite((0, *tag.value[1:]))
    with pytest.raises(ValueError, match=r"a\.tif must hold all of its pixels; of its 4 strips or tiles 1 are absent"):
        io.read_image(file)


def test_nothing_is_read_to_know_the_axes(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 5, 6), np.uint8), metadata={"axes": "TYX"}, compression="lzw")
    with open_image(tmp_path / "a.tif", None) as source:
        assert (source.axes, source.shape, source.dtype) == ("TYX", (3, 5, 6), np.uint8)
