"""Flows of volumes and masks from them: against the slow reference, flips, axis swaps, planes, threads, real volumes."""

import itertools

import numpy as np
import pytest
import reference
import tifffile
from scipy import ndimage

import flowseg
from flowseg import metrics, synthetic
from flowseg._labels.components import find_components

# Label images of volumes, and the least number of voxels of an object that must come back.
SETS = {
    "chloroplasts_em3d/val": 30,
    "ovule_nuclei3d": 30,
    "ovule_cells3d": 30,
    "bacteria3d_myxo": 30,
    "embryo3d_qcanet": 30,
    "stardist_examples": 30,
    "neurites_em3d/train/labels/gala_train": 500,  # the others take a minute, see benchmarks/round_trips.py
}
AXES = (0, 1, 2)
FLIPS = [flip for n in range(4) for flip in itertools.combinations(AXES, n)]


def round_trip(masks, **options):
    flows = flowseg.masks_to_flows(masks)
    return flowseg.flows_to_masks(flows, np.where(masks > 0, 5.0, -5.0), min_size=1, flow_threshold=None, **options)


def same_partition(a, b):
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    return all(len(np.unique(side)) == pairs.shape[1] for side in pairs) and np.array_equal(a > 0, b > 0)


def add_noise(flows, sd):
    noise = np.random.default_rng(0).standard_normal(flows.shape)
    noise = ndimage.gaussian_filter(noise, (0, 1, 1, 1))
    return (flows + noise * (sd / noise.std())).astype(np.float32)


def move(image, order, flip):
    """Order the axes, then flip some."""
    return np.ascontiguousarray(np.flip(image.transpose(order), flip))


def move_flows(flows, order, flip):
    moved = np.stack([move(flows[axis], order, flip) for axis in order])
    moved[list(flip)] *= -1
    return moved


def ball(diameter):
    axis = (np.arange(diameter + 2) - (diameter + 1) / 2) ** 2
    return (axis[:, None, None] + axis[:, None] + axis < diameter**2 / 4).astype(int)


def box(*shape):
    return np.pad(np.ones(shape, int), 1)


def helix():
    """A thread that winds two and a half times around an axis."""
    masks = np.zeros((30, 24, 24), int)
    t = np.linspace(0, 5 * np.pi, 2000)
    at = np.rint([3 + 1.5 * t, 12 + 8 * np.sin(t), 12 + 8 * np.cos(t)]).astype(int)
    for shift in np.ndindex(2, 2, 2):
        masks[tuple(at + np.array(shift)[:, None])] = 1
    return masks


def sheet():
    """A sheet that is bent once: its rows have gaps."""
    masks = np.zeros((12, 26, 40), int)
    masks[1:-1, 1:-1, 1:3] = masks[1:-1, 1:-1, 36:39] = masks[1:-1, 1:4, 1:39] = 1
    return masks


SHAPES = {
    "ball": ball(19),
    "box": box(18, 9, 21),
    "rod": box(4, 4, 90),
    "helix": helix(),
    "sheet": sheet(),
    "line": box(1, 1, 70),
    "corners": np.eye(3, dtype=int)[:, :, None] * np.eye(3, dtype=int)[:, None],
}


@pytest.mark.parametrize("name", SHAPES)
def test_objects_of_every_shape_agree_with_the_slow_reference(name):
    masks = SHAPES[name]
    found = flowseg.masks_to_flows(masks)
    expected, tied = reference.whole_object_flow(np.pad(masks > 0, 1))
    core = (slice(1, -1),) * 3
    assert (
        reference.angles(found, expected[(slice(None), *core)])[~tied[core][(masks > 0) & found.any(axis=0)]].max()
        < 0.01
    )
    assert np.count_nonzero((masks > 0) & ~found.any(axis=0)) <= 1


@pytest.mark.parametrize("n_iter", [*range(1, 18), *range(120, 129)])
def test_every_number_of_iterations(n_iter):
    # Some sweeps go through the planes together; the number of all need not be a multiple of theirs.
    masks = box(9, 8, 7)
    masks[6:, 5:, 4:] = 0
    expected = reference.object_flow(masks > 0, n_iter=n_iter)
    assert reference.angles(flowseg.masks_to_flows(masks, n_iter=n_iter), expected).max() < 0.01


@pytest.mark.parametrize("order", list(itertools.permutations(AXES)))
def test_flips_and_axis_swaps(order, voronoi):
    masks = voronoi((24, 26, 28), 12, seed=1)
    flows = flowseg.masks_to_flows(masks)
    noisy, cellprob = add_noise(flows, 0.3), np.full(masks.shape, 5.0)
    one_center = [k for k in range(1, 13) if reference.has_one_center(np.argwhere(masks == k))]
    keeps_center = np.isin(masks, one_center)
    assert len(one_center) > 8
    masks_of_noisy = flowseg.flows_to_masks(noisy, cellprob)
    assert masks_of_noisy.max() > 8
    for flip in FLIPS if order == AXES else [(), order[:1], order[:2]]:
        found = flowseg.masks_to_flows(move(masks, order, flip))
        difference = np.abs(found - move_flows(flows, order, flip))[:, move(keeps_center, order, flip)]
        # Only sums over planes, columns and rows are added in this order, which a swap changes.
        assert difference.max() <= (0 if order == AXES else 1e-6)
        moved = flowseg.flows_to_masks(move_flows(noisy, order, flip), cellprob.transpose(order))
        assert same_partition(moved, move(masks_of_noisy, order, flip))


def test_the_number_of_workers_has_no_effect(voronoi):
    masks = voronoi((30, 40, 50), 30)
    flows, cellprob = add_noise(flowseg.masks_to_flows(masks), 0.4), np.full(masks.shape, 5.0)
    one, *others = (
        (
            flowseg.masks_to_flows(masks, workers=n),
            flowseg.flows_to_masks(flows, cellprob, workers=n),
            flowseg.flow_errors(masks, flows, workers=n),
        )
        for n in (1, 2, 7)
    )
    assert one[1].max() > 10
    assert all(np.array_equal(a, b) for other in others for a, b in zip(one, other, strict=True))


def test_ignored_voxels_are_background(voronoi):
    masks = voronoi((20, 22, 24), 8)
    masks[:, :6] = 0
    ignored = np.where(masks == 0, -1, masks)
    ignored[0] = np.where(masks[0] == 0, 0, masks[0])
    assert np.array_equal(flowseg.masks_to_flows(ignored), flowseg.masks_to_flows(masks))


@pytest.mark.parametrize("axis", AXES)
def test_a_volume_of_one_plane_is_a_2d_image(axis):
    _, masks = synthetic.cells((90, 100), 8, rng=0)
    masks[:9] = -1
    flows, volume = flowseg.masks_to_flows(masks), np.expand_dims(masks, axis)
    found = flowseg.masks_to_flows(volume)
    assert np.array_equal(np.delete(found, axis, axis=0).reshape(flows.shape), flows)
    assert not found[axis].any()
    assert np.array_equal(flowseg.masks_to_flows(np.asfortranarray(volume)), found)
    spacing = np.insert([2.0, 3.0], axis, 0.1)
    found = np.delete(flowseg.masks_to_flows(volume, spacing=spacing), axis, axis=0)
    assert np.array_equal(found.reshape(flows.shape), flowseg.masks_to_flows(masks, spacing=(2, 3)))


@pytest.mark.parametrize("axis", AXES)
def test_the_flow_check_of_a_volume_of_one_plane(axis):
    _, masks = synthetic.cells((90, 100), 8, rng=0)
    noise = np.random.default_rng(0).normal(0, 0.4, (2, 90, 100)).astype(np.float32)
    flows, cellprob = flowseg.masks_to_flows(masks) + noise, np.where(masks > 0, 5.0, -5.0)
    volume = np.insert(flows.reshape(2, *np.expand_dims(masks, axis).shape), axis, 0, axis=0)
    errors = flowseg.flow_errors(masks, flows)
    assert flowseg.flow_errors(np.expand_dims(masks, axis), volume) == pytest.approx(errors, rel=1e-6)
    found = flowseg.flows_to_masks(volume, np.expand_dims(cellprob, axis), flow_threshold=float(np.median(errors)))
    assert 0 < found.max() < 8
    assert np.array_equal(
        found.squeeze(axis), flowseg.flows_to_masks(flows, cellprob, flow_threshold=float(np.median(errors)))
    )
    volume[axis] = 0.5  # away from the plane
    assert flowseg.flow_errors(np.expand_dims(masks, axis), volume) == pytest.approx(errors + 0.25, rel=1e-5)


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_round_trip_of_touching_cells(seed, background, voronoi):
    masks = voronoi((24, 30, 30), 8, seed)
    masks[background & (masks % 4 == 0)] = 0
    assert same_partition(round_trip(masks), masks)


@pytest.mark.parametrize("background", [False, True])
def test_round_trip_of_many_touching_cells(background, voronoi):
    # At the sharp corners of some cells, all around a voxel are voxels of other cells, and the path from it may end in
    # one of these: a few voxels of a hundred thousand.
    masks = voronoi((60, 60, 60), 60)
    masks[background & (masks % 4 == 0)] = 0
    found = round_trip(masks)
    match = metrics.match(masks, found, threshold=0.9)
    assert len(match.iou) == found.max() == np.count_nonzero(np.unique(masks))
    assert match.iou.min() > 0.99
    overlap = np.unique(np.stack([masks.ravel(), found.ravel()]), axis=1, return_counts=True)[1]
    assert np.sort(overlap)[: -len(match.iou) - background].sum() < 1e-4 * masks.size


@pytest.mark.parametrize("name", SETS)
def test_round_trip_of_real_volumes(name, shared):
    folder, counts = shared / "data", np.zeros(2, int)
    files = sorted(folder.glob(f"{name}.tif" if "labels" in name else f"{name}/**/labels/*.tif"))
    assert files
    for file in files:
        masks = tifffile.imread(file)
        if masks.ndim == 2:
            continue
        components = find_components(masks)
        iou = metrics.match(components.image, round_trip(masks), threshold=0.9).iou[components.sizes >= SETS[name]]
        counts += (np.count_nonzero(iou >= 0.9), iou.size)
    assert counts[1] > 5
    assert counts[0] == counts[1]
