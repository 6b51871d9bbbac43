"""Sparse annotation: objects are completed between annotated planes, and annotated pixels never change."""

import numpy as np
import pytest
from real_data import label_images

import flowseg
from flowseg._labels.sparse import complete_sparse

# Where the objects of these sets stand, and which planes are annotated: one in so many, from so many on.
VOLUMES = ("embryo3d_qcanet", "ovule_nuclei3d", "ovule_cells3d", "bacteria3d_myxo")


def annotate(masks, *, step=8, first=0, axes=(0,)):
    """Masks of which only some planes are annotated."""
    sparse = np.full(masks.shape, -1, dtype=np.int32)
    for axis in axes:
        planes = np.arange(first, masks.shape[axis], step)
        where = tuple(planes if k == axis else slice(None) for k in range(masks.ndim))
        sparse[where] = masks[where]
    return sparse


def ball(shape, center, radius, spacing=(1, 1, 1)):
    place = np.indices(shape).T - center
    return (np.linalg.norm(place * spacing, axis=-1) <= radius).T.astype(np.int32)


def iou(a, b):
    return np.sum(a & b) / np.sum(a | b)


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("first", range(4))
def test_a_ball(axes, first):
    masks = ball((40, 41, 42), (20, 19.5, 21), 14)
    sparse = annotate(masks, step=4, first=first, axes=axes)
    labels, cut = complete_sparse(sparse)
    assert iou(labels > 0, masks > 0) > 0.9
    assert cut.size == 0
    assert np.array_equal(labels[sparse >= 0], sparse[sparse >= 0])
    assert labels.min() == 0  # all is between planes, or near an end


def test_a_rod_that_slants():
    place = np.indices((33, 60, 20))
    masks = (np.hypot(place[1] - 8 - 1.4 * place[0], place[2] - 10) <= 4).astype(np.int32)
    labels, _ = complete_sparse(annotate(masks))
    assert iou(labels > 0, masks > 0) > 0.88  # although cross sections do not overlap from plane to plane


def test_an_object_tapers_off_half_way():
    masks = np.full((9, 7, 7), -1)
    masks[[0, 8]] = 0
    masks[0, 1:6, 1:6] = 3
    labels, cut = complete_sparse(masks)
    areas = np.count_nonzero(labels, axis=(1, 2))
    assert np.all(np.diff(areas) <= 0)
    assert areas[3] > 0
    assert not areas[4:].any()
    assert (labels == 0).sum() + (labels == 3).sum() == labels.size
    assert cut.size == 0


def test_touching_objects_leave_no_gap_and_touch():
    masks = np.zeros((9, 10, 12), dtype=np.int32)
    masks[:, :, :4], masks[:, :, 4:8], masks[:, :, 8:] = 5, 2, 9
    assert np.array_equal(complete_sparse(annotate(masks, step=4)).labels, masks)


def test_the_ends_are_filled_when_the_next_plane_would_lie_beyond():
    masks = np.zeros((30, 8, 8), dtype=np.int32)
    masks[:, 2:6, 2:6] = 7
    near = annotate(masks, step=8, first=7)
    near[0:2] = -1
    assert np.array_equal(complete_sparse(near).labels, masks)
    far = near[:, :, :].copy()
    far[7] = -1  # 15 planes before the first one
    labels, cut = complete_sparse(far)
    assert np.all(labels[:15] == -1)
    assert np.array_equal(labels[15:], masks[15:])
    assert cut.tolist() == [7]


def test_a_box():
    masks = np.full((20, 20, 20), -1)
    masks[5:15, 4:16, 10:] = 0
    masks[7:9, 7:9, 12:14] = 1  # inside
    masks[7:9, 7:9, 18:] = 2  # at the volume's own border
    masks[10:15, 7:9, 12:14] = 8
    masks[7:9, 12:16, 12:14] = 4
    labels, cut = complete_sparse(masks)
    assert np.array_equal(labels, masks)
    assert cut.tolist() == [4, 8]
    masks[6, 6, 11] = -1  # a pixel left out
    assert complete_sparse(masks).cut.tolist() == [4, 8]


def test_one_plane_cuts_every_object():
    masks = np.full((9, 12, 12), -1)
    masks[4] = 0
    masks[4, 2:5, 2:5], masks[4, 7:9, 7:9] = 6, 3
    labels, cut = complete_sparse(masks)
    assert np.array_equal(labels, masks)
    assert cut.tolist() == [3, 6]


def test_parts_of_planes_and_pixels_left_out():
    masks = ball((33, 40, 40), (16, 20, 20), 12)
    sparse = np.full(masks.shape, -1)
    sparse[::4, 5:36, 5:36] = masks[::4, 5:36, 5:36]
    sparse[8, 5:9, 5:9] = -1
    labels, cut = complete_sparse(sparse)
    assert np.all(labels[8, 5:9, 5:9] == -1)
    assert np.all(labels[:, :5] == -1)
    inside = np.s_[:, 5:36, 5:36]
    assert iou(labels[inside] > 0, masks[inside] > 0) > 0.9
    assert cut.size == 0


def test_objects_painted_one_by_one_stay():
    masks = np.full((20, 20, 20), -1)
    masks[2:6, 2:6, 2:6], masks[12:17, 12:17, 12:17] = 1, 2
    labels, cut = complete_sparse(masks)
    assert np.array_equal(labels, masks)
    assert cut.size == 0


@pytest.mark.parametrize(
    "masks", [np.full((4, 5, 6), -1), np.ones((4, 5, 6), int), np.ones((4, 5, 6), np.uint8), np.zeros((1, 1, 1), int)]
)
def test_nothing_to_complete(masks):
    labels, cut = complete_sparse(masks)
    assert np.array_equal(labels, masks)
    assert (cut.size, cut.dtype, labels.dtype) == (0, masks.dtype, masks.dtype)


def test_spacing_decides_which_plane_is_near():
    masks = np.full((5, 21, 8), -1)
    masks[[0, 4]] = 0  # planes without the object
    masks[:, [0, 20]] = np.array([0, 0, 3, 3, 3, 3, 0, 0])  # rows with it
    masks[[0, 4]] = 0
    flat = complete_sparse(masks, spacing=(0.1, 1, 1)).labels
    tall = complete_sparse(masks, spacing=(10, 1, 1)).labels
    assert np.sum(flat == 3) < np.sum(tall == 3)
    for wrong in ((1, 1), (1, 0, 1), (1, np.nan, 1)):
        with pytest.raises(ValueError, match="spacing must be 3 numbers above 0"):
            complete_sparse(masks, spacing=wrong)


def test_random_annotation_never_changes():
    rng = np.random.default_rng(0)
    for _ in range(40):
        shape = tuple(rng.integers(1, 12, 3))
        masks = rng.integers(0, 4, shape).astype(rng.choice([np.int16, np.int32, np.int64]))
        sparse = np.full_like(masks, -1)
        for axis in rng.permutation(3)[: rng.integers(1, 4)]:
            planes = np.flatnonzero(rng.random(shape[axis]) < 0.4)
            where = tuple(planes if k == axis else slice(None) for k in range(3))
            sparse[where] = masks[where]
        before = sparse.copy()
        labels, cut = complete_sparse(sparse)
        assert np.array_equal(sparse, before)
        assert labels.dtype == sparse.dtype
        assert np.array_equal(labels[sparse >= 0], sparse[sparse >= 0])
        assert set(np.unique(labels)) <= {-1, 0, *np.unique(sparse)}
        assert np.array_equal(cut, np.unique(cut))
        flipped = complete_sparse(sparse[::-1, ::-1].transpose(2, 0, 1))
        assert np.array_equal(flipped.cut, cut)


@pytest.mark.parametrize("name", VOLUMES)
def test_real_objects(shared, name):
    ((_, masks),) = label_images(shared, name)
    masks = masks[:, :80, :80].astype(np.int32)
    sparse = annotate(masks, step=4, first=1)
    labels, cut = complete_sparse(sparse)
    assert cut.size == 0
    assert np.array_equal(labels[sparse >= 0], sparse[sparse >= 0])
    true = np.where(np.isin(masks, sparse[sparse > 0]), masks, 0)
    assert np.mean(labels == true) > 0.93
    seen = sparse > 0
    cosine = (flowseg.masks_to_flows(labels) * flowseg.masks_to_flows(true)).sum(axis=0)[seen]
    planar = (flowseg.masks_to_flows(np.maximum(sparse, 0)) * flowseg.masks_to_flows(true)).sum(axis=0)[seen]
    off, off_planar = (np.degrees(np.arccos(np.clip(c, -1, 1))).mean() for c in (cosine, planar))
    assert off < 12
    assert off_planar > 2 * off
