"""Label images in OME-Zarr, written block by block: valid for other readers, and only once they are finished."""

import errno
import json
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest

from flowseg import io

zarr = pytest.importorskip("zarr")

from zarr_files import numbers, write_ome_zarr  # noqa: E402

from flowseg.blockwise._stores import create_labels as creation  # noqa: E402
from flowseg.blockwise._stores.create_labels import choose_chunk  # noqa: E402
from flowseg.blockwise._stores.labels import open_labels  # noqa: E402
from flowseg.blockwise._stores.levels import choose_steps, level_shapes  # noqa: E402
from flowseg.blockwise._stores.open_source import open_source  # noqa: E402
from flowseg.blockwise._stores.source import PixelSize  # noqa: E402

SHAPE = (2300, 2100)  # three levels
BLOCK = 512


def create_labels(*arguments, **options):
    store = creation.describe_labels_store(*arguments, **options)
    creation.create_labels(store)
    return store


def windows(shape, block=BLOCK):
    for row in range(0, shape[0], block):
        for column in range(0, shape[1], block):
            yield slice(row, min(row + block, shape[0])), slice(column, min(column + block, shape[1]))


def fill(store, labels):
    """Write all blocks of all levels, each as another process would, and finish."""
    for level, shape in enumerate(store.level_shapes):
        for window in windows(shape):
            opened = open_labels(json.loads(json.dumps(store.spec())))
            if level:
                opened.fill_block(level, window)
            else:
                opened.write_block(0, window, labels[window])
    return store.finish(int(labels.max()))


@pytest.fixture(scope="module")
def labels():
    labels = np.kron(numbers((23, 21), np.int32), np.ones((100, 100), np.int32))
    labels[:600, :700] = 0
    labels[-1, -1] = 2**31 - 1
    return labels


@pytest.fixture(scope="module")
def written(tmp_path_factory, labels):
    """A new store, and stores that hold an image of version 0.4 and of 0.5: their paths by name."""
    folder = tmp_path_factory.mktemp("labels")
    image = np.zeros(SHAPE, np.uint8)
    size = PixelSize((0.5, 0.25), ("micrometer", "micrometer"), (3.0, 7.0))
    fill(create_labels(folder / "new.ome.zarr", open_source(image, pixel_size=size), BLOCK), labels)
    for version in ("0.4", "0.5"):
        path = folder / f"{version}.ome.zarr"
        write_ome_zarr(path, image, version=version, scale=[0.5, 0.25], n_levels=N_LEVELS[version], chunks=(512, 512))
        fill(create_labels(path, open_source(path), BLOCK, name="cells"), labels)
    return {path.name.removesuffix(".ome.zarr"): path for path in folder.iterdir()}


def label_group(path):
    return next(folder for folder in (path / "labels").iterdir() if folder.is_dir())


N_LEVELS = {"new": None, "0.4": 2, "0.5": 4}
STORES = tuple(N_LEVELS)


@pytest.mark.parametrize("name", STORES)
def test_labels_are_written(written, labels, name):
    group = label_group(written[name])
    steps = choose_steps(SHAPE, (1, 1)) if name == "new" else ((2, 2),) * (N_LEVELS[name] - 1)
    for level, shape in enumerate(level_shapes(SHAPE, steps)):
        array = zarr.open_array(group / str(level), mode="r")
        assert (array.shape, array.dtype, array.chunks) == (shape, np.int32, (min(512, shape[0]), min(512, shape[1])))
        assert np.array_equal(array[...], labels[:: 2**level, :: 2**level])
    assert np.array_equal(io.read_masks(group), labels)
    assert io.read_pixel_size(group) == (0.5, 0.25)


def test_background_takes_no_files(written):
    chunks = written["new"] / "labels/objects/0/c"
    assert not (chunks / "0/0").exists()
    assert (chunks / "1/1").exists()


def test_a_new_store_shows_the_labels_as_its_image(written, labels):
    assert np.array_equal(io.read_masks(written["new"]), labels)
    assert sorted(file.name for file in written["new"].iterdir()) == ["labels", "zarr.json"]
    assert open_source(written["new"]).pixel_size.origin == (3.0, 7.0)


@pytest.mark.parametrize("name", STORES)
def test_yaozarrs_finds_them_valid(written, name):
    yaozarrs = pytest.importorskip("yaozarrs")
    pytest.importorskip("fsspec")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inside_it = ["", label_group(written[name]).relative_to(written[name])]
        if name != "0.4":  # where the group of all labels has no version of its own
            inside_it.append("labels")
        for inside in inside_it:
            yaozarrs.validate_zarr_store(str(written[name] / inside))


@pytest.mark.parametrize("name", STORES)
def test_ome_zarr_models_finds_them_valid(written, name):
    models = pytest.importorskip("ome_zarr_models")
    group = label_group(written[name])
    kinds = [
        type(models.open_ome_zarr(zarr.open_group(path, mode="r"))).__name__
        for path in (written[name], written[name] / "labels", group)
    ]
    assert kinds == ["Image", "Labels", "ImageLabel"]


@pytest.mark.parametrize("name", STORES)
def test_ome_zarr_py_reads_them(written, labels, name):
    ome_zarr = pytest.importorskip("ome_zarr.reader")
    location = pytest.importorskip("ome_zarr.io").parse_url(str(written[name]))
    nodes = list(ome_zarr.Reader(location)())
    found = [node for node in nodes if any(isinstance(spec, ome_zarr.Label) for spec in node.specs)]
    assert len(found) == 1
    assert np.array_equal(np.asarray(found[0].data[0]), labels)


@pytest.mark.parametrize("name", STORES)
def test_bioio_reads_them(written, labels, name):
    bioio = pytest.importorskip("bioio_ome_zarr")
    reader = bioio.Reader(str(label_group(written[name])))
    assert np.array_equal(reader.get_image_data("YX"), labels)
    assert reader.physical_pixel_sizes[1:] == (0.5, 0.25)


@pytest.mark.parametrize("name", STORES)
def test_napari_opens_them(written, labels, name):
    reader = pytest.importorskip("napari_ome_zarr")
    for path in (written[name], label_group(written[name])):
        layers = reader.napari_get_reader(str(path))(str(path))
        assert [kind for _, _, kind in layers] == ["image", "labels"]
        levels, metadata, _ = layers[1]
        assert np.array_equal(np.asarray(levels[0]), labels)
        assert metadata["scale"] == [0.5, 0.25]
        assert layers[0][1].get("visible") is not False


def test_the_image_and_other_labels_stay(tmp_path):
    image = numbers((100, 90))
    write_ome_zarr(tmp_path / "a.zarr", image)
    before = {file: file.read_bytes() for file in (tmp_path / "a.zarr").rglob("*") if file.is_file()}
    for name in ("cells", "nuclei"):
        store = create_labels(tmp_path / "a.zarr", open_source(tmp_path / "a.zarr"), 64, name=name)
        store.finish()
    assert all(file.read_bytes() == content for file, content in before.items())
    assert zarr.open_group(tmp_path / "a.zarr/labels").attrs["ome"]["labels"] == ["cells", "nuclei"]
    assert np.array_equal(io.read_image(tmp_path / "a.zarr"), image)
    with pytest.raises(FileExistsError, match="must have no labels 'cells' yet; it has. Remove them, or"):
        create_labels(tmp_path / "a.zarr", open_source(tmp_path / "a.zarr"), 64, name="cells")


def test_labels_listed_by_another_writer(tmp_path):
    """Some writers of 0.5 list labels as 0.4 has it."""
    write_ome_zarr(tmp_path / "a.zarr", numbers((100, 90)))
    zarr.create_group(tmp_path / "a.zarr/labels", attributes={"labels": ["other"]})
    create_labels(tmp_path / "a.zarr", open_source(tmp_path / "a.zarr"), 64).finish()
    attributes = dict(zarr.open_group(tmp_path / "a.zarr/labels").attrs)
    assert attributes["labels"] == attributes["ome"]["labels"] == ["other", "objects"]


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_metadata_that_were_gathered_in_the_root_are_renewed(tmp_path):
    for version, zarr_format in (("0.4", 2), ("0.5", 3)):
        path = tmp_path / version
        write_ome_zarr(path, numbers((100, 90)), version=version)
        zarr.consolidate_metadata(path, zarr_format=zarr_format)
        create_labels(path, open_source(path), 64).finish()
        assert zarr.open_group(path, mode="r")["labels/objects/0"].shape == (100, 90)


def test_nothing_looks_finished_before_it_is(tmp_path):
    yaozarrs = pytest.importorskip("yaozarrs")
    store = create_labels(tmp_path / "a.zarr", open_source(numbers((100, 90))), 64)
    store.write_block(0, (slice(0, 64), slice(0, 64)), numbers((64, 64), np.int32))
    assert not store.is_finished()
    for inside in ("", "labels", "labels/objects"):
        with pytest.raises(Exception, match=r"(?s)."):
            yaozarrs.validate_zarr_store(str(tmp_path / "a.zarr" / inside))
        with pytest.raises(io.InvalidFileError, match="no multiscales metadata"):
            io.read_masks(tmp_path / "a.zarr" / inside)
    store.finish()
    assert store.is_finished()
    assert store.finish().shape == (100, 90)  # again


def test_writing_a_block_again_gives_the_same_files(tmp_path):
    store = create_labels(tmp_path / "a.zarr", open_source(numbers((100, 90))), 64)
    window, block = (slice(64, 100), slice(0, 64)), numbers((36, 64), np.int32)
    store.write_block(0, window, block)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    store.write_block(0, window, block)
    assert before == {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert np.array_equal(store.read(0, window), block)


def test_damaged_chunks_are_noticed(tmp_path):
    """One changed byte, too: chunks have a checksum."""
    store = create_labels(tmp_path / "a.zarr", open_source(numbers((64, 64))), 64)
    store.write_block(0, (slice(0, 64), slice(0, 64)), numbers((64, 64), np.int32))
    chunk = tmp_path / "a.zarr/labels/objects/0/c/0/0"
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 16
    chunk.write_bytes(data)
    with pytest.raises(io.InvalidFileError, match="must be readable zarr"):
        store.read(0, (slice(0, 64), slice(0, 64)))


@pytest.mark.parametrize(
    ("rows", "shape", "dtype", "message"),
    [
        (slice(0, 32), (32, 64), np.int32, "whole chunks of 64 pixels of 100; got"),
        (slice(32, 64), (32, 64), np.int32, "whole chunks"),
        (slice(64, 128), (64, 64), np.int32, "whole chunks"),
        (slice(0, 64), (64, 60), np.int32, "must have the shape of their window"),
        (slice(0, 64), (64, 64), np.float32, "must be integers from 0 to 2147483647; got float32"),
    ],
)
def test_blocks_that_are_refused(tmp_path, rows, shape, dtype, message):
    store = create_labels(tmp_path / "a.zarr", open_source(numbers((100, 90))), 64)
    with pytest.raises(ValueError, match=message):
        store.write_block(0, (rows, slice(0, 64)), numbers(shape, dtype))
    for value in (-1, 2**31):
        with pytest.raises(ValueError, match="from 0 to 2147483647"):
            store.write_block(0, (slice(0, 64), slice(0, 64)), np.full((64, 64), value))


def test_a_store_that_vanishes_is_not_made_again(tmp_path):
    store = create_labels(tmp_path / "a.zarr", open_source(numbers((100, 90))), 64)
    store.write_block(0, (slice(0, 64), slice(0, 64)), numbers((64, 64), np.int32))
    shutil.rmtree(tmp_path / "a.zarr")
    for act in (
        lambda: store.write_block(0, (slice(0, 64), slice(0, 64)), numbers((64, 64), np.int32)),
        lambda: store.read(0, (slice(0, 64), slice(0, 64))),
        store.finish,
        lambda: open_labels(store.spec()).array(),
    ):
        with pytest.raises(FileNotFoundError, match="it has vanished"):
            act()
    assert not (tmp_path / "a.zarr").exists()


class FullDisk:
    """An array for which there is no space."""

    def __setitem__(self, key, value):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_no_space_left_names_the_store(tmp_path):
    store = create_labels(tmp_path / "a.zarr", open_source(numbers((100, 90))), 64)
    store._arrays[0] = FullDisk()
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.zarr.labels.objects.0'"):
        store.write_block(0, (slice(0, 64), slice(0, 64)), numbers((64, 64), np.int32))


def test_a_write_that_is_cut_off_leaves_the_old_chunk(tmp_path):
    """A file may not grow beyond some bytes, as on a full disk: the chunk is written beside and never renamed."""
    pytest.importorskip("resource")
    store = create_labels(tmp_path / "a.zarr", open_source(numbers((256, 256))), 256)
    old = np.ones((256, 256), np.int32)
    store.write_block(0, (slice(0, 256), slice(0, 256)), old)
    code = (
        "import json, resource, signal, sys; import numpy as np\n"
        "from flowseg.blockwise._stores.labels import open_labels\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); store = open_labels(json.loads(sys.argv[1])); store.array()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); window = slice(0, 256)\n"
        "store.write_block(0, (window, window), np.random.default_rng(0).integers(1, 2**30, (256, 256)))"
    )
    done = subprocess.run([sys.executable, "-c", code, json.dumps(store.spec())], capture_output=True, text=True)
    assert done.returncode == 1
    assert "File too large: '" in done.stderr
    assert "a.zarr" in done.stderr.splitlines()[-1]
    assert np.array_equal(store.read(0, (slice(0, 256), slice(0, 256))), old)


def test_places_that_are_refused(tmp_path):
    write_ome_zarr(tmp_path / "a.zarr", numbers((100, 90)))
    source = open_source(tmp_path / "a.zarr")
    for inside in ("labels/cells", "0", "other"):
        with pytest.raises(ValueError, match=r"output must not lie inside the image .*Give .*a\.zarr to add labels"):
            create_labels(tmp_path / "a.zarr" / inside, source, 64)
    (tmp_path / "link.zarr").symlink_to(tmp_path / "a.zarr")
    with pytest.raises(ValueError, match="must not lie inside the image"):
        create_labels(tmp_path / "link.zarr/other", source, 64)
    (tmp_path / "b.zarr").mkdir()
    for existing in (tmp_path / "b.zarr", tmp_path):
        with pytest.raises(FileExistsError, match="must not exist yet; it does"):
            create_labels(existing, source, 64)
    with pytest.raises(FileNotFoundError, match="must lie in a folder that exists"):
        create_labels(tmp_path / "absent/c.zarr", source, 64)
    for name in ("", "a/b", ".a", "__a"):
        with pytest.raises(ValueError, match="name must be that of a group"):
            create_labels(tmp_path / "c.zarr", source, 64, name=name)
    zarr.save_array(tmp_path / "plain.zarr", numbers((100, 90)))
    with pytest.raises(ValueError, match="must not lie inside the image"):
        create_labels(tmp_path / "plain.zarr", open_source(tmp_path / "plain.zarr"), 64)
    assert sorted(file.name for file in (tmp_path / "a.zarr").iterdir()) == ["0", "1", "zarr.json"]


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    write_ome_zarr(tmp_path / "a.zarr", numbers((100, 90)))
    source = open_source(tmp_path / "a.zarr")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    for output in (tmp_path / "a.zarr", tmp_path / "b.zarr"):
        with pytest.raises(PermissionError, match="can be written to"):
            create_labels(output, source, 64)


def test_two_processes_do_not_create_the_same_store(tmp_path, monkeypatch):
    source = open_source(numbers((100, 90)))
    monkeypatch.setattr(
        "flowseg.blockwise._stores.create_labels._check_place", lambda store, source: (tmp_path / "a").mkdir()
    )
    with pytest.raises(FileExistsError):
        create_labels(tmp_path / "a", source, 64)


def test_what_was_begun_is_removed_where_it_fails(tmp_path, monkeypatch):
    write_ome_zarr(tmp_path / "a.zarr", numbers((100, 90)))
    source = open_source(tmp_path / "a.zarr")

    def fail(*args, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zarr, "create_array", fail)
    for output in (tmp_path / "a.zarr", tmp_path / "b.zarr"):
        with pytest.raises(OSError, match="No space left on device: '"):
            create_labels(output, source, 64)
    assert not (tmp_path / "b.zarr").exists()
    assert not (tmp_path / "a.zarr/labels/objects").exists()


def test_labels_behind_a_url():
    pytest.importorskip("fsspec")
    labels = numbers((100, 90), np.int32)
    store = create_labels("memory://flowseg/labels.ome.zarr", open_source(labels), 64)
    for window in windows((100, 90), 64):
        store.write_block(0, window, labels[window])
    assert np.array_equal(store.finish()[...], labels)
    assert np.array_equal(open_source("memory://flowseg/labels.ome.zarr")[0:100, 0:90][..., 0], labels)
    with pytest.raises(FileExistsError, match="memory://flowseg/labels.ome.zarr must not exist yet"):
        create_labels("memory://flowseg/labels.ome.zarr", open_source(labels), 64)


@pytest.mark.parametrize(
    ("block_size", "chunk"),
    [(2048, 1024), (1024, 1024), (64, 64), (100, 100), (257, 257), (1000, 1000), (1500, 750), (2053, 2053)],
)
def test_chunks_divide_blocks(block_size, chunk):
    assert choose_chunk(block_size, (5000, 4000)) == choose_chunk(block_size, (9, 20)) == chunk
    assert block_size % chunk == 0


def shapes_of(shape, lengths=None):
    return level_shapes(shape, choose_steps(shape, lengths or (1,) * len(shape)))


def test_levels():
    assert shapes_of((20000, 20000)) == [
        (20000, 20000),
        (10000, 10000),
        (5000, 5000),
        (2500, 2500),
        (1250, 1250),
        (625, 625),
    ]
    assert shapes_of((1023, 100_000)) == [(1023, 100_000)]
    assert level_shapes((3, 5), ((2, 2),) * 3) == [(3, 5), (2, 3), (1, 2), (1, 1)]
    assert shapes_of((1025, 1025), (1, 5)) == [(1025, 1025), (513, 513)]
