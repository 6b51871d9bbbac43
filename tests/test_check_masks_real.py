"""`check_masks` on real label images: every kind of finding on a damaged one, and none on a clean one."""

import re

import numpy as np
import pytest
import tifffile
from real_data import SETS, read_pair, rows_of, sample
from scipy import ndimage
from skimage.io import imsave
from typer.testing import CliRunner

from flowseg import check_masks, plot
from flowseg._labels.duplicates import fingerprint
from flowseg.cli import app


@pytest.fixture(scope="module")
def nuclei(shared):
    """Image and masks of a clean real image with more than 40 nuclei."""
    folder, rows = rows_of(shared, "dsb2018")
    pairs = (read_pair(folder, row) for row in rows if row["split"] == "val" and int(row["n_objects"]) > 40)
    return next((x, y) for x, y in pairs if check_masks(y, x).findings == ())


@pytest.fixture(scope="module")
def crowd(shared):
    """Image and masks of a clean real image with more than 255 nuclei."""
    folder, rows = rows_of(shared, "dsb2018")
    row = next(row for row in rows if int(row["n_objects"]) > 255)
    return read_pair(folder, row)


@pytest.fixture(scope="module")
def embryo(shared):
    """A real volume and its masks."""
    folder, (row,) = rows_of(shared, "embryo3d_qcanet")
    return read_pair(folder, row)


def kinds(masks, image=None, **options):
    return {finding.kind for finding in check_masks(masks, image, **options).findings}


def damage_reused_label(y):
    return np.where(y == y.max(), 1, y)


def damage_disconnected(y):
    y = y.copy()
    largest = np.argmax(np.bincount(y[y > 0]))
    middle = int(np.median(np.nonzero(y == largest)[-2]))
    plane = y[..., middle, :]
    plane[plane == largest] = 0
    return y


def damage_specks(y):
    y = y.copy()
    distance, nearest = ndimage.distance_transform_edt(y == 0, return_indices=True)
    place = tuple(np.argwhere((distance > 4) & (distance < 6))[0])
    y[place] = y[tuple(axis[place] for axis in nearest)]
    return y


def damage_holes(y):
    largest = np.argmax(np.bincount(y[y > 0]))
    return np.where(ndimage.binary_erosion(y == largest, iterations=4), 0, y)


def damage_small(y):
    y = y.copy()
    y[tuple(np.argwhere(ndimage.distance_transform_edt(y == 0) > 4)[0])] = y.max() + 1
    return y


def damage_ignored(y):
    y = y.astype(np.int32)
    y[:5][y[:5] == 0] = -1
    return y


def damage_cut(y):
    """An object at the border of the image, parted by a line across the border."""
    y = y.copy()
    edge = y[..., 0, :] if y.ndim == 2 else y[:, 0]
    label = np.argmax(np.bincount(edge[edge > 0]))
    columns = np.nonzero(edge == label)[-1]
    y[..., int(np.median(columns))][y[..., int(np.median(columns))] == label] = 0
    return y


ONE_WAY = {
    "dtype": lambda y: y.astype(np.float32),
    "binary": lambda y: np.where(y > 0, 255, 0).astype(np.uint8),
    "reused label": damage_reused_label,
    "disconnected": damage_disconnected,
    "specks": damage_specks,
    "holes": damage_holes,
    "small": damage_small,
    "empty": np.zeros_like,
    "ignored": damage_ignored,
}


@pytest.mark.parametrize("kind", [*ONE_WAY, "cut"])
def test_one_damage_one_finding(nuclei, kind):
    image, masks = nuclei
    if kind == "cut":
        while not (masks[0] > 0).any() or np.bincount(masks[0][masks[0] > 0]).max() < 8:
            image, masks = image[1:], masks[1:]
    damage = damage_cut if kind == "cut" else ONE_WAY[kind]
    report = check_masks(damage(masks), image)
    assert {finding.kind for finding in report.findings} == {kind}
    assert report.ok == (kind in ("empty", "ignored", "cut"))


@pytest.mark.parametrize("kind", ONE_WAY)
def test_one_damage_one_finding_in_a_volume(embryo, kind):
    image, masks = embryo
    assert kinds(ONE_WAY[kind](masks), image) == {kind}


def test_more_labels_than_the_dtype_holds(crowd):
    image, masks = crowd
    assert check_masks(masks, image).findings == ()
    assert kinds(masks.astype(np.uint8), image) == {"overflow"}  # 256 is 0 now, 257 is 1
    assert kinds(np.where(masks > 255, masks - 255, masks), image) == {"overflow"}
    cut_off = np.minimum(masks, 255)
    enclosed = {"holes"}  # between objects that touch and have one number now
    assert kinds(cut_off, image) == {"overflow"} | (kinds(cut_off) & enclosed)


def test_shapes_and_dtypes(nuclei, embryo):
    image, masks = nuclei
    assert kinds(plot.mask_colors(masks), image) == {"color"}
    assert kinds(masks > 0, image) == {"binary"}
    assert kinds(masks, image[:-1]) == {"shape"}
    assert kinds(masks[0]) == {"shape"}
    assert kinds(embryo[1], embryo[0][0]) == {"shape"}


def test_image_and_masks_mistaken_for_each_other(nuclei, embryo):
    image, masks = nuclei
    assert kinds(image) == {"picture"}
    for instead in (masks, np.where(masks > 0, 255, 0)):
        assert kinds(masks, instead) == {"labels as image"}
    assert kinds(embryo[0]) == {"picture"}
    assert kinds(embryo[1], embryo[1]) == {"labels as image"}


def test_images_of_no_numbers(nuclei, embryo):
    for image, masks in (nuclei, embryo):
        assert kinds(masks, np.where(image == image.max(), np.nan, image)) == {"image"}
        assert kinds(masks, image.astype(str)) == {"image"}


@pytest.mark.parametrize("shift", [(6, 5), (-9, 0), (0, 12)])
def test_shifted(nuclei, embryo, shift):
    for image, masks in (nuclei, embryo):
        moved = ndimage.shift(masks, (0,) * (masks.ndim - 2) + shift, order=0)
        (finding,) = check_masks(moved, image).findings
        assert finding.kind == "shifted"
        found = re.search(r"that they have (\S+) rows and (\S+) columns away", finding.message)
        assert np.abs(np.array(found.groups(), int) + shift).max() <= masks.ndim - 2  # the embryo's own are one off


def test_every_kind_is_demonstrated_here():
    documented = set(re.findall(r"``([a-z ]+)``", check_masks.__doc__.split("Notes\n")[1].split("Examples\n")[0]))
    shown = {*ONE_WAY, "cut", "overflow", "color", "shape", "picture", "labels as image", "shifted", "image"}
    shown |= {"stack", "empty plane", "shifted plane", "flat"}  # in test_check_volumes.py
    assert documented == shown


# What the README of the real data names: specks that the decoding of colors lost, and a cell that the border cuts
# (its list of multi_component_objects); objects of two components, and with holes (its counts, and samples.csv).
ODDITIES = {
    "MFGTMPcx7_170702000001_B14f07d1": {("cut", (34,))},
    "MFGTMPcx7_170702090001_A08f09d1": {("specks", (10,))},
    "MFGTMPcx7_170702090001_A10f11d1": {("specks", (13,))},
    "MFGTMPcx7_170702090001_C09f01d1": {("specks", (2,))},
    "MFGTMPcx7_170731090001_G15f03d1": {("specks", (24,))},
    "dsb_0402a81e": {("holes", (40, 86))},
    "dsb_d7db360f": {("holes", (13,))},
    "dsb_da31f2aa": {("holes", (16,))},
    "dsb_ef3ef194": {("reused label", (75,))},
    "dsb_f6863b83": {("reused label", (37,))},
    "2_P1060338_0": {("specks", (29,))},
    "6_P1060355_0": {("specks", (121,))},
}


@pytest.mark.parametrize("name", SETS)
def test_clean_labels_have_no_finding(shared, name):
    folder, rows = rows_of(shared, name)
    found, digests = {}, []
    rows = [row for row in rows if row in sample(rows) or row["id"] in ODDITIES]
    for row in rows:
        image, masks = read_pair(folder, row)
        findings = {(finding.kind, finding.labels) for finding in check_masks(masks, image).findings}
        if findings:
            found[row["id"]] = findings
            counted = "objects_with_holes" if findings.copy().pop()[0] == "holes" else "multi_component_objects"
            assert int(row[counted]) > 0, row["id"]  # reported by the authors of the labels
        if masks.ndim == 2:
            digests.append(fingerprint(image))
    assert found == {key: kind for key, kind in ODDITIES.items() if key in {row["id"] for row in rows}}
    assert len(set(digests)) == len(digests)  # none is there twice, nor in two splits


def test_findings_of_folders(nuclei, tmp_path):
    """`flowseg check`: a file that cannot be read, the same image twice, in two splits, and few objects."""
    image, masks = nuclei[0], np.where(nuclei[1] <= 40, nuclei[1], 0)  # fewer than 50
    for split, turned in (("train", image), ("test", image[::-1].T)):
        for kind, array in (("images", turned), ("masks", masks if split == "train" else masks[::-1].T)):
            (tmp_path / split / kind).mkdir(parents=True)
            imsave(tmp_path / split / kind / "a.png", array, check_contrast=False)
    train = [str(tmp_path / "train" / "masks"), str(tmp_path / "train" / "images")]

    def say(*more):
        return CliRunner().invoke(app, ["check", *train, *more])

    def kinds_said(result):
        return set(re.findall(r"(?:^|: )(?:note: )?(few|leak|duplicate|unreadable): ", result.stdout, flags=re.M))

    assert kinds_said(say()) == {"few"}
    assert say().exit_code == 0
    assert kinds_said(say("--against", str(tmp_path / "test" / "images"))) == {"few", "leak"}
    imsave(tmp_path / "train" / "images" / "b.png", np.rot90(image), check_contrast=False)
    tifffile.imwrite(tmp_path / "train" / "masks" / "b.tif", np.rot90(masks))
    assert kinds_said(say()) == {"duplicate"}
    (tmp_path / "train" / "masks" / "b.tif").write_bytes(b"II*\0 damaged")
    result = say()
    assert kinds_said(result) == {"few", "duplicate", "unreadable"}
    assert result.exit_code == 1
