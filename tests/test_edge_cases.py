"""Edge cases, in which a small change of the method would change the result."""

import numpy as np
import pytest
import reference

import flowseg
from flowseg._flows import basins
from flowseg._flows.cleanup import keep_largest_components
from flowseg._images import resize_masks
from flowseg._labels.polygons import fill, trace
from flowseg._segmenters.codecs.boundary_codec import BoundaryCodec
from flowseg._segmenters.codecs.codec import Outputs
from flowseg._segmenters.learned_decoding.candidates import Candidates
from flowseg._segmenters.learned_decoding.find_objects import Decoding


def u_shape(length, width, gap=3):
    """Two arms and a bend: the end of one arm is far from the center in the other, and near it across the gap."""
    masks = np.zeros((2 * width + gap + 4, length + 4), dtype=int)
    masks[2:-2, 2:-2] = 1
    masks[2 + width : 2 + width + gap, 2 + width : -2] = 0
    return masks


# Coldest heat: below 1e-17 in all, 1e-22 and 1e-20 in the last two.
@pytest.mark.parametrize(("length", "width"), [(70, 2), (90, 3), (120, 4), (64, 5), (56, 6), (52, 6)])
def test_thin_shapes_with_little_heat_are_iterated(length, width):
    # The series is wrong by 1e-22 everywhere: where it is as cold its flows are those of rounding.
    for masks in (u_shape(length, width), u_shape(length, width).T):
        found, (expected, _, _) = flowseg.masks_to_flows(masks), reference.whole_flows(masks)
        assert reference.angles(found, expected).max() < 1e-5  # float32: 3e-6
        assert np.array_equal(found.any(axis=0), expected.any(axis=0))


def test_flow_error_of_a_label_in_two_unequal_components_is_a_mean_over_pixels():
    masks = np.zeros((14, 40), dtype=int)
    masks[2:5, 2:5] = 7  # 9 pixels
    masks[1:13, 20:35] = 7  # 180 pixels
    masks[8:12, 4:9] = 3
    flows = flowseg.masks_to_flows(masks)
    given = flows.copy()
    given[:, 2:5, 2:5] *= -1  # all wrong in the small one, but for its center
    difference = np.sum((given.astype(float) - flows) ** 2, axis=0)
    expected = [difference[masks == 3].mean(), difference[masks == 7].mean()]
    assert expected[1] == pytest.approx(4 * 8 / 189, abs=0.01)
    assert flowseg.flow_errors(masks, given) == pytest.approx(expected, abs=1e-6)


def test_end_points_lie_on_the_nearest_pixel():
    ends = np.array([[0.0, 0.0, 0.0, 0.0], [1.4, 1.6, 0.2, 4.0], [2.6, 2.4, 0.9, 6.7]], dtype=np.float32)
    nearest = basins._nearest_pixels(ends, (1, 5, 7))
    assert nearest.tolist() == [[0, 0, 0, 0], [1, 2, 0, 4], [3, 2, 1, 6]]


def test_endpoints_on_both_sides_of_a_pixel_center_are_one_basin():
    # In a row of six two points end a little before the center of pixel 3, two a little behind it.
    flows = np.zeros((2, 1, 6))
    flows[1, 0] = [0, 0.9, 0.95, 0, -0.9, 0]
    inside = np.array([[0, 0, 1, 1, 1, 0]], dtype=bool)
    field = flows.astype(np.float32).reshape(2, 1, 1, 6)
    state = np.where(inside, -1, 0).astype(np.int32).reshape(1, 1, 6)
    assert basins.find_basins(field, state, 1, 1) == 1
    assert state.ravel().tolist() == [0, 0, 1, 1, 1, 0]


def test_a_stray_component_is_merged_into_the_object_of_most_faces():
    masks = np.zeros((12, 20), dtype=np.int32)
    masks[1:6, 1:19] = 1
    masks[6:11, 1:9] = 2
    masks[6, 9:12] = 4  # the stray one: three faces with 1, one with 2
    masks[9:12, 10:12] = 4
    found = keep_largest_components(np.zeros((2, 1, 12, 20), np.float32), masks[np.newaxis].copy()).image[0]
    assert np.all(found[6, 9:12] == found[1, 1])
    for axis in (0, 1):  # whichever of the two is first in raster order
        flipped = np.flip(masks, axis)
        found = np.flip(
            keep_largest_components(np.zeros((2, 1, 12, 20), np.float32), flipped[np.newaxis].copy()).image[0], axis
        )
        assert np.all(found[6, 9:12] == found[1, 1])


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_resized_labels_keep_their_place(factor):
    masks = np.random.default_rng(0).integers(0, 5, (9, 11))
    shape = (9 * factor, 11 * factor)
    large = resize_masks(masks, shape)
    assert np.array_equal(large, np.kron(masks, np.ones((factor, factor), int)))
    if factor % 2:  # the center of a new pixel is that of an old one
        assert np.array_equal(resize_masks(large, (9, 11)), masks)
    for new in ((5, 7), (13, 4), (1, 1)):
        found = resize_masks(masks, new)
        rows, columns = ((np.arange(n) + 0.5) * old / n for n, old in zip(new, (9, 11)))
        assert np.array_equal(found, masks[np.ix_(np.floor(rows).astype(int), np.floor(columns).astype(int))])


class TestObjectsOfExactlyMinSize:
    masks = np.zeros((20, 30), dtype=np.int32)
    masks[2:5, 2:6] = 1  # 12 pixels
    masks[10:17, 3:9] = 2

    def flows(self):
        return flowseg.masks_to_flows(self.masks), np.where(self.masks > 0, 5.0, -5.0)

    def test_of_flows(self):
        for size, n in ((11, 2), (12, 2), (13, 1)):
            assert flowseg.flows_to_masks(*self.flows(), min_size=size).max() == n

    def test_of_three_classes(self):
        outputs = np.zeros((20, 30, 3), dtype=np.float32)
        outputs[..., 0] = 1
        outputs[3, 3:5, 1] = 2  # grown back by one pixel: 2 + 6
        outputs[11:16, 4:8, 1] = 2
        for size, n in ((7, 2), (8, 2), (9, 1)):
            assert BoundaryCodec(min_size=size).decode(Outputs(outputs, 1.0), Decoding()).max() == n

    def test_of_mended_and_checked_masks(self):
        for size, n in ((12, 2), (13, 1)):
            assert flowseg.mend_masks(self.masks, min_size=size).masks.max() == n
            small = [f for f in flowseg.check_masks(self.masks, min_size=size).findings if f.kind == "small"]
            assert len(small) == 2 - n

    def test_of_candidates(self):
        table = {"flow_error": np.zeros(2), "touches_border": np.zeros(2, bool), "area": np.array([12, 42])}
        candidates = Candidates([table], [np.ones(2)])
        assert [candidates.kept_iou(1.0, size)[0].size for size in (11, 12, 13)] == [2, 2, 1]


def island():
    """A ring, in its hole an island that has a hole, and in this a spot."""
    rows, columns = np.indices((25, 27))
    distance = np.maximum(np.abs(rows - 12), np.abs(columns - 13))
    return np.isin(distance, (1, 4, 5, 9, 10)) | (distance == 0), distance


def test_an_island_in_a_hole_has_its_own_hole_filled():
    inside, distance = island()
    masks = np.where(inside, np.select([distance <= 1, distance <= 5], [1, 9], 4), 0)
    expected = np.select([distance <= 1, distance <= 5, distance <= 10], [1, 9, 4], 0)
    assert np.array_equal(flowseg.fill_holes(masks), expected)
    assert np.array_equal(flowseg.fill_holes(np.where(inside, 4, 0)), np.where(distance <= 10, 4, 0))


def test_an_island_in_a_hole_keeps_its_own_hole_in_outlines():
    inside, distance = island()
    polygons = trace(inside)
    assert sorted(len(polygon) for polygon in polygons) == [
        1,
        2,
        2,
    ]  # the spot; the island and the ring with a hole each
    components = [(distance <= 1) & inside, (distance <= 5) & (distance >= 4), (distance <= 10) & (distance >= 9)]
    filled = [fill(polygon, inside.shape) for polygon in polygons]
    for component in components:
        assert sum(np.array_equal(component, f) for f in filled) == 1
