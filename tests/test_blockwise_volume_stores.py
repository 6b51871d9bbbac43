"""Volumes of any size as sources of windows, their labels in OME-Zarr, and their results: equal to the whole volume."""

import json

import numpy as np
import pytest
import tifffile

import flowseg
from flowseg import io, metrics

zarr = pytest.importorskip("zarr")

from zarr_files import numbers, write_ome_zarr  # noqa: E402

from flowseg._image_files.selection import Selection  # noqa: E402
from flowseg._labels.overlaps import find_overlaps  # noqa: E402
from flowseg.blockwise._regions import choose_block_size  # noqa: E402
from flowseg.blockwise._results.compare_blocks import overlaps_of_blocks  # noqa: E402
from flowseg.blockwise._results.label_image import LabelImage, open_label_image  # noqa: E402
from flowseg.blockwise._results.measure_blocks import measure_blocks  # noqa: E402
from flowseg.blockwise._results.objects_table import make_objects_table  # noqa: E402
from flowseg.blockwise._results.outlines import objects_of_blocks  # noqa: E402
from flowseg.blockwise._results.positions import join_positions, positions_in  # noqa: E402
from flowseg.blockwise._results.thumbnail import make_thumbnail  # noqa: E402
from flowseg.blockwise._stores.create_labels import choose_chunk, create_labels, describe_labels_store  # noqa: E402
from flowseg.blockwise._stores.labels import open_labels  # noqa: E402
from flowseg.blockwise._stores.levels import choose_steps, level_factors, level_shapes  # noqa: E402
from flowseg.blockwise._stores.open_source import open_source, open_spec  # noqa: E402
from flowseg.blockwise._stores.source import PixelSize, store_copy  # noqa: E402

GRAY = numbers((30, 70, 90))
COLOR = numbers((30, 70, 90, 2), np.uint8)
WINDOWS = [
    ((0, 30), (0, 70), (0, 90)),
    ((3, 4), (10, 20), (5, 80)),
    ((15, 17), (31, 33), (63, 66)),
    ((29, 30), (7, 7), (1, 2)),
]


def check_windows(source, whole):
    """Compare windows with the whole volume, also those of the source that its spec opens."""
    whole = whole if whole.ndim == 4 else whole[..., np.newaxis]
    assert (source.shape, source.dtype, source.ndim) == (whole.shape, whole.dtype, 3)
    spec = source.spec()
    for one in [source] if spec is None else [source, open_spec(json.loads(json.dumps(spec)))]:
        assert one.pixel_size == source.pixel_size
        assert one.identity() == source.identity()
        for window in WINDOWS:
            place = tuple(slice(*bounds) for bounds in window)
            found = one[place]
            assert found.dtype == whole.dtype
            assert np.array_equal(found, whole[place])
        one.close()


def open_volume(image, *arguments, **options):
    return open_source(image, *arguments, ndim=3, **options)


TIFFS = {
    "tiles": (GRAY, "ZYX", {"tile": (32, 48), "compression": "zlib"}),
    "planes": (GRAY, "ZYX", {}),
    "channels first": (COLOR.transpose(3, 0, 1, 2), "CZYX", {"tile": (32, 32), "compression": "zlib"}),
    "channels between": (COLOR.transpose(0, 3, 1, 2), "ZCYX", {"compression": "lzw"}),
    "one time": (GRAY[np.newaxis], "TZYX", {}),
}


@pytest.mark.parametrize("kind", TIFFS)
def test_windows_of_tiff_files(tmp_path, kind):
    array, axes, options = TIFFS[kind]
    about = {"axes": axes, "PhysicalSizeZ": 2.0, "PhysicalSizeY": 0.5, "PhysicalSizeX": 0.25}
    tifffile.imwrite(tmp_path / "a.ome.tif", array, metadata=about, **options)
    source = open_volume(tmp_path / "a.ome.tif")
    assert source.pixel_size == PixelSize.of((2.0, 0.5, 0.25))
    check_windows(source, io.read_volume(tmp_path / "a.ome.tif"))


def test_windows_of_pages_that_are_turned_and_named(tmp_path):
    tags = {"extratags": [(274, 3, 1, 6, True)], "tile": (32, 32), "compression": "zlib"}
    tifffile.imwrite(tmp_path / "a.tif", GRAY.swapaxes(1, 2), metadata=None, **tags)
    source = open_volume(tmp_path / "a.tif", Selection(axes="ZYX"))
    check_windows(source, io.read_volume(tmp_path / "a.tif", axes="ZYX"))
    with pytest.raises(io.InvalidFileError, match="Name I with axes"):
        open_volume(tmp_path / "a.tif")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_windows_of_ome_zarr(tmp_path, version):
    array = COLOR.transpose(3, 0, 1, 2)[np.newaxis]
    scale = [1, 1, 2, 0.5, 0.25]
    write_ome_zarr(tmp_path / "a.zarr", array, "tczyx", version=version, scale=scale, chunks=(1, 1, 8, 32, 16))
    source = open_volume(tmp_path / "a.zarr")
    assert source.pixel_size == PixelSize.of((2.0, 0.5, 0.25))
    assert (source.chunks, source.steps) == ((8, 32, 16), ((1, 2, 2),))
    check_windows(source, COLOR)
    check_windows(open_volume(zarr.open_array(tmp_path / "a.zarr/0", mode="r"), Selection(channel=1)), COLOR[..., 1])


def test_windows_of_arrays(tmp_path):
    check_windows(open_volume(GRAY), GRAY)
    check_windows(open_volume(COLOR, n_channels=2), COLOR)
    np.save(tmp_path / "a.npy", np.asfortranarray(COLOR))
    source = open_volume(np.load(tmp_path / "a.npy", mmap_mode="r"), pixel_size=PixelSize.of((2, 1, 1)))
    check_windows(source, COLOR)
    copy = store_copy(open_volume(GRAY, pixel_size=PixelSize.of((2, 1, 1), None)), tmp_path / "image.npy")
    assert copy.pixel_size == PixelSize.of((2, 1, 1), None)
    check_windows(copy, GRAY)
    dask = pytest.importorskip("dask.array")
    source = open_volume(dask.from_array(GRAY, chunks=(10, 40, 60)))
    assert source.chunks == (10, 40, 60)
    check_windows(source, GRAY)
    with pytest.raises(
        ValueError, match=r"image must be a volume .*; it is an image \(rows, columns\), shape \(70, 90\)"
    ):
        open_volume(open_source(GRAY[0]))


@pytest.mark.parametrize(
    ("shape", "side"),
    [
        ((512, 512, 512), 160),
        ((100, 100, 100), 160),
        ((5, 4000, 4000), 896),
        ((60, 4000, 4000), 256),
        ((1, 5000, 5000), 2048),
        ((3000, 20, 20), 2048),
        ((5000, 5000), 2048),
        ((100, 100_000), 2048),
    ],
)
def test_blocks_have_about_as_many_pixels(shape, side):
    found = choose_block_size(shape)
    assert found == (side if shape != (100, 100, 100) else found)
    n_pixels = np.prod([min(found, n) for n in shape])
    assert n_pixels <= 2048**2
    assert found == 2048 or n_pixels >= 2048**2 / 2 or n_pixels == np.prod(shape)


@pytest.mark.parametrize(
    ("block_size", "shape", "chunk"),
    [
        (160, (512, 512, 512), 80),
        (896, (5, 4000, 4000), 448),
        (40, (90, 90, 90), 40),
        (47, (90, 90, 90), 47),
        (96, (9, 96, 96), 96),
    ],
)
def test_chunks_divide_blocks(block_size, shape, chunk):
    assert choose_chunk(block_size, shape) == chunk
    assert block_size % chunk == 0


def test_levels_of_volumes():
    cube = choose_steps((1000, 1000, 1000), (1, 1, 1))
    assert level_shapes((1000, 1000, 1000), cube) == [(1000,) * 3, (500,) * 3, (250,) * 3]
    assert choose_steps((256, 256, 256), (1, 1, 1)) == ()
    # A coarse axis waits until voxels are about as long along all axes.
    assert choose_steps((300, 2000, 2000), (2.2, 1, 1)) == ((1, 2, 2), (2, 2, 2), (2, 2, 2))
    assert choose_steps((100, 1500, 1500), (5, 1, 1)) == ((1, 2, 2), (1, 2, 2))
    # One of few planes is not halved.
    flat = choose_steps((20, 9000, 9000), (1, 1, 1))
    assert level_shapes((20, 9000, 9000), flat)[-1] == (20, 563, 563)
    assert level_factors(3, ((1, 2, 2), (2, 2, 2))) == [(1, 1, 1), (1, 2, 2), (2, 4, 4)]


# Labels


@pytest.fixture(scope="module")
def labels():
    labels = np.kron(numbers((6, 7, 9), np.int32), np.ones((20, 20, 20), np.int32))
    labels[:40, :40, :80] = 0
    return labels


def windows(shape, block):
    for corner in np.ndindex(*(-(-n // block) for n in shape)):
        yield tuple(slice(k * block, min(k * block + block, n)) for k, n in zip(corner, shape))


def fill(store, labels, block):
    """Write all blocks of all levels, each as another process would, and finish."""
    for level, shape in enumerate(store.level_shapes):
        for window in windows(shape, block):
            opened = open_labels(json.loads(json.dumps(store.spec())))
            if level:
                opened.fill_block(level, window)
            else:
                opened.write_block(0, window, labels[window])
    return store.finish(int(labels.max()))


@pytest.fixture(scope="module")
def written(tmp_path_factory, labels):
    """A new store, and one that holds a volume with levels of its own: their paths by name."""
    folder = tmp_path_factory.mktemp("labels")
    size = PixelSize((2.0, 0.5, 0.25), ("micrometer",) * 3, (3.0, 7.0, 1.0))
    image = np.zeros(labels.shape, np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flowseg.blockwise._stores.levels.LEVEL_VOXELS", 200_000)
        store = describe_labels_store(folder / "new.ome.zarr", open_volume(image, pixel_size=size), 64)
    create_labels(store)
    fill(store, labels, 64)
    path = folder / "beside.ome.zarr"
    write_ome_zarr(path, image, "zyx", scale=[2.0, 0.5, 0.25], n_levels=3)
    store = describe_labels_store(path, open_volume(path), 64, name="cells")
    create_labels(store)
    fill(store, labels, 64)
    return {path.name.removesuffix(".ome.zarr"): path for path in folder.iterdir()}


STEPS = {"new": ((1, 1, 2), (1, 2, 2), (1, 2, 1)), "beside": ((1, 2, 2), (1, 2, 2))}


@pytest.mark.parametrize("name", STEPS)
def test_labels_are_written(written, labels, name):
    group = next(folder for folder in (written[name] / "labels").iterdir() if folder.is_dir())
    scales = dict(zarr.open_group(group).attrs)["ome"]["multiscales"][0]["datasets"]
    assert len(scales) == len(STEPS[name]) + 1
    for level, factors in enumerate(level_factors(3, STEPS[name])):
        array = zarr.open_array(group / str(level), mode="r")
        assert np.array_equal(array[...], labels[tuple(slice(None, None, n) for n in factors)])
        assert array.metadata.dimension_names == ("z", "y", "x")
        scale = scales[level]["coordinateTransformations"][0]["scale"]
        assert scale == [n * length for n, length in zip(factors, (2.0, 0.5, 0.25))]
    assert np.array_equal(io.read_masks(group, ndim=3), labels)
    assert io.read_spacing(group) == (2.0, 0.5, 0.25)


@pytest.mark.parametrize("name", STEPS)
def test_other_readers_find_them_valid(written, name):
    yaozarrs, models = pytest.importorskip("yaozarrs"), pytest.importorskip("ome_zarr_models")
    group = next(folder for folder in (written[name] / "labels").iterdir() if folder.is_dir())
    for path in (written[name], written[name] / "labels", group):
        yaozarrs.validate_zarr_store(str(path))
    assert type(models.open_ome_zarr(zarr.open_group(group, mode="r"))).__name__ == "ImageLabel"


# Results


@pytest.fixture(scope="module")
def cells():
    """A volume and masks with gaps in the labels, an object across many blocks, and one voxel."""
    image, masks = flowseg.synthetic.cells((30, 60, 70), 25, diameter=14, rng=3)
    labels = masks.astype(np.int64) * 7
    labels[15, 30, :] = 1000
    labels[0, 0, 0] = 5
    return (image * 60000).astype(np.uint16), labels


def in_blocks(labels, size):
    return LabelImage(open_volume(labels), size)


@pytest.mark.parametrize("spacing", [None, (2.0, 0.5, 0.25)])
def test_measurements_are_those_of_the_whole_volume(cells, spacing):
    image, labels = cells
    for size, picture in ((16, image), (37, None), (100, np.stack([image, image[::-1]], axis=-1))):
        whole = flowseg.measure(labels, picture, spacing=spacing)
        found = measure_blocks(
            in_blocks(labels, size), None if picture is None else open_volume(picture), spacing=spacing
        )
        assert list(found) == list(whole)
        for name, column in whole.items():
            np.testing.assert_allclose(found[name], column, rtol=1e-12, err_msg=name)
    with pytest.raises(ValueError, match="planes, rows and columns"):
        measure_blocks(in_blocks(labels, 37), open_volume(image[1:]))


def test_positions_and_the_table(cells):
    labels = in_blocks(cells[1], 16)
    parts = [positions_in(cells[1][window], [part.start for part in window]) for window in labels.blocks()]
    one, other = join_positions(parts, 3), join_positions(parts[::-1], 3)
    assert all(np.array_equal(a, b) for a, b in zip(one.as_arrays().values(), other.as_arrays().values(), strict=True))
    size = (2.0, 0.5, 0.25)
    whole = flowseg.measure(cells[1], spacing=size)
    table = make_objects_table({"score": np.zeros(one.n)}, one, cells[1].shape, size)
    assert set(table) - set(whole) == {"diameter", "touches_border", "score"}
    for name in set(table) & set(whole):
        np.testing.assert_allclose(table[name], whole[name], rtol=1e-12, err_msg=name)
    np.testing.assert_allclose(table["diameter"], flowseg.diameters(cells[1]))


@pytest.mark.parametrize("size", [16, 37, None])
def test_overlaps_are_those_of_the_whole_volume(cells, size):
    true = cells[1]
    predicted = np.where(np.random.default_rng(0).random(true.shape) < 0.8, np.roll(true, 3, axis=0), 0)
    whole, found = find_overlaps(true, predicted), overlaps_of_blocks(in_blocks(true, size), in_blocks(predicted, size))
    for name in whole._fields:
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name), err_msg=name)
    assert metrics._matching.match_overlaps(found, 0.5).f1 == metrics.match(true, predicted).f1


def annotate(true, kind):
    """Keep the annotation of some planes, of a box, of both, of scattered objects, or of nothing."""
    sparse = np.full_like(true, -1)
    places = {
        "planes": [np.s_[::5]],
        "columns": [np.s_[:, :, 3:50:7]],
        "box": [np.s_[4:20, 10:40, 30:60]],
        "crossing planes": [np.s_[10], np.s_[:, 33], np.s_[:, :, 50]],
        "box without a corner": [np.s_[4:20, 10:30, 30:60], np.s_[4:15, 10:40, 30:60]],
        "scattered": [np.s_[3:6, 4:9, 5:9], np.s_[20:25, 30:35, 50:55]],
        "nothing": [],
    }
    for place in places[kind]:
        sparse[place] = true[place]
    return sparse


ANNOTATIONS = ["planes", "columns", "box", "crossing planes", "box without a corner", "scattered", "nothing"]


@pytest.mark.parametrize("size", [16, 37])
@pytest.mark.parametrize("kind", ANNOTATIONS)
def test_overlaps_with_sparse_annotation_are_those_of_the_whole_volume(cells, kind, size):
    true = annotate(cells[1], kind)
    predicted = np.roll(cells[1], 2, axis=1)
    whole, found = find_overlaps(true, predicted), overlaps_of_blocks(in_blocks(true, size), in_blocks(predicted, size))
    for name in whole._fields:
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name), err_msg=name)
    assert bool(whole.true_labels.size) == (kind != "nothing")


def test_label_volumes_are_told_from_images_by_their_axes(cells, tmp_path):
    labels = cells[1].astype(np.uint16)
    tifffile.imwrite(tmp_path / "z.ome.tif", labels, metadata={"axes": "ZYX"})
    tifffile.imwrite(tmp_path / "t.ome.tif", labels, metadata={"axes": "TYX"})
    write_ome_zarr(tmp_path / "a.zarr", labels, "zyx")
    write_ome_zarr(tmp_path / "one.zarr", labels[:1], "zyx")
    for name in ("z.ome.tif", "a.zarr"):
        volume = open_label_image(tmp_path / name)
        assert np.array_equal(volume.read(tuple(slice(0, n) for n in labels.shape)), labels)
        assert open_label_image(tmp_path / name, Selection(z=3)).shape == labels.shape[1:]
    assert open_label_image(tmp_path / "one.zarr").shape == labels.shape[1:]
    assert open_label_image(tmp_path / "one.zarr", ndim=3).shape == (1, *labels.shape[1:])
    with pytest.raises(io.InvalidFileError, match="Choose a time with t"):
        open_label_image(tmp_path / "t.ome.tif")


def test_outlines_are_those_of_images(cells):
    with pytest.raises(ValueError, match=r"outlines are those of images .* is a volume of shape \(30, 60, 70\)"):
        list(objects_of_blocks(in_blocks(cells[1], 37)))


def test_thumbnails_show_the_middle_plane(written, labels):
    image = np.random.default_rng(0).random(labels.shape)
    picture, reduced = make_thumbnail(open_volume(image), written["new"], longest=50)
    assert picture.shape == reduced.shape == (35, 45)
    np.testing.assert_array_equal(reduced, labels[60, ::4, ::4])
    np.testing.assert_allclose(picture[0, 0], image[60, :4, :4].mean(), rtol=1e-6)
