"""OME-Zarr images and arrays of zarr, read whole by `flowseg.io`."""

import shutil

import numpy as np
import pytest

from flowseg import io
from flowseg._image_files.ome_zarr.images import find_image

zarr = pytest.importorskip("zarr")

from zarr_files import change_metadata, numbers, write_ome_zarr  # noqa: E402


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["yx", "cyx", "tczyx"])
def test_the_full_resolution_is_read(tmp_path, version, axes):
    array = numbers((1,) * (len(axes) - 2) + (130, 70))
    write_ome_zarr(tmp_path / "a.ome.zarr", array, axes, version=version, scale=[1.0] * (len(axes) - 2) + [0.5, 0.25])
    assert np.array_equal(io.read_image(tmp_path / "a.ome.zarr"), array.reshape(130, 70))
    assert io.read_pixel_size(tmp_path / "a.ome.zarr") == (0.5, 0.25)
    assert io.read_image(tmp_path / "a.ome.zarr" / "1").shape == (65, 35)
    assert io.read_pixel_size(tmp_path / "a.ome.zarr" / "1") == (1.0, 0.5)


def test_channels_come_last_and_one_can_be_chosen(tmp_path):
    array = numbers((3, 40, 50))
    write_ome_zarr(tmp_path / "a.zarr", array, "cyx")
    assert np.array_equal(io.read_image(tmp_path / "a.zarr"), array.transpose(1, 2, 0))
    assert np.array_equal(io.read_image(tmp_path / "a.zarr", channel=1), array[1])
    assert np.array_equal(io.read_image(tmp_path / "a.zarr", channel=[2, 0]), array[[2, 0]].transpose(1, 2, 0))


def test_axes_in_another_order(tmp_path):
    array = numbers((50, 40, 2))
    write_ome_zarr(tmp_path / "a.zarr", array, "xyc")
    assert np.array_equal(io.read_image(tmp_path / "a.zarr"), array.transpose(1, 0, 2))


@pytest.mark.parametrize(
    ("axes", "advice"), [("tyx", "a time with t"), ("zyx", "a plane with z"), ("tzyx", "z, a time")]
)
def test_series_and_stacks_need_a_choice(tmp_path, axes, advice):
    array = numbers((2,) * (len(axes) - 2) + (40, 50))
    write_ome_zarr(tmp_path / "a.zarr", array, axes)
    with pytest.raises(
        io.InvalidFileError, match=rf"a\.zarr.* must be one image; it has axes {axes.upper()}.*{advice}"
    ):
        io.read_image(tmp_path / "a.zarr")
    chosen = dict.fromkeys(axes[:-2], 1)
    assert np.array_equal(io.read_image(tmp_path / "a.zarr", **chosen), array[(1,) * (len(axes) - 2)])


def test_plain_arrays(tmp_path):
    array = numbers((2, 30, 40))
    zarr.save_array(tmp_path / "plane.zarr", array[0])
    assert np.array_equal(io.read_image(tmp_path / "plane.zarr"), array[0])
    zarr.save_array(tmp_path / "unnamed.zarr", array)
    with pytest.raises(io.InvalidFileError, match="must have rows and columns; it has axes QQQ .*Name them with axes"):
        io.read_image(tmp_path / "unnamed.zarr")
    assert np.array_equal(io.read_image(tmp_path / "unnamed.zarr", axes="CYX", channel=1), array[1])
    stored = zarr.create_array(tmp_path / "named.zarr", shape=(2, 30, 40), dtype="u2", dimension_names=["c", "y", "x"])
    stored[...] = array
    assert io.read_image(tmp_path / "named.zarr").shape == (30, 40, 2)


def test_chunks_that_were_not_written_have_the_fill_value(tmp_path):
    write_ome_zarr(tmp_path / "a.zarr", numbers((128, 128)), n_levels=1)
    (tmp_path / "a.zarr/0/c/0/1").unlink()
    image = io.read_image(tmp_path / "a.zarr")
    assert not image[:64, 64:].any()
    assert image[64:].all()


def test_a_damaged_chunk_is_refused(tmp_path):
    write_ome_zarr(tmp_path / "a.zarr", numbers((128, 128)), n_levels=1)
    (tmp_path / "a.zarr/0/c/0/1").write_bytes(b"nothing of the kind")
    with pytest.raises(io.InvalidFileError, match=r"a\.zarr.0 must be readable zarr; got"):
        io.read_image(tmp_path / "a.zarr")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a["multiscales"][0].pop("axes"), "a list of axes"),
        (lambda a: a["multiscales"][0].update(axes=["y", "x"]), "a list of axes"),
        (lambda a: a["multiscales"][0]["axes"][0].update(name="q"), "axes of t, c, z, y, x"),
        (lambda a: a["multiscales"][0]["axes"][0].update(name="x"), "none comes twice"),
        (lambda a: a["multiscales"][0]["axes"].append({"name": "c", "type": "channel"}), "scale; got|axis for each"),
        (lambda a: a["multiscales"][0]["datasets"].reverse(), "from the largest to the smallest"),
        (lambda a: a["multiscales"][0]["datasets"].clear(), "a list of arrays"),
        (lambda a: a["multiscales"][0]["datasets"].append({"path": "7"}), "'7' is missing"),
        (lambda a: a["multiscales"][0]["datasets"][0].update(path="../other"), "inside the group"),
        (lambda a: scale_of(a, 1).update(scale=[9, 9]), "scales that match"),
        (lambda a: scale_of(a, 0).update(scale=[0, 1]), "above 0"),
        (lambda a: scale_of(a, 0).update(scale=[1, "1"]), "above 0"),
        (lambda a: scale_of(a, 0).update(scale=[1]), "2 numbers"),
        (lambda a: scale_of(a, 0).update(scale=[1, 10**400]), "2 numbers"),
        (lambda a: scale_of(a, 0).update(scale=[1, 1e-320]), "2 numbers"),
        (lambda a: scale_of(a, 0).update(type="rotation"), "a scale and a translation"),
        (lambda a: a["multiscales"][0].update(version="0.1"), "must be OME-Zarr 0.4 or 0.5; it is '0.1'"),
        (lambda a: a.update(multiscales=[]), "a list of images"),
        (lambda a: a.update(multiscales=[3]), "objects"),
    ],
)
def test_wrong_metadata_are_refused(tmp_path, version, change, message):
    write_ome_zarr(tmp_path / "a.zarr", numbers((130, 70)), version=version)
    change_metadata(tmp_path / "a.zarr", change)
    with pytest.raises(io.InvalidFileError, match=message) as caught:
        io.read_image(tmp_path / "a.zarr")
    assert str(caught.value).count("\n") == 0


def scale_of(attributes, level):
    return attributes["multiscales"][0]["datasets"][level]["coordinateTransformations"][0]


def test_groups_that_are_no_image(tmp_path):
    for name, attributes, message in [
        ("plate", {"ome": {"version": "0.5", "plate": {}}}, "it is a plate. Give the path of an image in it, such as"),
        ("well", {"well": {}}, "it is a well"),
        ("labels", {"ome": {"labels": ["cells"]}}, r"a group of labels \(cells\)"),
        ("empty", {}, "no multiscales metadata"),
    ]:
        zarr.create_group(tmp_path / name, attributes=attributes)
        with pytest.raises(io.InvalidFileError, match=message):
            io.read_image(tmp_path / name)
    (tmp_path / "nothing.zarr").mkdir()
    with pytest.raises(io.InvalidFileError, match="no metadata of zarr"):
        io.read_image(tmp_path / "nothing.zarr")
    with pytest.raises(FileNotFoundError, match="there is none"):
        io.read_image(tmp_path / "absent.zarr")


def test_several_images_of_one_writer(tmp_path):
    zarr.create_group(tmp_path / "a.zarr", attributes={"ome": {"version": "0.5", "bioformats2raw.layout": 3}})
    write_ome_zarr(tmp_path / "a.zarr/0", numbers((40, 30)))
    assert io.read_image(tmp_path / "a.zarr").shape == (40, 30)
    write_ome_zarr(tmp_path / "a.zarr/1", numbers((50, 30)))
    with pytest.raises(ValueError, match="scene must be the name or number of one image"):
        io.read_image(tmp_path / "a.zarr")
    assert io.read_image(tmp_path / "a.zarr", scene=1).shape == (50, 30)


def test_a_url_of_fsspec():
    pytest.importorskip("fsspec")
    array = numbers((40, 30))
    write_ome_zarr("memory://flowseg/a.ome.zarr", array)
    image = find_image("memory://flowseg/a.ome.zarr")
    source = image.as_source()
    assert (image.size_of("Y"), image.size_of("X")) == (1.0, 1.0)
    assert np.array_equal(source.read(source.everything()), array)
    with pytest.raises(io.InvalidFileError, match="^memory://flowseg/b.zarr must be an OME-Zarr image or"):
        find_image("memory://flowseg/b.zarr")


def test_arrays_that_do_not_fit_into_memory(tmp_path):
    for name, shape, chunks in (("wide", (10**7, 10**7), (64, 64)), ("coarse", (10**6, 10**6), (10**6, 10**6))):
        zarr.create_array(tmp_path / name, shape=shape, dtype="u2", chunks=chunks)
        with pytest.raises(MemoryError, match=rf"{name} must fit into memory"):
            io.read_image(tmp_path / name)
    source = find_image(str(tmp_path / "coarse")).as_source()
    with pytest.raises(MemoryError, match="a chunk of it takes about 2000.0 GB"):
        source.read((slice(0, 4), slice(0, 4)))


def test_arrays_without_pixels_and_without_numbers(tmp_path):
    zarr.create_array(tmp_path / "a", shape=(0, 5), dtype="u2", chunks=(1, 1))
    with pytest.raises(io.InvalidFileError, match=r"at least one pixel; it has shape \(0, 5\)"):
        io.read_image(tmp_path / "a")
    zarr.create_array(tmp_path / "b", shape=(4, 5), dtype="c8")
    with pytest.raises(io.InvalidFileError, match="must hold numbers; it has complex64"):
        io.read_image(tmp_path / "b")


def test_an_array_in_a_folder_with_other_things(tmp_path):
    (tmp_path / "zarr.json").write_text("[")
    zarr.save_array(tmp_path / "a", numbers((4, 5)))
    assert io.read_image(tmp_path / "a").shape == (4, 5)


def test_commands_find_labels(tmp_path):
    from flowseg.cli._shared.annotation_files import find_annotations, image_name

    write_ome_zarr(tmp_path / "a_masks.ome.zarr", numbers((40, 30), np.int32))
    assert find_annotations([str(tmp_path / "a_masks.ome.zarr")], None) == [(tmp_path / "a_masks.ome.zarr", "labels")]
    assert image_name(tmp_path / "a_masks.ome.zarr") == "a"


def test_masks_are_read(tmp_path):
    masks = numbers((40, 30), np.int32)
    write_ome_zarr(tmp_path / "a.zarr", masks)
    assert np.array_equal(io.read_masks(tmp_path / "a.zarr"), masks)


def test_images_are_found_in_folders(tmp_path):
    write_ome_zarr(tmp_path / "a.ome.zarr", numbers((40, 30)))
    io.write_masks(tmp_path / "b.tif", numbers((4, 3)))
    assert io.find_files(tmp_path) == [tmp_path / "a.ome.zarr", tmp_path / "b.tif"]
    assert io.find_files(tmp_path / "a.ome.zarr") == [tmp_path / "a.ome.zarr"]
    assert io.find_files(tmp_path / "*.zarr") == [tmp_path / "a.ome.zarr"]


def test_without_zarr_an_error_names_the_packages(tmp_path, monkeypatch):
    import sys

    write_ome_zarr(tmp_path / "a.zarr", numbers((40, 30)))
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(ImportError, match="this needs the package zarr; install it with: pip install zarr dask"):
        io.read_image(tmp_path / "a.zarr")


def test_images_of_ome_zarr_py(tmp_path):
    """As the writer of the reference implementation makes them."""
    writer = pytest.importorskip("ome_zarr.writer")
    formats = pytest.importorskip("ome_zarr.format")
    array = numbers((2, 300, 260))
    for fmt in (formats.FormatV04(), formats.FormatV05()):
        path = tmp_path / f"{fmt.version}.zarr"
        group = zarr.open_group(path, mode="w", zarr_format=fmt.zarr_format)
        writer.write_image(array, group, axes="cyx", fmt=fmt)
        assert np.array_equal(io.read_image(path), array.transpose(1, 2, 0))


SAMPLES = {  # what is in each sample: a shape, or a part of the sentence that refuses it
    "ngio/v04/images/test_image_yx.zarr": (64, 64),
    "ngio/v04/images/test_image_c1yx.zarr": (64, 64, 2),
    "ngio/v04/images/test_image_zyx.zarr": "a plane with z",
    "ngio/v04/images/test_image_tczyx.zarr": "a time with t",
    "ngio/v05/images/test_image_yx.zarr": (64, 64),
    "ngio/v05/images/test_image_yx.zarr/labels": "a group of labels",
    "ngio/v05/images/test_image_yx.zarr/labels/label": (64, 64),
    "ngio/v05/images/test_image_yx.zarr/tables": "no multiscales",
    "ngio/v05/images/test_image_czyx.zarr": "a plane with z",
    "ome-zarr-py/v1": "it is '0.1'",
    "ome-zarr-py/v2": "it is '0.2'",
    "panseg/3d.zarr": "It holds raw, raw_2",
    "panseg/3d.zarr/raw": "Name them with axes",
    "panseg/empty.zarr": "no multiscales",
    "yaozarrs/v04/2551.zarr": "no metadata of zarr",
    "yaozarrs/v05/6001240_labels.zarr": "'0' is missing",
    "yaozarrs/v05/76-45.ome.zarr": "it is a plate",
    "yaozarrs/broken/broken_v05.ome.zarr/A/1": "it is a well",
    "yaozarrs/broken/broken_v05.ome.zarr/A/1/0": "'0' is missing",
    "yaozarrs/broken/broken_v05.ome.zarr/A/1/1": (64, 64),
    "yaozarrs/broken/broken_v05.ome.zarr/A/2": "readable zarr",
    "yaozarrs/broken/broken_v05.ome.zarr/B/1/0": "readable zarr",
    "yaozarrs/broken/broken_v05.ome.zarr/C/2/0": "a list of images",
}


@pytest.mark.parametrize("sample", SAMPLES)
def test_samples_of_other_writers(shared, sample):
    path = shared / "data/readers_files" / sample
    if not path.is_dir():
        pytest.skip(f"{path} is absent")
    expected = SAMPLES[sample]
    if isinstance(expected, tuple):
        assert io.read_image(path).shape == expected
    else:
        with pytest.raises(io.InvalidFileError, match=expected):
            io.read_image(path)


def test_every_other_sample_is_read_or_refused(shared):
    root = shared / "data/readers_files"
    names = ("zarr.json", ".zgroup", ".zarray", ".zattrs")
    folders = sorted({file.parent for name in names for file in root.rglob(name)})
    for folder in folders:
        sentence, ndim = "", 2
        try:
            ndim = io.read_image(folder).ndim
        except io.InvalidFileError as error:
            sentence = str(error)
        assert ndim in (2, 3), folder
        assert sentence.startswith(str(root)) or not sentence
        assert "\n" not in sentence


def test_a_store_that_vanishes_is_no_background(tmp_path):
    write_ome_zarr(tmp_path / "a.zarr", numbers((128, 128)), n_levels=1)
    source = find_image(str(tmp_path / "a.zarr")).as_source()
    shutil.rmtree(tmp_path / "a.zarr")
    with pytest.raises(FileNotFoundError, match="must stay in place while it is in use; it has vanished"):
        source.read(source.everything())
