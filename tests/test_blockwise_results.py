"""Results of large label images: the numbers of the whole image, from blocks of any size."""

import json

import numpy as np
import pytest

import flowseg
from flowseg import io, metrics
from flowseg._labels.overlap_sums import OverlapSums
from flowseg._labels.overlaps import find_overlaps, leave_out_ignored
from flowseg._report.scores import score_image
from flowseg.blockwise._results.compare_blocks import overlaps_of_blocks
from flowseg.blockwise._results.label_image import LabelImage, open_label_image
from flowseg.blockwise._results.measure_blocks import measure_blocks
from flowseg.blockwise._results.objects_table import make_objects_table, table_path
from flowseg.blockwise._results.outlines import objects_of_blocks
from flowseg.blockwise._results.positions import join_positions, positions_in
from flowseg.blockwise._results.thumbnail import make_thumbnail
from flowseg.blockwise._stores.create_labels import create_labels, describe_labels_store
from flowseg.blockwise._stores.open_source import open_source
from flowseg.io._geojson_writer import write_objects

BLOCK_SIZES = (16, 37, 100, 1000)


@pytest.fixture(scope="module")
def cells():
    """An image and masks with gaps in the labels, an object in two parts, one across many blocks, and one pixel."""
    image, masks = flowseg.synthetic.cells((120, 150), 20, rng=3)
    labels = masks.astype(np.int64) * 7
    labels[labels == 14] = 21
    labels[60, :] = 1000
    labels[0, 0] = 5
    return (image * 60000).astype(np.uint16), labels


def in_blocks(labels, size):
    return LabelImage(open_source(labels), size)


@pytest.mark.parametrize("size", BLOCK_SIZES)
def test_measurements_are_those_of_the_whole_image(cells, size):
    image, labels = cells
    for picture in (None, image, np.stack([image, image[::-1]], axis=-1), image.astype(np.float32) / 3):
        whole = flowseg.measure(labels, picture)
        source = None if picture is None else open_source(picture)
        found = measure_blocks(in_blocks(labels, size), source)
        assert list(found) == list(whole)
        for name, column in whole.items():
            np.testing.assert_array_equal(found[name], column, err_msg=name)


def test_measurements_in_micrometers_agree_up_to_rounding(cells):
    whole = flowseg.measure(cells[1], spacing=(0.3, 0.7))
    found = measure_blocks(in_blocks(cells[1], 37), spacing=(0.3, 0.7))
    assert list(found) == list(whole)
    for name, column in whole.items():
        np.testing.assert_allclose(found[name], column, rtol=1e-12, err_msg=name)


def test_an_image_without_objects_has_the_columns_of_others():
    empty = np.zeros((50, 60), dtype=np.int32)
    image = np.ones((50, 60), dtype=np.uint8)
    found = measure_blocks(in_blocks(empty, 16), open_source(image))
    assert list(found) == list(flowseg.measure(empty, image))
    assert all(column.shape == (0,) for column in found.values())


def test_an_image_of_another_shape_is_refused(cells):
    with pytest.raises(ValueError, match="rows and columns"):
        measure_blocks(in_blocks(cells[1], 37), open_source(cells[0][1:]))


@pytest.mark.parametrize("size", BLOCK_SIZES)
def test_outlines_are_those_of_the_whole_image(cells, size, tmp_path):
    io.write_geojson(tmp_path / "whole.geojson", cells[1])
    write_objects(tmp_path / "blocks.geojson", objects_of_blocks(in_blocks(cells[1], size)))
    features = [json.loads((tmp_path / f"{name}.geojson").read_text())["features"] for name in ("whole", "blocks")]
    assert len(features[0]) == len(features[1])
    assert all(feature in features[1] for feature in features[0])


def test_windows_are_small_unless_an_object_is_large(cells):
    labels = in_blocks(cells[1], 37)
    windows = list(labels.windows())
    assert sorted(k for window in windows for k in window.index) == list(range(labels.positions.n))
    assert all(max(window.labels.shape) <= 2 * 37 or window.index.size == 1 for window in windows)


@pytest.mark.parametrize("size", BLOCK_SIZES)
def test_overlaps_are_those_of_the_whole_image(size):
    random = np.random.default_rng(size)
    for kind in ("i4", "u2", "i8"):
        true = np.kron(random.integers(0, 30, (12, 14)), np.ones((9, 9))).astype(kind)
        predicted = np.where(random.random(true.shape) < 0.8, np.roll(true, 3, axis=1), 0) * 3
        if kind != "u2":
            true[:40, :50] = -5
            predicted[:4, :4] = -1
        predicted = predicted.astype(kind)
        whole = find_overlaps(true, predicted)
        found = overlaps_of_blocks(in_blocks(true, size), in_blocks(predicted, size))
        for name in whole._fields:
            np.testing.assert_array_equal(getattr(found, name), getattr(whole, name), err_msg=f"{kind} {name}")
        for level in (0.5, 0.6, 0.75, 0.9):
            one, other = metrics.match(true, predicted, threshold=level), metrics._matching.match_overlaps(found, level)
            assert (one.tp, one.fp, one.fn) == (other.tp, other.fp, other.fn)
            np.testing.assert_array_equal(one.pairs, other.pairs)
            assert metrics.average_precision([true], [predicted], thresholds=[level])[0] == other.average_precision
        scores = score_image("a", found)
        assert scores.jaccard == metrics.aggregated_jaccard(true, leave_out_ignored(true, predicted))
        assert scores.splits == metrics.splits_merges(true, predicted)[0]


def test_overlaps_are_summed_up_on_the_way(monkeypatch):
    monkeypatch.setattr("flowseg._labels.overlap_sums.MAX_PAIRS", 10)
    true, predicted = np.random.default_rng(0).integers(0, 9, (2, 40, 40))
    sums = OverlapSums()
    for row in range(40):
        sums.add(true[row : row + 1], predicted[row : row + 1])
    whole, found = find_overlaps(true, predicted), sums.overlaps()
    assert all(np.array_equal(a, b) for a, b in zip(whole, found, strict=True))


def test_images_without_objects_overlap_nowhere():
    nothing = np.zeros((20, 30), dtype=np.uint8)
    something = np.ones((20, 30), dtype=np.uint8)
    for true, predicted in ((nothing, nothing), (nothing, something), (something, nothing)):
        whole = find_overlaps(true, predicted)
        found = overlaps_of_blocks(in_blocks(true, 16), in_blocks(predicted, 16))
        assert all(np.array_equal(a, b) for a, b in zip(whole, found, strict=True))
        assert metrics._matching.match_overlaps(found, 0.5).f1 == metrics.match(true, predicted).f1


def test_positions_are_summed_in_any_order(cells):
    labels = in_blocks(cells[1], 37)
    parts = [positions_in(cells[1][r, c], (r.start, c.start)) for r, c in labels.blocks()]
    one, other = join_positions(parts, 2), join_positions(parts[::-1], 2)
    assert all(np.array_equal(a, b) for a, b in zip(one.as_arrays().values(), other.as_arrays().values(), strict=True))
    whole = flowseg.measure(cells[1])
    table = make_objects_table({"score": np.zeros(one.n)}, one, cells[1].shape, None)
    assert set(table) - set(whole) == {"diameter", "touches_border", "score"}
    for name in set(table) & set(whole):
        np.testing.assert_array_equal(table[name], whole[name], err_msg=name)
    np.testing.assert_array_equal(table["label"][table["touches_border"]][:1], [5])


@pytest.mark.parametrize(
    ("output", "table"),
    [("a.ome.zarr", "a.csv"), ("a.zarr", "a.csv"), ("a", "a.csv"), ("a_masks.ome.zarr", "a_objects.csv")],
)
def test_names_of_tables(output, table, tmp_path):
    assert table_path(tmp_path / output) == tmp_path / table


def test_labels_must_be_integers_of_one_channel(tmp_path):
    pytest.importorskip("zarr")
    import tifffile

    tifffile.imwrite(tmp_path / "a.tif", np.zeros((20, 20), dtype=np.float32))
    with pytest.raises(TypeError, match="must hold integers"):
        open_label_image(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((20, 20, 3), dtype=np.uint8), photometric="rgb")
    io_error = pytest.raises(ValueError, match="1 channel")
    tifffile.imwrite(tmp_path / "b.tif", np.random.default_rng(0).integers(0, 9, (20, 20, 3)).astype(np.uint8))
    with io_error:
        open_label_image(tmp_path / "b.tif")


def test_thumbnails_of_levels_and_of_pixels(tmp_path):
    pytest.importorskip("zarr")
    image = np.arange(60 * 90, dtype=np.uint16).reshape(60, 90)
    labels = np.kron(np.arange(6).reshape(2, 3), np.ones((30, 30))).astype(np.int32)
    source = open_source(image)
    store = describe_labels_store(tmp_path / "a.ome.zarr", source, 64)
    create_labels(store)
    store.write_block(0, (slice(0, 60), slice(0, 64)), labels[:, :64])
    store.write_block(0, (slice(0, 60), slice(64, 90)), labels[:, 64:])
    store.finish(5)
    picture, reduced = make_thumbnail(source, tmp_path / "a.ome.zarr", longest=30)
    assert picture.shape == reduced.shape == (15, 23)
    np.testing.assert_array_equal(reduced, labels[::4, ::4])
    assert picture[0, 0] == image[:4, :4].mean()
    assert picture[-1, -1] == image[-4:, 88:].mean()
    whole = make_thumbnail(source, tmp_path / "a.ome.zarr")
    np.testing.assert_array_equal(whole[0], image)
    np.testing.assert_array_equal(whole[1], labels)
