"""`check_masks` and `mend_masks` on volumes: planes that do not fit together, and partial annotation."""

import numpy as np
import pytest
from real_data import label_images, read_pair, rows_of
from scipy import ndimage
from skimage.measure import label
from test_sparse import annotate

from flowseg import check_masks, mend_masks, plot

VOLUMES = ("embryo3d_qcanet", "ovule_nuclei3d", "bacteria3d_myxo", "chloroplasts_em3d", "ovule_cells3d")


@pytest.fixture(scope="module")
def volumes(shared):
    """One real volume of labels of each set."""
    return {name: next(label_images(shared, name))[1].astype(np.int32) for name in VOLUMES}


def found(masks, **options):
    return {finding.kind: finding.message for finding in check_masks(masks, **options).findings}


def kinds(masks, **options):
    return set(found(masks, **options))


@pytest.mark.parametrize("name", VOLUMES)
def test_planes_that_number_their_objects_each_by_itself(volumes, name):
    masks = volumes[name]
    restarted = np.stack([label(plane) for plane in masks])
    assert "every plane has labels from 1 on" in found(restarted)["stack"]
    assert kinds(restarted) == {"stack"}
    changing = restarted + 1000 * np.arange(len(masks))[:, None, None] * (restarted > 0)
    assert "have different labels there: 2-D label images" in found(changing)["stack"]


@pytest.mark.parametrize("name", VOLUMES)
def test_one_damage_one_finding(volumes, name):
    masks, k = volumes[name], len(volumes[name]) // 2
    own = kinds(masks)
    assert not own & {"stack", "empty plane", "shifted plane", "flat"}
    empty = masks.copy()
    empty[k] = 0
    assert kinds(empty) - own == {"empty plane"}
    assert f"no object in plane {k}, " in found(empty)["empty plane"]
    cut = masks.copy()
    cut[k:][cut[k:] > 0] += 5000
    assert f"all labels change between planes {k - 1} and {k}," in found(cut)["stack"]
    if name != "ovule_cells3d":  # so thin cells change much from plane to plane
        shifted = masks.copy()
        shifted[k] = np.roll(masks[k], (6, -4), (0, 1))
        assert f"plane {k} fits its neighbors -6 rows and +4 columns away" in found(shifted)["shifted plane"]


def test_an_object_of_one_plane(volumes):
    masks = volumes["embryo3d_qcanet"].copy()
    free = ndimage.minimum_filter(masks.max(axis=0) == 0, 5)
    row, column = np.argwhere(free)[0]
    masks[20, row : row + 3, column : column + 3] = 99
    report = check_masks(masks)
    assert [(finding.kind, finding.labels) for finding in report.findings] == [("flat", (99,))]
    assert report.ok


@pytest.mark.parametrize("step", [4, 8])
@pytest.mark.parametrize("axes", [(0,), (2,), (0, 1, 2)])
@pytest.mark.parametrize("name", ["embryo3d_qcanet", "ovule_nuclei3d"])
def test_planes_annotated_here_and_there(volumes, name, axes, step):
    """Cross sections of one object, some planes apart, are no faults, and are not torn apart."""
    sparse = annotate(volumes[name], step=step, axes=axes)
    report = check_masks(sparse)
    assert report.ok, str(report)
    (note,) = report.findings
    number = len(range(0, sparse.shape[axes[0]], step))
    assert note.kind == "ignored"
    assert f"{number} of {sparse.shape[axes[0]]} planes" in note.message
    mended = mend_masks(sparse, min_size=0).masks
    assert np.array_equal(mended < 0, sparse < 0)
    pairs = np.unique(np.stack([mended[sparse > 0], sparse[sparse > 0]]), axis=1)
    assert pairs.shape[1] == len(np.unique(sparse)) - 2  # one number for each object


def test_what_is_annotated(volumes):
    masks = volumes["embryo3d_qcanet"]
    box = np.full_like(masks, -1)
    box[10:40, 20:90, 20:90] = masks[10:40, 20:90, 20:90]
    assert "voxels are negative: ignored by training; one box is annotated" in found(box)["ignored"]
    alone = np.where(masks > 0, masks, -1)
    assert "no whole planes are annotated" in found(alone)["ignored"]
    one = np.full_like(masks, -1)
    one[20] = masks[20]
    assert "1 of 51 planes are annotated" in found(one)["ignored"]
    for nothing in (np.full_like(masks, -1), np.full((5, 5), -1)):
        report = check_masks(nothing)
        assert found(nothing) == {"empty": "no pixel is annotated: all are negative."}
        assert not report.ok


def test_holes_are_closed_on_every_side():
    masks = np.zeros((12, 14, 14), dtype=np.int32)
    masks[2:10, 2:12, 2:12] = 4
    masks[4:8, 5:9, 5:9] = 0
    assert kinds(masks) == {"holes"}
    mended = mend_masks(masks)
    assert mended.done == ["Holes of 1 object were filled."]
    assert mended.masks.sum() == 8 * 10 * 10
    masks[4:, 5:9, 5:9] = 0  # open at one end, and closed in each of the planes
    assert kinds(masks) == set()
    assert mend_masks(masks).masks.sum() == 8 * 10 * 10 - 6 * 4 * 4


def test_color_channels_in_place_of_planes(volumes):
    plane = volumes["bacteria3d_myxo"][10]
    colors = plot.mask_colors(plane)
    assert kinds(colors) == {"color"}
    assert kinds(np.moveaxis(colors, -1, 0)) <= {"color", "picture", "stack"}
    assert not check_masks(np.moveaxis(colors, -1, 0)).ok


def test_spacing_decides_what_is_far():
    masks = np.zeros((12, 20, 20), dtype=np.int32)
    masks[1:4, 5:12, 5:12] = masks[6:9, 5:12, 5:12] = 3  # two planes apart
    masks[:, 15:, 15:] = 4
    assert kinds(masks) == {"disconnected"}
    assert kinds(masks, spacing=(10, 1, 1)) == {"reused label"}
    for wrong in ((1, 1), (0, 1, 1), (1, np.nan, 1)):
        with pytest.raises(ValueError, match="spacing must be 3 numbers above 0"):
            check_masks(masks, spacing=wrong)


def test_walls_are_no_shift(shared):
    """Between neurites and plant cells it is the border that is stained."""
    for name in ("ovule_cells3d", "neurites_em3d"):
        folder, rows = rows_of(shared, name)
        for row in rows[:1]:
            image, masks = read_pair(folder, row)
            k = int(np.argmax((masks > 0).sum(axis=(1, 2))))
            plane = slice(k, k + 1)
            assert "shifted" not in {finding.kind for finding in check_masks(masks[plane], image[plane]).findings}


def test_sentences_speak_of_voxels():
    masks = np.zeros((9, 9, 9), dtype=np.int32)
    masks[4, 4, 4], masks[2, 2, 2:4] = 1, 2
    assert "of fewer than 5 voxels" in found(masks)["small"]
    assert mend_masks(masks).done == ["2 objects of fewer than 5 voxels dropped."]
