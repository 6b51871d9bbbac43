from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage.io import imsave

from flowseg import io
from flowseg._system import files


def test_find_files(tmp_path):
    for name in ("b.TIF", "a b ü.png", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "c.tif").touch()
    assert [p.name for p in io.find_files(tmp_path)] == ["a b ü.png", "b.TIF"]
    assert [p.name for p in io.find_files(tmp_path / "*" / "*.tif")] == ["c.tif"]
    assert io.find_files(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]
    for nothing in ("*.jpg", "missing", "deeper/nothing*"):
        with pytest.raises(FileNotFoundError, match="must name an image file, a folder or a pattern"):
            io.find_files(tmp_path / nothing)


def test_pair_files():
    def paths(text):
        return [Path(name) for name in text.split()]

    pairs = io.pair_files(paths("x/b.tif x/a.tif"), paths("y/a_cp_masks.png y/b.png"))
    assert [(str(a), str(b)) for a, b in pairs] == [("x/b.tif", "y/b.png"), ("x/a.tif", "y/a_cp_masks.png")]
    assert io.pair_files(paths("one.tif"), paths("other.tif")) == [(Path("one.tif"), Path("other.tif"))]
    own_ending = io.pair_files(["x/a.png", "x/a_mask.png"], ["y/a.png", "y/a_mask.png"])
    assert [b.name for _, b in own_ending] == ["a.png", "a_mask.png"]
    with pytest.raises(ValueError, match="these have none: x/c.tif, y/d.tif"):
        io.pair_files(paths("x/a.tif x/b.tif x/c.tif"), paths("y/a.tif y/b.tif y/d.tif"))
    with pytest.raises(ValueError, match="these fit in several ways: x/a.tif, x/a.png, y/a_masks.tif"):
        io.pair_files(paths("x/a.tif x/a.png x/b.tif"), paths("y/a_masks.tif y/b.tif"))


def test_read_image(tmp_path):
    image = np.random.default_rng(0).integers(0, 4000, (7, 9)).astype(np.uint16)
    for name in ("gray 1.tif", "gray 1.png"):
        imsave(tmp_path / name, image, check_contrast=False)
        assert np.array_equal(io.read_image(tmp_path / name), image)
    rgba = np.zeros((5, 6, 4), np.uint8)
    rgba[..., :3] = np.arange(18).reshape(6, 3)
    rgba[..., 3] = 255
    imsave(tmp_path / "opaque.png", rgba, check_contrast=False)
    assert np.array_equal(io.read_image(tmp_path / "opaque.png"), rgba[..., :3])
    rgba[0, 0, 3] = 10
    imsave(tmp_path / "clear.png", rgba, check_contrast=False)
    assert io.read_image(tmp_path / "clear.png").shape == (5, 6, 4)


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.jpg"])
@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_damaged_files(tmp_path, name, content):
    file = tmp_path / name
    if content is None:
        imsave(file, np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8), check_contrast=False)
        content = file.read_bytes()[:300] if name != "a.tif" else file.read_bytes()[:6]
    file.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} must (be|hold all of its pixels)"):
        io.read_image(file)


def test_forms_of_color(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 255, (6, 7, 3)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "planar.tif", np.moveaxis(rgb, -1, 0), photometric="rgb", planarconfig="separate")
    assert np.array_equal(io.read_image(tmp_path / "planar.tif"), rgb)
    Image.fromarray(rgb[..., 0]).convert("LA").save(tmp_path / "la.png")
    assert np.array_equal(io.read_image(tmp_path / "la.png"), rgb[..., 0])
    tifffile.imwrite(tmp_path / "float.tif", np.ones((5, 6, 4), np.float32), photometric="rgb")
    assert io.read_image(tmp_path / "float.tif").shape == (5, 6, 4)
    Image.fromarray(rgb[..., 0]).save(tmp_path / "lzw.tif", compression="tiff_lzw")
    assert np.array_equal(io.read_image(tmp_path / "lzw.tif"), rgb[..., 0])
    Image.fromarray(rgb[..., 0] > 99).save(tmp_path / "bits.png")
    assert set(np.unique(io.read_image(tmp_path / "bits.png"))) == {0, 1}


def test_sixteen_bit_color_is_not_cut(tmp_path):
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" + bytes.fromhex("011000000000") + bytes.fromhex("012000000000"))
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    (tmp_path / "deep.png").write_bytes(png)
    image = io.read_image(tmp_path / "deep.png")
    assert image.dtype == np.uint16
    assert image.tolist() == [[[0x0110, 0, 0], [0x0120, 0, 0]]]
    assert io.read_masks(tmp_path / "deep.png").tolist() == [[1, 2]]


def test_masks_in_files_that_could_be_taken_for_something_else(tmp_path):
    labels = np.arange(8 * 9 * 3, dtype=np.uint16).reshape(8, 9, 3)
    io.write_masks(tmp_path / "volume.tif", labels)
    assert np.array_equal(io.read_masks(tmp_path / "volume.tif"), labels)
    indices = np.zeros((4, 5), np.uint8)
    indices[1:3, 1:3], indices[1:3, 3] = 1, 2
    picture = Image.fromarray(indices, mode="P")
    picture.putpalette([255, 255, 255, 255, 0, 0, 0, 255, 0])
    picture.save(tmp_path / "palette.png")
    assert np.array_equal(io.read_masks(tmp_path / "palette.png"), indices)
    assert io.read_image(tmp_path / "palette.png").shape == (4, 5, 3)
    imsave(tmp_path / "colors.jpg", np.zeros((9, 9, 3), np.uint8), check_contrast=False)
    with pytest.raises(ValueError, match="must not be a JPEG file"):
        io.read_masks(tmp_path / "colors.jpg")


def test_targets_that_must_stay(tmp_path):
    (tmp_path / "real.tif").touch()
    (tmp_path / "link.tif").symlink_to(tmp_path / "real.tif")
    (tmp_path / "real.tif").chmod(0o600)
    io.write_masks(tmp_path / "link.tif", np.eye(3, dtype=int))
    assert (tmp_path / "link.tif").is_symlink()
    assert (tmp_path / "real.tif").stat().st_mode & 0o777 == 0o600
    assert np.array_equal(io.read_masks(tmp_path / "real.tif"), np.eye(3))
    with pytest.raises(FileNotFoundError, match="must lie in a folder that exists"):
        io.write_masks(tmp_path / "missing" / "a.tif", np.eye(3, dtype=int))
    with pytest.raises(ValueError, match=r"path must end in .tif or .tiff"):
        io.write_masks(tmp_path / "a.png", np.eye(3, dtype=int))
    (tmp_path / "folder.tif").mkdir()
    with pytest.raises(ValueError, match="must be a file or not exist"):
        io.write_masks(tmp_path / "folder.tif", np.eye(3, dtype=int))


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="must be an image file; there is none"):
        io.read_image(tmp_path / "no.tif")


def test_masks_files(tmp_path):
    masks = np.arange(12).reshape(3, 4)
    io.write_masks(tmp_path / "m.tif", masks)
    assert tifffile.imread(tmp_path / "m.tif").dtype == np.uint8
    assert np.array_equal(io.read_masks(tmp_path / "m.tif"), masks)
    io.write_masks(tmp_path / "m.tif", masks * 10_000)  # never wrapped
    assert tifffile.imread(tmp_path / "m.tif").dtype == np.uint32
    assert np.array_equal(io.read_masks(tmp_path / "m.tif"), masks * 10_000)
    with pytest.raises(ValueError, match=r"masks must have labels from 0 to 2\*\*32 - 1 to be written; got -1 to 10"):
        io.write_masks(tmp_path / "m.tif", masks - 1)
    colors = np.zeros((4, 4, 3), np.uint8)
    colors[0, 0], colors[0, 1] = (64, 0, 0), (0, 64, 0)
    imsave(tmp_path / "rgb.png", colors, check_contrast=False)
    assert io.read_masks(tmp_path / "rgb.png")[0, :2].tolist() == [1, 2]
    tifffile.imwrite(tmp_path / "float.tif", np.full((3, 3), 0.5, np.float32))
    with pytest.raises(io.InvalidFileError, match=r"float.tif must be an integer label image"):
        io.read_masks(tmp_path / "float.tif")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_the_old_file(tmp_path, error):
    file = tmp_path / "result.tif"
    file.write_bytes(b"old")

    def fail(beside):
        beside.write_bytes(b"half of it")
        raise error

    with pytest.raises(type(error)):
        files.write_atomically(file, fail)
    assert file.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["result.tif"]


def test_written_files_have_the_usual_permissions(tmp_path):
    file = tmp_path / "a.png"
    io.write_picture(file, np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "plain").touch()
    assert file.stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(
    ("name", "picture", "error", "sentence"),
    [
        ("a.png", np.zeros((4, 4, 3)), TypeError, "picture must be an array of uint8; got dtype float64"),
        (
            "a.png",
            np.zeros((4, 4), np.uint8),
            ValueError,
            r"picture must have shape \(rows, columns, 3\); got \(4, 4\)",
        ),
        ("a.png", [[1, 2], [3]], ValueError, "picture must be an array; got rows of different lengths"),
        ("a.png", np.zeros((0, 4, 3), np.uint8), ValueError, r"got \(0, 4, 3\)"),
        ("a.jpg", np.zeros((4, 4, 3), np.uint8), ValueError, "path must end in .png; got .*a.jpg"),
    ],
)
def test_arrays_that_are_no_pictures_are_refused(tmp_path, name, picture, error, sentence):
    with pytest.raises(error, match=sentence):
        io.write_picture(tmp_path / name, picture)
    assert not list(tmp_path.iterdir())
