"""Outputs of three orientations combined, and planes stitched: without a network."""

from itertools import permutations, product

import numpy as np
import pytest
import tifffile

import flowseg
from flowseg import metrics
from flowseg._nets.lattice import Lattice
from flowseg._nets.tiles import empty_outputs
from flowseg._segmenters.codecs.codec import Outputs
from flowseg._segmenters.pipeline import Pipeline, pipeline_of
from flowseg._segmenters.volumes.combine import add_view, combine_orientations, finish_sums
from flowseg._segmenters.volumes.stitch import stitch_planes
from flowseg._segmenters.volumes.volume import find_pixel, prepare_volume

SHAPE = (4, 5, 6)


def combine(outputs, has_vectors=True):
    """Combine what a network says of planes: a function of the axis across it and its place there."""
    views = [(outputs(axis, index), axis, index) for axis in range(3) for index in range(SHAPE[axis])]
    sums = empty_outputs((*SHAPE, views[0][0].shape[-1] + has_vectors))
    sums[:] = 0
    for view in views:
        add_view(sums, *view, has_vectors=has_vectors)
    finish_sums(sums, has_vectors=has_vectors)
    return sums


def other_axes(axis):
    return [other for other in range(3) if other != axis]


def project(flows, cellprob, axis, index):
    """What a perfect network says of a plane: unit vectors within it, and logits."""
    seen = np.take(flows[other_axes(axis)], index, axis + 1)
    lengths = np.linalg.norm(seen, axis=0)
    unit = np.divide(seen, lengths, out=np.zeros_like(seen), where=lengths > 1e-6)
    return np.stack([*unit, np.take(cellprob, index, axis)], axis=-1).astype(np.float32)


@pytest.fixture
def field():
    """Random unit vectors, and logits of which sums are exact."""
    rng = np.random.default_rng(0)
    flows = rng.normal(size=(3, *SHAPE))
    return flows / np.linalg.norm(flows, axis=0), rng.integers(-40, 40, SHAPE) / 8


def test_views_that_agree_give_unit_vectors_in_about_their_direction(field):
    sums = combine(lambda axis, index: project(*field, axis, index))
    lengths = np.linalg.norm(sums[..., :3], axis=-1)
    assert np.allclose(lengths, 1, atol=1e-6)
    cosines = (np.moveaxis(sums[..., :3], -1, 0) * field[0]).sum(axis=0)
    assert cosines.min() > 0.85
    assert np.allclose(sums[..., 3], field[1])


def test_a_canceled_direction_is_not_confident():
    """Along the first axis two views disagree, along the others they are unsure."""

    def outputs(axis, index):
        rows, columns = [n for other, n in enumerate(SHAPE) if other != axis]
        view = np.zeros((rows, columns, 3), dtype=np.float32)
        view[..., 0] = {0: 0.3, 1: 1.0, 2: -1.0}[axis]
        return view

    flows = combine(outputs)[..., :3]
    assert np.allclose(flows[..., 0], 0)
    assert np.allclose(flows[..., 1], 0.15**2)  # the mean of 0.3 and 0, times its length
    assert np.allclose(flows[..., 2], 0)


@pytest.mark.parametrize("length", [0.1, 0.5, 0.8])
def test_short_vectors_become_shorter(length):
    view = {axis: np.zeros((*[SHAPE[a] for a in other_axes(axis)], 3), np.float32) for axis in range(3)}
    view[1][..., 1] = view[0][..., 1] = length  # both see the last axis
    flows = combine(lambda axis, _: view[axis])[..., :3]
    assert np.allclose(flows, [0, 0, length**2])


def test_outputs_without_vectors_are_means():
    views = {axis: np.full((*[SHAPE[a] for a in other_axes(axis)], 3), axis, np.float32) for axis in range(3)}
    assert np.array_equal(combine(lambda axis, _: views[axis], has_vectors=False), np.ones((*SHAPE, 3)))


class Network:
    """A perfect network that knows where a plane lies: intensities are numbers of voxels."""

    def __init__(self, field, codec):
        self.flows, self.cellprob = field
        self.codec = codec

    def run_at(self, pipeline, image, size, _="diameters"):
        numbers = image.array[..., 0].astype(int)
        place = np.stack(np.unravel_index(numbers, SHAPE))
        outputs = [np.zeros(numbers.shape), np.zeros(numbers.shape)]
        for axis in range(2):
            step = np.take(place, 1, axis + 1).reshape(3, -1)[:, 0] - np.take(place, 0, axis + 1).reshape(3, -1)[:, 0]
            outputs[axis] = (step.reshape(3, 1, 1) * self.flows[(slice(None), *place)]).sum(axis=0)
        lengths = np.sqrt(np.sort(np.square(outputs), axis=0).sum(axis=0))  # the same in any order
        array = np.stack([outputs[0] / lengths, outputs[1] / lengths, self.cellprob[tuple(place)]], axis=-1)
        return Outputs(array.astype(np.float32), pipeline.scale_factor(size), None, image.pixel)


def test_flipped_and_swapped_volumes_give_flipped_and_swapped_outputs(field, monkeypatch):
    pipeline = pipeline_of(flowseg.FlowSegmenter.from_pretrained("nuclei"))
    network = Network(field, pipeline.settings.codec)
    monkeypatch.setattr(Pipeline, "run_at", lambda self, *arguments: network.run_at(self, *arguments))
    volume = np.arange(np.prod(SHAPE), dtype=float).reshape(SHAPE)

    def outputs(array):
        return combine_orientations(pipeline, prepare_volume(pipeline, array, None), 24.0)

    expected = outputs(volume)
    for order, flips in product(permutations(range(3)), product((1, -1), repeat=3)):
        turn = tuple(slice(None, None, flip) for flip in flips)
        found = outputs(volume.transpose(order)[turn])
        turned = expected.transpose(*order, 3)[turn]
        components = turned[..., :3][..., list(order)] * np.array(flips)
        assert np.array_equal(found[..., 3], turned[..., 3])
        assert np.allclose(found[..., :3], components, atol=1e-6)


def flows_of_planes(masks, spacing=None):
    """Flows of the masks of every plane, combined."""
    sums = empty_outputs((*masks.shape, 4))
    sums[:] = 0
    for axis, index in [(k, i) for k in range(3) for i in range(masks.shape[k])]:
        plane = np.take(masks, index, axis)
        lengths = None if spacing is None else np.delete(spacing, axis)
        flows = flowseg.masks_to_flows(plane, spacing=lengths)
        view = np.stack([*flows, np.where(plane > 0, 5, -5)], axis=-1)
        add_view(sums, view.astype(np.float32), axis, index, has_vectors=True)
    finish_sums(sums, has_vectors=True)
    return np.moveaxis(sums[..., :3], -1, 0), sums[..., 3]


def test_exact_flows_of_planes_give_touching_cells(voronoi):
    masks = voronoi((24, 30, 36), 12)
    flows, cellprob = flows_of_planes(masks)
    found = flowseg.flows_to_masks(flows, cellprob)
    assert metrics.match(masks, found, threshold=0.9).average_precision == 1


@pytest.mark.parametrize(
    ("path", "spacing"),
    [
        ("ovule_nuclei3d/train/labels/ovule_1135.tif", (0.2837, 0.1268, 0.1268)),
        ("embryo3d_qcanet/train/labels/8_cell_stage.tif", None),
        ("stardist_examples/labels/synthetic3d.tif", None),
    ],
)
def test_exact_flows_of_planes_of_real_masks(shared, path, spacing):
    masks = tifffile.imread(shared / "data" / path).astype(np.int32)
    flows, cellprob = flows_of_planes(masks, spacing)
    found = flowseg.flows_to_masks(flows, cellprob, min_size=0)
    assert metrics.match(masks, found, threshold=0.9).average_precision == 1
    assert np.quantile(flowseg.flow_errors(masks, flows), 0.9) < 0.2


def stitch(*planes, min_size=0):
    planes = np.array(planes, dtype=np.int32)
    return stitch_planes(planes[:, np.newaxis], (len(planes), 1, planes.shape[1]), min_size)[:, 0]


def test_sections_that_overlap_are_one_object():
    found = stitch([0, 1, 1, 1, 0, 2], [1, 1, 1, 0, 0, 0], [0, 2, 2, 0, 1, 0])
    assert np.array_equal(found, [[0, 1, 1, 1, 0, 2], [1, 1, 1, 0, 0, 0], [0, 1, 1, 0, 3, 0]])


def test_sections_below_a_tenth_of_overlap_are_different_objects():
    wide = [1] * 10 + [0] * 9
    assert stitch(wide, [0] * 9 + [1] * 10).max() == 2
    assert stitch(wide, [1] + [0] * 18).max() == 1


def test_partners_are_one_to_one_and_as_many_as_possible():
    found = stitch([1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 2, 2])  # the larger part goes on
    assert np.array_equal(found[1], [1, 1, 1, 1, 2, 2])
    found = stitch([1, 1, 1, 2, 2, 0], [1, 1, 0, 2, 2, 2])
    assert np.array_equal(found[1], [1, 1, 0, 2, 2, 2])
    # The second section overlaps the first most, but then the third would have no partner.
    found = stitch([1, 1, 1, 1, 2, 2, 2, 2], [1, 1, 2, 2, 2, 0, 0, 0])
    assert np.array_equal(found[1], [1, 1, 2, 2, 2, 0, 0, 0])


def test_a_plane_in_which_an_object_was_missed_is_filled():
    found = stitch([0, 1, 1, 1, 0], [0, 0, 0, 0, 0], [0, 0, 1, 1, 0])
    assert np.array_equal(found, [[0, 1, 1, 1, 0], [0, 0, 1, 1, 0], [0, 0, 1, 1, 0]])
    assert stitch([0, 1, 1, 1, 0], [0, 0, 0, 0, 0], [0, 0, 0, 1, 1]).max() == 2  # IoU of a quarter
    assert stitch([0, 1, 1], [0, 0, 0], [0, 0, 0], [0, 1, 1]).max() == 2  # two planes


def test_pixels_of_others_are_no_bridge():
    found = stitch([1, 1, 1, 0, 0], [0, 0, 1, 1, 1], [1, 1, 0, 0, 0])
    assert np.array_equal(found, [[1, 1, 1, 0, 0], [0, 0, 1, 1, 1], [2, 2, 0, 0, 0]])  # the first one goes on
    found = stitch([1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 0, 0])
    assert np.array_equal(found, [[1, 1, 0, 0], [1, 1, 2, 2], [1, 1, 0, 0]])
    found = stitch([1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1], [0] * 6)
    assert found.max() == 1


def test_small_objects_go_after_stitching_and_numbers_follow_first_voxels():
    planes = [[0, 0, 1, 0, 2], [1, 0, 0, 0, 2], [1, 0, 0, 0, 2]]
    assert np.array_equal(stitch(*planes), [[0, 0, 1, 0, 2], [3, 0, 0, 0, 2], [3, 0, 0, 0, 2]])
    assert np.array_equal(stitch(*planes, min_size=2), [[0, 0, 0, 0, 1], [2, 0, 0, 0, 1], [2, 0, 0, 0, 1]])
    assert not stitch(*planes, min_size=4).any()


def test_stitched_masks_of_real_volumes(shared):
    masks = tifffile.imread(shared / "data/ovule_nuclei3d/train/labels/ovule_1135.tif").astype(np.int32)
    masks[40] = 0  # a plane that was missed
    found = stitch_planes(masks, masks.shape, 0)
    assert metrics.match(masks, found, threshold=0.9).recall > 0.98


def test_a_known_lattice_gives_voxels_their_size():
    pixel = find_pixel(Lattice((0.5, 0.5), (0, 0)), (3, 1, 1))
    assert pixel.relative_size == 2
    assert pixel.ratios == (3, 1, 1)
    assert find_pixel(Lattice(None, (0, 0)), (3, 1, 1)).relative_size == 1
    assert find_pixel(Lattice((0.5, 0.5), (0, 0)), None).ratios == (1, 1, 1)
