"""Images of any size as sources of windows: equal to the whole image, found again by their specs."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from flowseg import io

zarr = pytest.importorskip("zarr")

from zarr_files import change_metadata, numbers, write_ome_zarr  # noqa: E402

from flowseg._image_files.selection import Selection  # noqa: E402
from flowseg.blockwise._stores.open_source import open_source, open_spec  # noqa: E402
from flowseg.blockwise._stores.source import PixelSize, store_copy  # noqa: E402

WINDOWS = [((0, 300), (0, 410)), ((10, 20), (5, 400)), ((63, 65), (47, 49)), ((290, 300), (400, 410)), ((7, 7), (3, 9))]


def check_windows(source, whole):
    """Compare windows with the whole image, also those of the source that its spec opens."""
    whole = whole if whole.ndim == 3 else whole[..., np.newaxis]
    assert source.shape == whole.shape
    assert source.dtype == whole.dtype
    spec = source.spec()
    sources = [source] if spec is None else [source, open_spec(json.loads(json.dumps(spec)))]
    for one in sources:
        assert one.pixel_size == source.pixel_size
        assert one.identity() == source.identity()
        for rows, columns in WINDOWS:
            window = one[slice(*rows), slice(*columns)]
            assert np.array_equal(window, whole[slice(*rows), slice(*columns)])
            assert window.dtype == whole.dtype
        one.close()


GRAY = numbers((300, 410))
COLOR = numbers((300, 410, 3), np.uint8)
TIFFS = {
    "tiles": (GRAY, {"tile": (64, 48), "compression": "zlib"}),
    "tiles of plain numbers": (GRAY, {"tile": (64, 64)}),
    "strips": (GRAY, {"rowsperstrip": 17, "compression": "lzw", "predictor": True}),
    "one piece": (GRAY, {}),
    "big-endian": (GRAY, {"byteorder": ">", "tile": (64, 64)}),
    "floats": (GRAY.astype(np.float32), {"tile": (64, 64), "compression": "zstd", "predictor": 3}),
    "colors": (COLOR, {"photometric": "rgb", "tile": (64, 64), "compression": "zlib"}),
    "colors in planes": (
        COLOR.transpose(2, 0, 1),
        {"photometric": "rgb", "planarconfig": "separate", "tile": (64, 64)},
    ),
    "JPEG": (COLOR, {"photometric": "ycbcr", "tile": (64, 64), "compression": "jpeg"}),
    "gray colors": (np.repeat(COLOR[..., :1], 3, axis=2), {"photometric": "rgb", "tile": (64, 64)}),
    "white is 0": (GRAY, {"photometric": "miniswhite", "tile": (64, 64), "compression": "zlib"}),
    "a palette": (COLOR[..., 0], {"photometric": "palette", "colormap": numbers((3, 256)), "tile": (64, 64)}),
    "rows as columns": (GRAY.T, {"extratags": [(274, 3, 1, 6, True)], "tile": (64, 64), "compression": "zlib"}),
    "upside down": (GRAY, {"extratags": [(274, 3, 1, 4, True)], "tile": (64, 64), "compression": "zlib"}),
    "mirrored": (GRAY, {"extratags": [(274, 3, 1, 7, True)], "compression": "zlib"}),
}


@pytest.mark.parametrize("kind", TIFFS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning:tifffile")
def test_windows_of_tiff_files(tmp_path, kind):
    array, options = TIFFS[kind]
    if kind == "mirrored":
        array = array.T
    tifffile.imwrite(tmp_path / "a.tif", array, metadata=None, **options)
    check_windows(open_source(tmp_path / "a.tif"), io.read_image(tmp_path / "a.tif"))


@pytest.mark.parametrize("opacity", ["opaque", "clear"])
@pytest.mark.parametrize("color", ["color", "gray"])
def test_opacity_is_left_out_as_in_read_image(tmp_path, opacity, color):
    picture = np.full((300, 410, 4), 255, np.uint8)
    picture[..., :3] = COLOR if color == "color" else COLOR[..., :1]
    if opacity == "clear":
        picture[299, 409, 3] = 7  # in the very last pixel
    tifffile.imwrite(
        tmp_path / "a.tif", picture, photometric="rgb", extrasamples=["unassalpha"], tile=(64, 64), compression="zlib"
    )
    check_windows(open_source(tmp_path / "a.tif"), io.read_image(tmp_path / "a.tif"))
    if color == "gray" and opacity == "opaque":
        assert open_source(tmp_path / "a.tif", n_channels=3).shape == (300, 410, 3)


def test_a_pyramid_is_read_at_full_resolution(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", bigtiff=True) as file:
        options = {"tile": (64, 64), "compression": "zlib", "resolutionunit": "CENTIMETER"}
        about = {"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5}
        file.write(GRAY, subifds=2, metadata=about, **options)
        file.write(GRAY[::2, ::2], subfiletype=1, **options)
        file.write(GRAY[::4, ::4], subfiletype=1, **options)
    source = open_source(tmp_path / "a.ome.tif")
    assert source.pixel_size == PixelSize.of((0.5, 0.25))
    check_windows(source, GRAY)


def test_a_slide_of_a_scanner(tmp_path):
    """Levels, thumbnail and label as pages of one file, as Aperio's .svs has them."""
    about = "Aperio Image Library v1\r\n410x300 [0,0 410x300] (64x64) |AppMag = 20|MPP = 0.5"
    with tifffile.TiffWriter(tmp_path / "a.svs") as file:
        options = {"photometric": "rgb", "compression": "jpeg", "metadata": None, "description": about}
        file.write(COLOR, tile=(64, 64), **options)
        file.write(COLOR[::3, ::3], **options)
        file.write(COLOR[::2, ::2], tile=(64, 64), subfiletype=1, **options)
        file.write(COLOR[:50, :50], subfiletype=1, **options)
    check_windows(open_source(tmp_path / "a.svs"), io.read_image(tmp_path / "a.svs"))


@pytest.mark.parametrize("name", ["a.png", "a.bmp"])
def test_pictures_are_read_whole_once(tmp_path, name):
    from PIL import Image

    Image.fromarray(COLOR).save(tmp_path / name)
    check_windows(open_source(tmp_path / name), COLOR)


def test_channels_of_a_tiff(tmp_path):
    stack = numbers((3, 300, 410))
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata={"axes": "CYX"}, tile=(64, 64), compression="zlib")
    check_windows(open_source(tmp_path / "a.ome.tif"), stack.transpose(1, 2, 0))
    check_windows(open_source(tmp_path / "a.ome.tif", Selection(channel=1)), stack[1])
    check_windows(open_source(tmp_path / "a.ome.tif", Selection(channel=[2, 0])), stack[[2, 0]].transpose(1, 2, 0))
    with pytest.raises(ValueError, match=r"must have 1 channel; it has 3, .* Choose with channel"):
        open_source(tmp_path / "a.ome.tif", n_channels=1)
    tifffile.imwrite(tmp_path / "z.ome.tif", stack, metadata={"axes": "ZYX"})
    with pytest.raises(io.InvalidFileError, match="Choose a plane with z"):
        open_source(tmp_path / "z.ome.tif")


def test_damaged_tiles_and_files_cut_short(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GRAY, tile=(64, 64), compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        offset = file.pages[0].dataoffsets[0]
    data = bytearray((tmp_path / "a.tif").read_bytes())
    data[offset + 40 : offset + 60] = bytes(20)
    (tmp_path / "b.tif").write_bytes(data)
    source = open_source(tmp_path / "b.tif")
    with pytest.raises(io.InvalidFileError, match=r"b\.tif must be a readable TIFF file"):
        source[0:10, 0:10]
    assert np.array_equal(source[64:128, 64:128][..., 0], GRAY[64:128, 64:128])
    (tmp_path / "c.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:-5000])
    with pytest.raises(io.InvalidFileError, match="cut short"):
        open_source(tmp_path / "c.tif")[200:300, 300:410]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_windows_of_ome_zarr(tmp_path, version):
    array = numbers((1, 2, 1, 300, 410))
    write_ome_zarr(tmp_path / "a.zarr", array, "tczyx", version=version, scale=[1, 1, 2, 0.5, 0.25])
    source = open_source(tmp_path / "a.zarr")
    assert source.pixel_size == PixelSize.of((0.5, 0.25))
    assert (source.group, source.version, source.chunks) == (str(tmp_path / "a.zarr"), version, (64, 64))
    check_windows(source, array[0, :, 0].transpose(1, 2, 0))
    opened = zarr.open_array(tmp_path / "a.zarr/0", mode="r")
    check_windows(open_source(opened, Selection(channel=1)), array[0, 1, 0])
    assert open_source(opened).pixel_size == source.pixel_size
    with pytest.raises(TypeError, match="got a zarr.Group"):
        open_source(zarr.open_group(tmp_path / "a.zarr", mode="r"))


def test_shards_are_read_as_one(tmp_path):
    array = zarr.create_array(tmp_path / "a.zarr", shape=GRAY.shape, dtype="u2", chunks=(32, 32), shards=(128, 64))
    array[...] = GRAY
    source = open_source(tmp_path / "a.zarr")
    assert source.chunks == (128, 64)
    check_windows(source, GRAY)


def test_arrays_in_memory():
    check_windows(open_source(GRAY), GRAY)
    check_windows(open_source(COLOR, n_channels=3), COLOR)
    check_windows(open_source(GRAY.astype(">u2")), GRAY)
    stored = zarr.create_array({}, shape=GRAY.shape, dtype="u2", chunks=(64, 100))
    stored[...] = GRAY
    source = open_source(stored)
    assert (source.spec(), source.chunks) == (None, (64, 100))
    check_windows(source, GRAY)
    assert open_source(GRAY).identity() == open_source(GRAY.copy()).identity()
    assert open_source(GRAY).identity() != open_source(GRAY + 1).identity()


def test_dask_arrays():
    dask = pytest.importorskip("dask.array")
    source = open_source(dask.from_array(GRAY, chunks=(100, 60)))
    assert (source.spec(), source.chunks) == (None, (100, 60))
    check_windows(source, GRAY)


@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_maps(tmp_path, order):
    np.save(tmp_path / "a.npy", np.asarray(COLOR, order=order))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    source = open_source(mapped, pixel_size=PixelSize.of((0.5, 0.25)))
    assert source.spec()["path"] == str(tmp_path / "a.npy")
    check_windows(source, COLOR)
    part = open_source(mapped[10:200])
    assert part.spec() is None
    assert np.array_equal(part[0:190, 0:410], COLOR[10:200])
    with open(tmp_path / "a.npy", "r+b") as file:
        file.truncate(100_000)
    with pytest.raises(io.InvalidFileError, match="it has been cut to 100000"):
        source[0:300, 0:410]


def test_a_copy_of_an_image_in_memory(tmp_path):
    source = open_source(GRAY, pixel_size=PixelSize.of((0.5, 0.25)))
    copy = store_copy(source, tmp_path / "image.npy")
    assert copy.pixel_size == source.pixel_size
    assert copy.spec() is not None
    check_windows(copy, GRAY)
    assert [file.name for file in tmp_path.iterdir()] == ["image.npy"]


def test_specs_work_in_another_process(tmp_path):
    write_ome_zarr(tmp_path / "a.zarr", GRAY)
    source = open_source(tmp_path / "a.zarr")
    code = (
        "import json, sys; from flowseg.blockwise._stores.open_source import open_spec\n"
        "source = open_spec(json.loads(sys.argv[1])); print(int(source[10:20, 30:60].sum()), source.identity())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(source.spec())], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"{GRAY[10:20, 30:60].sum()} {source.identity()}"


def change_zarr(path):
    zarr.open_array(path / "0", mode="r+")[5, 5] = int(GRAY[5, 5]) + 1


@pytest.mark.parametrize("kind", ["zarr", "tif", "npy"])
def test_a_changed_image_has_another_identity(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    if kind == "zarr":
        write_ome_zarr(path, GRAY)
        opened, change = (lambda: open_source(path)), change_zarr
    elif kind == "tif":
        tifffile.imwrite(path, GRAY)
        opened, change = (lambda: open_source(path)), (lambda path: tifffile.imwrite(path, GRAY + 1))
    else:
        np.save(path, GRAY)
        opened, change = (lambda: open_source(np.load(path, mmap_mode="r"))), (lambda path: np.save(path, GRAY + 1))
    before = opened().identity()
    assert opened().identity() == before
    change(path)
    after = opened().identity()
    assert {name for name in before if before[name] != after[name]} == {"digest"}
    assert json.loads(json.dumps(before)) == before


def test_a_store_that_vanishes(tmp_path):
    write_ome_zarr(tmp_path / "a.zarr", GRAY)
    source = open_source(tmp_path / "a.zarr")
    shutil.rmtree(tmp_path / "a.zarr")
    with pytest.raises(FileNotFoundError, match="it has vanished"):
        source[0:10, 0:10]


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros((3, 4, 5, 6)), ValueError, r"must have shape \(rows, columns\) or"),
        (np.zeros((0, 4)), ValueError, "at least one pixel"),
        (np.zeros((3, 4), bool), TypeError, "array of numbers; got dtype bool"),
        (np.zeros((3, 4), complex), TypeError, "array of numbers"),
        (3, TypeError, "must be a path, a zarr.Array, a dask array or a NumPy array; got int"),
        ("absent.tif", FileNotFoundError, "there is none"),
        (
            "https://localhost:1/a.zarr",
            (io.InvalidFileError, ImportError),
            "https://localhost:1/a.zarr|package|aiohttp",
        ),
    ],
)
def test_no_image(image, error, message):
    with pytest.raises(error, match=message):
        open_source(image)


def test_windows_must_lie_inside_and_be_finite():
    array = np.zeros((20, 30))
    array[5, 5] = np.nan
    source = open_source(array)
    with pytest.raises(ValueError, match="must be finite; got 1 NaN or infinite values of 100"):
        source[0:10, 0:10]
    for rows in (slice(0, 21), slice(-1, 5), slice(0, 10, 2), slice(25, 26)):
        with pytest.raises(ValueError, match="must lie inside the image's 20 pixels"):
            source[rows, 10:20]
    with pytest.raises(ValueError, match="are for files; image is ndarray"):
        open_source(array, Selection(channel=1))


def test_wrong_metadata_are_refused(tmp_path):
    write_ome_zarr(tmp_path / "a.zarr", GRAY)
    change_metadata(tmp_path / "a.zarr", lambda a: a["multiscales"][0]["datasets"].reverse())
    with pytest.raises(io.InvalidFileError, match="from the largest to the smallest"):
        open_source(tmp_path / "a.zarr/0")
