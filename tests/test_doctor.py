"""The label doctor: each finding on a real label image damaged in that one way; none on what is clean."""

import csv

import numpy as np
import pytest
from scipy import ndimage

import flowseg
from flowseg import check_masks, io, mend_masks


@pytest.fixture(scope="module")
def nuclei(shared):
    """Image and masks of 52 separate and touching nuclei."""
    folder = shared / "data" / "dsb2018"
    with open(folder / "samples.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "val"]
    pairs = [(io.read_image(folder / row["image"]), io.read_masks(folder / row["label"])) for row in rows]
    return next((x, y) for x, y in pairs if y.max() > 40 and check_masks(y, x).findings == ())


def kinds(masks, image=None, **options):
    return {finding.kind for finding in check_masks(masks, image, **options).findings}


def damage_binary(y):
    return (y > 0).astype(np.uint8) * 255


def damage_several(y):
    y = y.copy()
    y[y == y.max()] = 1
    return y


def damage_pieces(y):
    y = y.copy()
    rows, _ = np.nonzero(y == 7)
    middle = int(np.median(rows))
    y[middle][y[middle] == 7] = 0
    return y


def damage_specks(y):
    y = y.copy()
    row, column = np.argwhere(ndimage.distance_transform_edt(y == 0) > 4)[0]
    y[row, column] = y[y > 0][np.argmin(np.linalg.norm(np.argwhere(y > 0) - (row, column), axis=1))]
    return y


def damage_holes(y):
    y = y.copy()
    largest = np.argmax(np.bincount(y[y > 0]))
    y[ndimage.binary_erosion(y == largest, iterations=4)] = 0
    return y


def damage_small(y):
    y = y.copy()
    row, column = np.argwhere(ndimage.distance_transform_edt(y == 0) > 4)[0]
    y[row, column] = y.max() + 1
    return y


def damage_ignored(y):
    y = y.astype(np.int32)
    y[:5][y[:5] == 0] = -1
    return y


ONE_WAY = {
    "binary": damage_binary,
    "several": damage_several,
    "pieces": damage_pieces,
    "specks": damage_specks,
    "holes": damage_holes,
    "small": damage_small,
    "ignored": damage_ignored,
    "dtype": lambda y: y.astype(np.float32),
    "empty": np.zeros_like,
}


@pytest.mark.parametrize("kind", ONE_WAY)
def test_one_damage_one_finding(nuclei, kind):
    image, masks = nuclei
    assert kinds(ONE_WAY[kind](masks), image) == {kind}


def test_booleans_are_binary(nuclei):
    assert "binary" in kinds(nuclei[1] > 0)


@pytest.mark.parametrize("bits", [8, 16])
def test_numbers_that_began_anew(nuclei, bits):
    # 255 labels fit into 8 bits: what has a higher number gets a lower one's, as in a careless astype.
    _, masks = nuclei
    if bits == 8:
        tiled = np.tile(masks[:128, :128].astype(np.int64), (10, 10))
        places = np.kron(np.arange(100).reshape(10, 10), np.ones((128, 128), np.int64))
        large = mend_masks(np.where(tiled > 0, tiled + places * int(tiled.max()), 0), min_size=0).masks
    else:
        large = np.kron(np.arange(1, 270**2 + 1).reshape(270, 270), np.pad(np.ones((3, 3), int), (0, 2)))
    assert large.max() > 2**bits
    assert kinds(large.astype(f"u{bits // 8}"), min_size=0) == {"overflow"}
    assert kinds(np.minimum(large, 2**bits - 1), min_size=0) == {"overflow"}


def test_image_and_masks_mistaken_for_each_other(nuclei):
    image, masks = nuclei
    assert "picture" in kinds(image)
    assert kinds(masks, masks) == {"labels as image"}
    assert kinds(masks, (masks > 0).astype(np.uint8) * 255) == {"labels as image"}


@pytest.mark.parametrize("shift", [(6, 5), (-9, 0), (0, 12)])
def test_shifted_masks(nuclei, shift):
    image, masks = nuclei
    report = check_masks(np.roll(masks, shift, (0, 1)), image)
    (finding,) = [f for f in report.findings if f.kind == "shifted"]
    assert f"{-shift[0]:+d} rows and {-shift[1]:+d} columns" in finding.message
    assert not report.ok


def test_shapes_and_colours(nuclei):
    image, masks = nuclei
    assert kinds(masks, image[:-1]) == {"shape"}
    assert kinds(np.stack([masks] * 3, axis=-1)) == {"colour"}
    assert kinds(masks[0]) == {"shape"}
    assert kinds(masks * 0.3) == {"dtype"}
    assert kinds(masks.astype(str)) == {"dtype"}


def test_cut_by_the_border_is_a_note():
    masks = np.zeros((30, 30), np.int32)
    masks[0:8, 5:12] = masks[0:8, 13:20] = 4
    report = check_masks(masks)
    assert [f.kind for f in report.findings] == ["cut"]
    assert report.ok


def test_reports_read_well(nuclei):
    _, masks = nuclei
    text = str(check_masks(damage_several(masks)))
    assert text.splitlines()[0] == f"{len(np.unique(masks)) - 2} objects"
    assert text.splitlines()[1] == "wrong: several: label 1 on several objects, far apart."


ODDITIES = {
    "specks": {"MFGTMPcx7_170702090001_A08f09d1", "MFGTMPcx7_170702090001_C09f01d1", "2_P1060338_0"},
    "several": {"dsb_f6863b83", "dsb_ef3ef194"},  # one object in two pieces
    "holes": {"dsb_0402a81e", "dsb_d7db360f", "dsb_da31f2aa", "dsb_e49fc2b4"},
    "specks, too": {"MFGTMPcx7_170702090001_A10f11d1", "MFGTMPcx7_170731090001_G15f03d1", "6_P1060355_0"},
}


def test_clean_data_is_clean(shared):
    # All images were looked at once; here the odd ones, and every tenth of the others.
    odd = set().union(*ODDITIES.values())
    for samples in sorted(shared.glob("data/*/samples.csv")):
        with open(samples, newline="") as file:
            rows = list(csv.DictReader(file))
        for row in [row for i, row in enumerate(rows) if i % 10 == 0 or row["id"] in odd]:
            masks = io.read_masks(samples.parent / row["label"])
            if masks.ndim == 2:
                report = check_masks(masks, io.read_image(samples.parent / row["image"]))
                assert report.ok != (row["id"] in odd), (row["id"], str(report))


@pytest.mark.parametrize("kind", ["binary", "several", "pieces", "specks", "holes", "small", "dtype"])
def test_what_can_be_mended_is(nuclei, kind):
    image, masks = nuclei
    damaged = ONE_WAY[kind](masks)
    mended, done = mend_masks(damaged)
    assert mended.dtype == np.int32
    assert len(done) == 1 or kind == "binary"
    assert check_masks(mended, image).findings == ()
    if kind in ("several", "specks", "holes", "small", "dtype"):
        assert flowseg.metrics.average_precision([masks], [mended], thresholds=(0.999,))[0] == 1


def test_mending_what_is_whole_does_nothing(nuclei):
    _, masks = nuclei
    mended, _ = mend_masks(masks)
    again, done = mend_masks(mended)
    assert done == []
    assert np.array_equal(again, mended)


def test_mending_keeps_what_is_to_be_ignored():
    masks = np.array([[-3, 1, 1, 1], [0, 1, -2, 1], [0, 1, 1, 1]])
    assert mend_masks(masks).masks.tolist() == [[-1, 1, 1, 1], [0, 1, -1, 1], [0, 1, 1, 1]]


@pytest.mark.parametrize("masks", [np.zeros((4, 4, 3), np.uint8), np.full((4, 4), 0.5), np.full((4, 4), np.nan)])
def test_what_cannot_be_mended(masks):
    with pytest.raises(TypeError, match="masks must be a label image of whole numbers"):
        mend_masks(masks)


def test_fit_warns_in_one_line(pairs, small):
    images, masks = zip(*pairs)
    broken = [m.copy() for m in masks]
    broken[2][broken[2] == broken[2].max()] = 1
    with pytest.warns(UserWarning, match=r"masks hold 1 label in several pieces \(in 1 of 8 images\)"):
        flowseg.FlowSegmenter(**{**small, "epochs": 1, "steps_per_epoch": 1}).fit(images, broken)


def test_fit_does_not_warn_of_what_is_whole(pairs, small, recwarn):
    images, masks = zip(*pairs)
    flowseg.FlowSegmenter(**{**small, "epochs": 1, "steps_per_epoch": 1}).fit(images, masks)
    assert not [w for w in recwarn if "pieces" in str(w.message)]
