"""PNG, JPEG and BMP: orientation, opacity, palettes, gray in three channels, sizes, and what is no picture."""

import imagecodecs
import numpy as np
import pytest
from cli_tools import run_here
from PIL import Image, ImageOps

import flowseg
from flowseg import io
from flowseg._image_files.reading import read_shape
from flowseg.io._results import Result, write_results


@pytest.fixture
def labels():
    array = np.zeros((12, 16), np.uint8)
    array[2:6, 2:8], array[7:11, 3:5] = 1, 2
    return array


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_that_of_viewers(orientation, labels, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    shown = Image.fromarray(labels)
    shown.getexif()[0x0112] = orientation
    right = np.asarray(ImageOps.exif_transpose(shown))
    Image.fromarray(labels).save(tmp_path / "a.png", exif=exif)
    Image.fromarray(labels * 100).save(tmp_path / "a.jpg", exif=exif, quality=98)
    for read in (io.read_image, io.read_masks):
        assert np.array_equal(read(tmp_path / "a.png"), right)
    assert np.abs(io.read_image(tmp_path / "a.jpg").astype(int) - 100 * right.astype(int)).max() < 30
    assert read_shape(tmp_path / "a.jpg") == read_shape(tmp_path / "a.png") == right.shape


def test_opacity_of_labels(labels, tmp_path):
    for opacity in (np.full_like(labels, 255), np.full_like(labels, 128), (labels > 0) * np.uint8(255)):
        Image.fromarray(np.dstack([labels, opacity])).save(tmp_path / "a.png")
        assert np.array_equal(io.read_masks(tmp_path / "a.png"), labels)
        colors = np.dstack([labels * 90, labels * 0, labels, opacity])
        Image.fromarray(colors).save(tmp_path / "b.png")
        assert np.array_equal(io.read_masks(tmp_path / "b.png"), labels)
    Image.fromarray(np.dstack([labels, labels + 7])).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png must have one opacity for all labels; it varies"):
        io.read_masks(tmp_path / "a.png")


def test_palettes_and_few_bits(labels, tmp_path):
    picture = Image.fromarray(labels, mode="P")
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
    for name in ("a.png", "a.bmp"):
        picture.save(tmp_path / name)
        assert np.array_equal(io.read_masks(tmp_path / name), labels)
        assert np.array_equal(io.read_image(tmp_path / name), np.asarray(picture.convert("RGB")))
    for bits in (1, 2, 4):
        gray = labels % 2**bits
        rows = np.packbits(np.unpackbits(gray[..., None], axis=-1)[..., -bits:].reshape(12, -1), axis=1)
        (tmp_path / "b.png").write_bytes(_png(16, 12, bits, 0, rows))
        for read in (io.read_image, io.read_masks):
            assert np.array_equal(read(tmp_path / "b.png"), gray)


def _png(width, height, bits, color, rows):
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("samples", [1, 2, 3, 4])
def test_sixteen_bits(samples, tmp_path):
    array = np.random.default_rng(0).integers(0, 65535, (9, 7, samples)).astype(np.uint16).squeeze()
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(array))
    read = io.read_image(tmp_path / "a.png")
    assert read.dtype == np.uint16
    assert np.array_equal(read, array)
    assert np.array_equal(io.read_image(tmp_path / "a.png", channel=0), array.reshape(9, 7, samples)[..., 0])


def test_gray_in_three_channels(labels, tmp_path):
    Image.fromarray(labels).convert("RGB").save(tmp_path / "a.png")
    Image.fromarray(labels).convert("RGBA").save(tmp_path / "b.png")
    for name in ("a.png", "b.png"):
        for read in (io.read_image, io.read_masks):
            assert np.array_equal(read(tmp_path / name), labels)
        assert io.read_image(tmp_path / name, keep_color=True).shape == (12, 16, 3)
        assert np.array_equal(io.read_image(tmp_path / name, channel=2), labels)
    io.write_picture(tmp_path / "c.png", np.dstack([labels, labels, labels + 1]))
    assert io.read_image(tmp_path / "c.png").shape == (12, 16, 3)
    with pytest.raises(TypeError, match="keep_color must be"):
        io.read_image(tmp_path / "a.png", keep_color=3)


def test_color_models_get_three_channels_of_gray_pictures(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for seed in range(3):
        image, masks = flowseg.synthetic.cells((96, 96), 8, rng=seed)
        gray = (255 * (image - image.min()) / np.ptp(image)).astype(np.uint8)
        colors = np.dstack([gray, gray, gray if seed == 0 else gray // 2])
        io.write_picture(tmp_path / "images" / f"w{seed}.png", colors)
        io.write_masks(tmp_path / "masks" / f"w{seed}.tif", masks)
    model = tmp_path / "m.safetensors"
    options = "--output", model, "--epochs", "1", "--steps-per-epoch", "2", "--filters", "8,16"
    run_here("train", tmp_path / "images", tmp_path / "masks", *options)
    assert flowseg.FlowSegmenter.load(model).n_channels == 3
    run_here("predict", tmp_path / "images", "--model", model, "--output", tmp_path / "out")
    assert len(list((tmp_path / "out").glob("*_masks.tif"))) == 3
    for seed in (1, 2):  # now all are without color
        (tmp_path / "images" / f"w{seed}.png").unlink()
        (tmp_path / "masks" / f"w{seed}.tif").unlink()
    more = "--epochs", "1", "--steps-per-epoch", "2", "--from", model, "--output", tmp_path / "n.safetensors"
    run_here("train", tmp_path / "images", tmp_path / "masks", *more)
    assert flowseg.FlowSegmenter.load(tmp_path / "n.safetensors").n_channels == 3


def test_only_what_the_name_promises_is_opened(tmp_path):
    file = tmp_path / "a.png"
    for content, sentence in (
        (b"", "must be a PNG file to match its name; it is empty"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is a PostScript file"),
        (b"GIF89a", "it is a GIF file. Save the image as TIFF or PNG"),
        (b"\xff\xd8\xff\xe0", r"it is a JPEG file. Let its name end in \.jpg"),
        (b"\x89PNG\r\n\x1a\n", r"a\.png must be a readable PNG file"),
    ):
        file.write_bytes(content)
        for read in (io.read_image, io.read_masks, read_shape):
            with pytest.raises(ValueError, match=sentence):
                read(file)
    Image.new("CMYK", (8, 8)).save(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=r"a\.jpg must be gray or RGB; its colors are CMYK"):
        io.read_image(tmp_path / "a.jpg")
    frames = [Image.new("L", (8, 8), value) for value in (0, 99)]
    frames[0].save(file, save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match=r"a\.png must be a still picture; it has 2 frames"):
        io.read_image(file)


def test_large_pictures_are_read(tmp_path):
    Image.new("L", (15000, 13000)).save(tmp_path / "a.png")
    assert read_shape(tmp_path / "a.png") == (13000, 15000)
    assert io.read_image(tmp_path / "a.png").shape == (13000, 15000)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.jpg"])
def test_truncated_pictures_are_refused(name, tmp_path):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8))
    picture.save(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    for end in range(20, len(content) - 20, 997):
        (tmp_path / name).write_bytes(content[:end])
        with pytest.raises(ValueError, match=rf"{name} must be"):
            io.read_image(tmp_path / name)


def test_a_jpeg_of_several_pictures_is_not_cut_down_to_one(tmp_path):
    frames = [Image.new("L", (16, 16), value) for value in (0, 200)]
    file = tmp_path / "a.jpg"
    frames[0].save(file, "MPO", save_all=True, append_images=frames[1:])
    content = file.read_bytes()
    assert io.read_image(file).shape == (16, 16)  # the second is of no kind that counts, as maps of brightness are
    start = content.index(b"MPF\0") + 4
    tag = content.index(b"\x02\xb0", start)
    place = start + int.from_bytes(content[tag + 8 : tag + 12], "little") + 16  # the second entry of 16 bytes
    assert content[place : place + 4] == bytes(4)
    for kind in (0x020001, 0x020002, 0x020003):  # panorama, disparity, angle
        file.write_bytes(content[:place] + kind.to_bytes(4, "little") + content[place + 4 :])
        with pytest.raises(ValueError, match=r"a\.jpg must hold one picture; it holds 2\. Save the one to read\."):
            io.read_image(file)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (4, 3), (30, 40)])
@pytest.mark.parametrize("largest", [0, 1, 2, 15, 255, 256, 65535])
@pytest.mark.parametrize("dtype", ["u2", ">i4", "i8"])
def test_masks_written_as_png_are_read_back(shape, largest, dtype, tmp_path):
    masks = np.random.default_rng(0).integers(0, largest + 1, shape).astype(dtype)
    masks.flat[-1] = largest
    write_results(tmp_path, "a", ("png",), Result(masks))
    assert np.array_equal(io.read_masks(tmp_path / "a_masks.png"), masks)


def test_masks_that_no_png_holds_are_not_written(tmp_path):
    for masks in (np.full((3, 3), 65536), np.full((3, 3), -1), np.ones((2, 3, 3), int)):
        with pytest.raises(ValueError, match="to be a PNG; got shape"):
            write_results(tmp_path, "a", ("png",), Result(masks))
    assert not list(tmp_path.iterdir())
