"""Volumes in the report: what the page holds of them."""

import base64
import json
import zlib

import numpy as np
import pytest
from skimage.io import imread
from test_report import Page, compare

from flowseg import metrics
from flowseg._labels.overlaps import find_overlaps
from flowseg._report import volume_voxels
from flowseg._report.html_page import write_page
from flowseg._report.volume_voxels import as_smallest, average, describe_volume, find_factors, middles, pack


def unpack(block, dtype, shape):
    return np.frombuffer(zlib.decompress(base64.b64decode(block)), dtype).reshape(shape)


def damage(masks):
    """A prediction: objects removed, joined, cut, and one where there is none."""
    labels = [label for label in np.unique(masks).tolist() if label > 0]
    found = np.where(np.isin(masks, labels[:2]), 0, masks)
    found[found == labels[2]] = labels[3]
    half = np.flatnonzero(found == labels[4])
    found.flat[half[half.size // 2 :]] = found.max() + 5
    corner = found[:2, :3, :4]
    corner[corner == 0] = found.max() + 2
    return found


@pytest.fixture(scope="module")
def volume(voronoi):
    masks = voronoi((9, 20, 30), 20) * 3
    masks[masks % 5 == 0] = 0
    masks[0] = 0
    return np.random.default_rng(0).random(masks.shape) + masks, masks, damage(masks)


def describe(true, predicted, image=None, spacing=None, n_images=1):
    return describe_volume((true, predicted), find_overlaps(true, predicted), image, spacing, n_images)


def check_objects(volume, true, predicted):
    said, blocks = volume
    errors = metrics.splits_merges(true, predicted)
    match = metrics.match(true, predicted)
    assert sum(n > 1 for n in said["true"]["parts"]) == errors.splits
    assert sum(n > 1 for n in said["predicted"]["parts"]) == errors.merges
    for side, labels in (("true", true), ("predicted", predicted)):
        values = said[side]
        known = np.array([0, *values["label"]])
        assert sum(iou >= 0.5 for iou in values["iou"]) == match.tp
        number = unpack(blocks[side], f"<u{values['bytes']}", labels.shape)
        assert np.array_equal(known[number], np.maximum(labels, 0))
        for label, box, point in zip(values["label"], values["boxes"], values["points"], strict=True):
            places = np.argwhere(labels == label)
            assert box == [*places.min(axis=0), *(places.max(axis=0) + 1)]
            assert labels[tuple(point)] == label
            counts = (labels == label).sum(axis=(1, 2))
            assert counts[point[0]] == counts.max()  # the plane that shows most of it


def test_the_page_holds_every_voxel(volume):
    image, true, predicted = volume
    said, blocks = described = describe(true, predicted, image, (2.5, 1, 1))
    check_objects(described, true, predicted)
    assert (said["shape"], said["grid"], said["factors"]) == ([9, 20, 30], [9, 20, 30], [1, 1, 1])
    assert (said["units"], said["channels"], said["note"]) == ([2.5, 1, 1], 1, "")
    voxels = unpack(blocks["picture"], np.uint8, true.shape)
    assert np.corrcoef(voxels.ravel(), image.ravel())[0, 1] > 0.99
    assert (voxels.min(), voxels.max()) == (0, 255)
    json.dumps(said, allow_nan=False)


def test_real_volumes(shared):
    for name in ("ovule_nuclei3d", "embryo3d_qcanet"):
        for file in sorted((shared / "data" / name / "train" / "labels").glob("*.tif")):
            true = imread(file).astype(np.int64)
            predicted = damage(true)
            check_objects(describe(true, predicted), true, predicted)


def test_colors_and_channels(volume):
    image, true, predicted = volume
    for n, channels, note in ((1, 1, ""), (2, 1, "channel 1 of 2"), (3, 3, "")):
        said, blocks = describe(true, predicted, np.stack([image] * n, axis=-1))
        assert (said["channels"], said["note"]) == (channels, note)
        assert unpack(blocks["picture"], np.uint8, (*true.shape, channels)).max() == 255
    said, blocks = describe(true, predicted)
    assert said["channels"] == 0
    assert set(blocks) == {"true", "predicted"}
    assert unpack(describe(true, predicted, 0 * image)[1]["picture"], np.uint8, true.shape).max() == 0


def test_numbers_have_as_few_bytes_as_they_need():
    for n, dtype in ((1, np.uint16), (65_535, np.uint16), (65_536, np.uint32)):
        number = np.array([[[0, 1, n]]])
        stored = as_smallest(number, n)
        assert stored.dtype == dtype
        assert np.array_equal(unpack(pack(stored), stored.dtype.newbyteorder("<"), number.shape), number)


def test_large_volumes_are_reduced_with_a_note(volume, monkeypatch):
    image, true, predicted = volume
    monkeypatch.setattr(volume_voxels, "VOLUME_VOXELS", 1500)
    said, blocks = describe(true, predicted, image, (2, 1, 1))
    assert said["factors"] == [1, 2, 2]
    assert said["grid"] == [9, 10, 15]
    assert said["units"] == [2, 2, 2]
    assert said["note"] == "the volume and its objects are shown at all, 1/2, 1/2 of the planes, rows, columns"
    known = np.array([0, *said["true"]["label"]])
    number = unpack(blocks["true"], "<u2", said["grid"])
    assert np.array_equal(known[number], true[:, 1::2, 1::2])
    assert unpack(blocks["picture"], np.uint8, said["grid"]).std() > 10
    for k, (box, point) in enumerate(zip(said["true"]["boxes"], said["true"]["points"])):
        assert number[tuple(point)] == k + 1 or k + 1 not in number
        assert all(first <= place < last for first, place, last in zip(np.floor(box[:3]), point, np.ceil(box[3:])))
    monkeypatch.setattr(volume_voxels, "PAGE_PIXELS", 6000)
    assert np.prod(describe(true, predicted, n_images=20)[0]["grid"]) <= 300


@pytest.mark.parametrize(
    ("shape", "lengths", "limit", "factors"),
    [
        ((10, 10, 10), (1, 1, 1), 1000, (1, 1, 1)),
        ((10, 10, 10), (1, 1, 1), 999, (2, 1, 1)),
        ((10, 10, 20), (1, 1, 1), 1000, (1, 1, 2)),
        ((10, 100, 100), (5, 1, 1), 10_000, (1, 4, 3)),
        ((1, 1, 9), (1, 2, 3), 2, (1, 1, 5)),
        ((3, 3, 3), (1, 1, 1), 1, (3, 3, 3)),
    ],
)
def test_find_factors(shape, lengths, limit, factors):
    assert find_factors(shape, np.array(lengths, float), limit) == factors


def test_averages_and_middles():
    values = np.random.default_rng(0).random((5, 6, 7, 2)).astype(np.float32)
    reduced = average(values, (2, 1, 3))
    assert reduced.shape == (3, 6, 3, 2)
    assert reduced[0, 4, 1] == pytest.approx(values[:2, 4, 3:6].mean(axis=(0, 1)))
    assert reduced[2, 0, 2] == pytest.approx(values[4, 0, 6])
    assert middles(7, 3).tolist() == [1, 4, 6]
    assert middles(4, 1).tolist() == [0, 1, 2, 3]


def test_images_and_volumes_on_one_page(tmp_path, volume):
    image, true, predicted = volume
    path = tmp_path / "report.html"
    compared = [compare("flat", true[3], predicted[3], image[3]), compare("deep", true, predicted, image)]
    write_page(path, iter(compared), 2, "title")
    page = Page(path.read_text(encoding="utf-8"))
    kinds = {attributes["id"]: attributes["type"] for attributes, _ in page.scripts if "id" in attributes}
    names = {"data", "picture-0", "objects-0", "picture-1", "true-1", "predicted-1", "objects-1"}
    assert set(kinds) == names
    assert {kinds[name] for name in ("picture-1", "true-1", "predicted-1")} == {"text/plain"}
    texts = {attributes["id"]: text for attributes, text in page.scripts if "id" in attributes}
    assert "shape" not in json.loads(texts["objects-0"])
    assert json.loads(texts["objects-1"])["shape"] == [9, 20, 30]
