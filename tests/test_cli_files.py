"""`flowseg predict` and odd files, full disks, missing permissions: one line each, the others done, nothing half written."""

import os
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from cli_tools import ENVIRONMENT, command, contents, differing, invoke, run_here
from PIL import Image
from skimage.io import imsave

from flowseg import io, synthetic


@pytest.fixture(scope="module")
def model(fitted, tmp_path_factory):
    file = tmp_path_factory.mktemp("model") / "model.safetensors"
    fitted["FlowSegmenter"].save(file)
    return file


def draw(seed=0, shape=(64, 64)):
    image, _ = synthetic.cells(shape, 6, rng=seed)
    return (60 * image).clip(0, 255).astype(np.uint8)


def png_header(width, height):
    """A PNG file of this size that holds hardly any data."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + chunk(b"IEND", b"")


def huge_tiff(file):
    """A TIFF whose tags speak of 400,000 x 400,000 pixels."""
    tifffile.imwrite(file, np.zeros((16, 16), np.uint8))
    with tifffile.TiffFile(file, mode="r+") as tiff:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            tiff.pages[0].tags[name].overwrite(400_000)


def write_odd_files(folder):
    """Files that cannot be segmented, by name, with words that their line must hold."""
    whole = draw()
    (folder / "corrupt.png").write_bytes(b"\x89PNG\r\n\x1a\n" + os.urandom(200))
    (folder / "corrupt tiff.tif").write_bytes(b"II*\0" + os.urandom(200))
    (folder / "text.jpg").write_text("no picture")
    (folder / "empty.png").touch()
    (folder / "empty tiff.tif").touch()
    for name in (
        "truncated.png",
        "truncated tiff.tif",
        "truncated zlib.tif",
        "truncated jpeg.jpg",
        "truncated bitmap.bmp",
    ):
        file = folder / name
        if name.endswith(".tif"):
            tifffile.imwrite(file, whole, compression="zlib" if "zlib" in name else None)
        else:
            imsave(file, whole, check_contrast=False)
        file.write_bytes(file.read_bytes()[: int(0.6 * file.stat().st_size)])
    (folder / "no width.png").write_bytes(png_header(0, 64))
    (folder / "huge.png").write_bytes(png_header(400_000, 400_000))
    huge_tiff(folder / "huge tiff.tif")
    colors = np.dstack([whole // 2, whole, whole])
    Image.fromarray(colors).convert("P", palette=Image.Palette.ADAPTIVE).save(folder / "palette.png")
    imsave(folder / "rgba.png", np.dstack([whole, whole, whole, whole]), check_contrast=False)
    imsave(folder / "rgb.png", colors, check_contrast=False)
    tifffile.imwrite(folder / "pages.tif", np.stack([whole] * 5), photometric="minisblack", metadata=None)
    tifffile.imwrite(folder / "not a number.tif", np.full((20, 20), np.nan, np.float32))
    tifffile.imwrite(folder / "complex.tif", whole.astype(np.complex64))
    (folder / "a folder.png").mkdir()
    words = {
        "corrupt.png": "readable PNG file", "corrupt tiff.tif": "must hold an image", "text.jpg": "does not begin as one",
        "empty.png": "it is empty", "empty tiff.tif": "it is empty", "truncated.png": "readable PNG file",
        "truncated tiff.tif": "it is cut short", "truncated zlib.tif": "it is cut short",
        "truncated jpeg.jpg": "readable JPEG file", "truncated bitmap.bmp": "readable BMP file",
        "no width.png": "readable PNG file", "huge.png": "must fit into memory", "huge tiff.tif": "must hold all of its pixels",
        "palette.png": "got 3. Choose with --channel", "rgba.png": "got 4. Choose with --channel",
        "rgb.png": "got 3. Choose with --channel", "pages.tif": "must be one image",
        "not a number.tif": "finite", "complex.tif": "complex",
    }  # fmt: skip
    return words


def write_good_files(folder):
    """Files that can be segmented, by the names of their results."""
    names = ["plain", "two  spaces and ümläut 細胞 🙂", "-dash", "% $HOME [x] 'q'", "a.b.c"]
    for k, name in enumerate(names):
        imsave(folder / f"{name}.png", draw(k), check_contrast=False)
    Image.fromarray(draw(7) > 40).save(folder / "one bit.png")
    Image.fromarray(draw(7) > 40).save(folder / "one bit tiff.tif")
    tifffile.imwrite(folder / "sixteen.tif", draw(8).astype(np.uint16) * 200)
    tifffile.imwrite(folder / "float.TIF", draw(9).astype(np.float32) - 3)
    tifffile.imwrite(folder / "thin.tif", draw(10)[:, :3])
    return [*names, "one bit", "one bit tiff", "sixteen", "float", "thin"]


def without_doubts(text):
    """Lines other than notes about what was found: the model is hardly trained."""
    doubts = ("false positives", "unlike", "have notes")
    return [line for line in text.splitlines() if not any(doubt in line for doubt in doubts)]


def test_odd_files(model, tmp_path):
    folder, output = tmp_path / "in put", tmp_path / "out"
    folder.mkdir()
    good, bad = write_good_files(folder), write_odd_files(folder)
    result = invoke("predict", folder, "--model", model, "--output", output, "--also", "csv", status=1)
    lines = without_doubts(result.stderr)
    for name, words in bad.items():
        (line,) = [line for line in lines if f"{folder / name} must" in line or f"{folder / name}: " in line]
        assert line.startswith("flowseg: ")
        assert words in line, line
    assert "huge tiff.tif and 1 more is segmented block by block" in lines.pop(0)
    assert lines[-1] == f"flowseg: {len(bad)} of {len(bad) + len(good)} files failed"
    assert len(lines) == len(bad) + 1, result.stderr
    assert f"in {len(good)} images" in result.stdout
    expected = {f"{name}{end}" for name in good for end in ("_masks.tif", "_overlay.png", "_objects.csv")}
    assert set(contents(output)) == expected | {"flowseg-run.jsonl"}
    for name in good:
        assert io.read_masks(output / f"{name}_masks.tif").ndim == 2


def test_channels_can_be_chosen(model, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    write_odd_files(folder)
    tifffile.imwrite(folder / "stack.tif", np.stack([draw(1), draw(0)]), photometric="minisblack", metadata=None)
    imsave(tmp_path / "plain.png", draw(0), check_contrast=False)
    invoke("predict", tmp_path / "plain.png", "--model", model, "--output", tmp_path / "plain")
    expected = io.read_masks(tmp_path / "plain" / "plain_masks.tif")
    for k, (name, options) in enumerate(
        [
            ("rgba.png", ["--channel", 1]),
            ("rgb.png", ["--channel", 2]),
            ("stack.tif", ["--axes", "CYX", "--channel", 1]),
            ("stack.tif", ["--axes", "ZYX", "--z", 1]),
            ("stack.tif", ["--axes", "TYX", "--t", 1]),
            ("palette.png", ["--channel", 0]),
        ]
    ):
        output = tmp_path / f"out {k}"
        invoke("predict", folder / name, "--model", model, "--output", output, *options)
        masks = io.read_masks(output / f"{Path(name).stem}_masks.tif")
        assert np.array_equal(masks, expected) or name == "palette.png"  # whose colors are but near
    for text in ("x", "-1", ""):
        arguments = ("predict", folder / "rgb.png", "--model", model, "--output", tmp_path / "x")
        assert "--channel must be a number" in str(invoke(*arguments, f"--channel={text}", status=1).exception)


def test_pixel_sizes_are_carried_through(model, tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", draw(), resolution=(1e4 / 0.5, 1e4 / 0.25), resolutionunit="CENTIMETER"
    )  # columns of 0.5 micrometres, rows of 0.25
    invoke("predict", tmp_path / "a.tif", "--model", model, "--output", tmp_path / "out")
    assert io.read_pixel_size(tmp_path / "out" / "a_masks.tif") == pytest.approx((0.25, 0.5))


def test_a_folder_without_images(model, tmp_path):
    (tmp_path / "readme.txt").touch()
    result = invoke("predict", tmp_path, "--model", model, "--output", tmp_path / "out", status=1)
    assert str(result.exception).startswith(f"'{tmp_path}' must name an image file")
    assert not (tmp_path / "out").exists()


def test_a_name_that_is_no_text(model, tmp_path):
    name = os.fsencode(tmp_path) + b"/in/\xff.png"
    (tmp_path / "in").mkdir()
    imsave(tmp_path / "a.png", draw(), check_contrast=False)
    try:
        shutil.move(os.fsencode(tmp_path / "a.png"), name)
    except OSError:
        pytest.skip("this file system wants names to be text")
    (tmp_path / "in" / os.fsdecode(b"\xfe.png")).touch()
    result = run_here("predict", tmp_path / "in", "--model", model, "--output", tmp_path / "out", status=1)
    assert "1 of 2 files failed" in result.stderr
    assert os.fsencode(tmp_path / "out") + b"/\xff_masks.tif" in [
        bytes(file) for file in map(os.fsencode, (tmp_path / "out").iterdir())
    ]
    result = invoke("predict", tmp_path / "in", "--model", model, "--output", tmp_path / "out", "--resume", status=1)
    assert "1 of them done before" in result.stdout


def run_bound(*arguments):
    """Run the command as a process that permissions bind, as they do not bind root."""
    words = command(*arguments)
    if os.geteuid() == 0:
        rights = "-dac_override,-dac_read_search"
        bound = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"]
        if shutil.which("setpriv") is None or subprocess.run([*bound, "true"], capture_output=True).returncode:
            pytest.skip("root cannot give up its rights here: no setpriv")
        words = [*bound, *words]
    return subprocess.run(words, capture_output=True, text=True, env=ENVIRONMENT)


def test_no_permission(model, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("good", "secret"):
        imsave(tmp_path / "in" / f"{name}.png", draw(), check_contrast=False)
    (tmp_path / "in" / "secret.png").chmod(0)
    arguments = ("predict", tmp_path / "in", "--model", model, "--output")
    result = run_bound(*arguments, tmp_path / "out")
    assert result.returncode == 1, result.stderr
    assert "secret.png must be readable; it is not" in result.stderr
    assert "Permission denied" in result.stderr
    assert len(without_doubts(result.stderr)) == 2
    assert set(contents(tmp_path / "out")) == {"flowseg-run.jsonl", "good_masks.tif", "good_overlay.png"}

    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    result = run_bound(*arguments, closed / "deep" / "er")
    assert result.returncode == 1
    assert result.stderr == f"flowseg: --output must be a folder that can be written to; {closed} cannot.\n"
    assert not list(closed.iterdir())


def test_a_file_that_may_not_be_replaced(model, tmp_path):
    """It is said before the files are read, let alone worked on."""
    target = tmp_path / "old.safetensors"
    for file in (target, tmp_path / "image.png", tmp_path / "masks.tif"):
        file.touch()
    target.chmod(0o444)
    data = (tmp_path / "image.png", tmp_path / "masks.tif", "--output", target)
    for arguments in (("train", *data), ("tune", *data, "--model", model)):
        result = run_bound(*arguments)
        assert result.returncode == 1
        assert result.stderr == f"flowseg: {target} must be writable; it is not.\n"


def test_a_full_disk(model, tmp_path):
    """A limit on the size of files stands for it: what is larger cannot be written to its end."""
    resource = pytest.importorskip("resource")
    folder, output = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for k in range(4):
        imsave(folder / f"small {k}.png", draw(k), check_contrast=False)
    noise = np.random.default_rng(0).integers(0, 256, (400, 400), dtype=np.uint8)  # its picture is large
    imsave(folder / "large.png", noise, check_contrast=False)
    limit = 100_000
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        result = invoke("predict", folder, "--model", model, "--output", output, status=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "large.png: [Errno 27] File too large" in result.stderr
    assert result.stderr.splitlines()[-1] == "flowseg: 1 of 5 files failed"
    assert len(without_doubts(result.stderr)) == 2
    results = {f"small {k}{end}" for k in range(4) for end in ("_masks.tif", "_overlay.png")}
    assert set(contents(output)) == results | {"flowseg-run.jsonl"}
    invoke("predict", folder, "--model", model, "--output", output, "--resume")
    invoke("predict", folder, "--model", model, "--output", tmp_path / "again")
    assert differing(output, tmp_path / "again") == []


def test_a_disk_that_is_really_full(model, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("no right to mount a small file system")
    try:
        folder = tmp_path / "in"
        folder.mkdir()
        for k in range(12):
            imsave(folder / f"{k:02d}.png", draw(k, (128, 128)), check_contrast=False)
        result = run_here("predict", folder, "--model", model, "--output", disk / "out", status=1)
        lines = result.stderr.splitlines()
        assert 2 <= len(lines) <= 13
        assert all("No space left on device" in line for line in lines[:-1])
        names = set(contents(disk / "out")) - {"flowseg-run.jsonl"}
        done = {name.removesuffix("_masks.tif") for name in names if name.endswith("_masks.tif")}
        assert names == {f"{name}{end}" for name in done for end in ("_masks.tif", "_overlay.png")}
        assert len(done) == 12 - (len(lines) - 1)
        assert len(done) >= 2
        for name in done:
            io.read_masks(disk / "out" / f"{name}_masks.tif")
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
