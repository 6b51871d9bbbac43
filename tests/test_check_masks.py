"""`check_masks` and `mend_masks`: repairs and sentences. `test_check_masks_real.py` shows every kind of finding."""

import csv

import numpy as np
import pytest
from scipy import ndimage

import flowseg
from flowseg import check_masks, io, mend_masks, synthetic


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


def damage_reused_label(y):
    y = y.copy()
    y[y == y.max()] = 1
    return y


def damage_disconnected(y):
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


ONE_WAY = {
    "binary": damage_binary,
    "reused label": damage_reused_label,
    "disconnected": damage_disconnected,
    "specks": damage_specks,
    "holes": damage_holes,
    "small": damage_small,
    "dtype": lambda y: y.astype(np.float32),
}


def test_booleans_are_binary(nuclei):
    assert "binary" in kinds(nuclei[1] > 0)


@pytest.mark.parametrize("bits", [8, pytest.param(16, marks=pytest.mark.thorough)])
def test_labels_that_wrapped_around(nuclei, bits):
    # 255 labels fit into 8 bits. Higher ones wrap around in astype.
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


def test_cut_by_the_border_is_a_note():
    masks = np.zeros((30, 30), np.int32)
    masks[0:8, 5:12] = masks[0:8, 13:20] = 4
    report = check_masks(masks)
    assert [f.kind for f in report.findings] == ["cut"]
    assert report.ok


def test_a_cleft_that_opens_at_a_corner_is_no_hole():
    masks = np.zeros((12, 12), np.int32)
    masks[1:11, 1:11] = 7
    masks[5, 2:8] = 0
    assert kinds(masks) == {"holes"}
    masks[4, 1] = masks[3, 0] = 0  # background reaches in across the corner between (4, 1) and (5, 2)
    assert kinds(masks) == set()
    volume = np.stack([np.full_like(masks, 7), masks, np.full_like(masks, 7)])
    assert kinds(volume) == set()
    volume[1, 4, 1] = 7
    assert kinds(volume) == {"holes"}


def test_holes_of_up_to_three_pixels_are_no_finding():
    masks = np.full((12, 12), 7)
    masks[5, 5:8] = 0
    assert kinds(masks) == set()
    masks[5, 8] = 0
    assert kinds(masks) == {"holes"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda image: np.where(image == image.max(), np.nan, image), "the image has 1 NaN or infinite values of"),
        (lambda image: image.astype(str), "the image has dtype <U"),
        (lambda image: np.zeros((*image.shape, 0)), "for an image of shape"),
    ],
)
def test_arrays_that_are_no_image(change, sentence):
    image, masks = synthetic.cells((64, 64), 5, rng=0)
    (finding,) = check_masks(masks, change(image)).findings
    assert sentence in finding.message


def test_the_printed_report(nuclei):
    _, masks = nuclei
    text = str(check_masks(damage_reused_label(masks)))
    assert text.splitlines()[0] == f"{len(np.unique(masks)) - 2} objects"
    assert text.splitlines()[1] == "wrong: reused label: label 1 on several objects, far apart."


@pytest.mark.parametrize("kind", ["binary", "reused label", "disconnected", "specks", "holes", "small", "dtype"])
def test_faults_are_repaired(nuclei, kind):
    image, masks = nuclei
    damaged = ONE_WAY[kind](masks)
    mended, done = mend_masks(damaged)
    assert mended.dtype == np.int32
    assert len(done) == 1 or kind == "binary"
    assert check_masks(mended, image).findings == ()
    if kind in ("reused label", "specks", "holes", "small", "dtype"):
        assert flowseg.metrics.average_precision([masks], [mended], thresholds=(0.999,))[0] == 1


def test_sound_masks_are_not_changed(nuclei):
    _, masks = nuclei
    mended, _ = mend_masks(masks)
    again, done = mend_masks(mended)
    assert done == []
    assert np.array_equal(again, mended)


def test_ignored_pixels_are_kept():
    masks = np.array([[-3, 1, 1, 1], [0, 1, -2, 1], [0, 1, 1, 1]])
    assert mend_masks(masks).masks.tolist() == [[-1, 1, 1, 1], [0, 1, -1, 1], [0, 1, 1, 1]]


@pytest.mark.parametrize("masks", [np.zeros((4, 4, 3), np.uint8), np.full((4, 4), 0.5), np.full((4, 4), np.nan)])
def test_arrays_that_cannot_be_repaired(masks):
    with pytest.raises(TypeError, match="masks must be a label image of integers"):
        mend_masks(masks)


def test_fit_warns_in_one_line(pairs, small):
    images, masks = zip(*pairs)
    broken = [m.copy() for m in masks]
    broken[2][broken[2] == broken[2].max()] = 1
    with pytest.warns(UserWarning, match=r"masks hold 1 label of several connected components \(in 1 of 8 images\)"):
        flowseg.FlowSegmenter(**{**small, "epochs": 1, "steps_per_epoch": 1}).fit(images, broken)


def test_fit_does_not_warn_of_sound_masks(pairs, small, recwarn):
    images, masks = zip(*pairs)
    flowseg.FlowSegmenter(**{**small, "epochs": 1, "steps_per_epoch": 1}).fit(images, masks)
    assert not [w for w in recwarn if "component" in str(w.message)]
