"""Scores of volumes, and of volumes of which only some planes are annotated."""

import numpy as np
import pytest
from real_data import label_images
from test_sparse import annotate

from flowseg import metrics

VOLUMES = ("embryo3d_qcanet", "ovule_nuclei3d", "bacteria3d_myxo", "ovule_cells3d")


@pytest.fixture(scope="module", params=VOLUMES)
def volume(request, shared):
    ((_, masks),) = label_images(shared, request.param)
    return masks[:, :120, :120].astype(np.int32)


def spoil(masks):
    """Shift a volume by a voxel, merge two touching or near objects, split one, and lose one."""
    labels = [int(k) for k in np.argsort(np.bincount(masks.ravel())[1:])[::-1] + 1]
    spoiled = np.roll(masks, 1, axis=2)
    spoiled[spoiled == labels[1]] = labels[0]
    place = np.nonzero(spoiled == labels[2])
    upper = place[0] < np.median(place[0])
    spoiled[tuple(axis[upper] for axis in place)] = spoiled.max() + 1
    spoiled[spoiled == labels[3]] = 0
    return spoiled


def all_scores(true, predicted):
    match = metrics.match(true, predicted)
    return (
        (match.tp, match.fp, match.fn),
        metrics.splits_merges(true, predicted),
        metrics.aggregated_jaccard(true, predicted),
        metrics.average_precision([true], [predicted]).tolist(),
        metrics.average_precision_per_image([true], [predicted]).tolist(),
        match.panoptic_quality,
    )


def test_a_volume_is_scored_as_its_unfolded_image(volume):
    """No score depends on neighborhood: the voxels of a volume in two dimensions have the same."""
    flat = (-1, volume.shape[2])
    for predicted in (volume, spoil(volume)):
        assert all_scores(volume, predicted) == all_scores(volume.reshape(flat), predicted.reshape(flat))
    n = np.count_nonzero(np.unique(volume) > 0)
    assert all_scores(volume, volume) == ((n, 0, 0), (0, 0), 1.0, [1.0] * 3, [[1.0] * 3], 1.0)
    counts = metrics.splits_merges(volume, spoil(volume))
    assert min(counts) >= 1
    assert metrics.match(volume, spoil(volume)).fn >= 1


@pytest.mark.parametrize("axes", [(0,), (2,), (0, 1, 2)])
def test_planes_of_a_volume(volume, axes):
    true = annotate(volume, axes=axes)
    n = np.count_nonzero(np.unique(true) > 0)
    match = metrics.match(true, volume)
    assert (match.tp, match.fp, match.fn) == (n, 0, 0)
    assert np.all(match.iou == 1)
    # Objects that lie on no annotated plane are unknown, and so neither right nor wrong.
    more = volume.copy()
    unseen = np.nonzero((true < 0) & (volume == 0))
    more[tuple(axis[:1] for axis in unseen)] = volume.max() + 1
    assert metrics.match(true, more).fp == 0
    spoiled = metrics.match(true, spoil(volume), threshold=0.3)
    assert spoiled.fn >= 1
    assert 0 < spoiled.average_precision < 1


def test_a_box_of_a_volume(volume):
    true = np.full_like(volume, -1)
    box = tuple(slice(n // 4, 3 * n // 4) for n in volume.shape)
    true[box] = volume[box]
    match = metrics.match(true, volume)
    assert (match.tp, match.fp, match.fn) == (np.count_nonzero(np.unique(volume[box]) > 0), 0, 0)


def test_objects_that_are_mostly_ignored_where_no_plane_is_annotated(volume):
    """As in images: what was painted one by one says nothing of all other objects."""
    largest = int(np.argmax(np.bincount(volume[volume > 0])))
    true = np.where(volume == largest, largest, -1)
    match = metrics.match(true, volume)
    assert (match.tp, match.fp, match.fn) == (1, 0, 0)
