import itertools

import numpy as np
import pytest
import real_data
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

import flowseg
from flowseg import metrics, synthetic
from flowseg._flows.cleanup import keep_largest_components
from flowseg._labels.components import find_components, touches_border


def round_trip(masks, **options):
    flows = flowseg.masks_to_flows(masks)
    options = {"min_size": 1, "flow_threshold": None} | options
    return flowseg.flows_to_masks(flows, np.where(masks > 0, 5.0, -5.0), **options)


def same_partition(a, b):
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    return all(len(np.unique(side)) == pairs.shape[1] for side in pairs) and np.array_equal(a > 0, b > 0)


@pytest.mark.parametrize("shape", [(40, 50), (12, 14, 16)])
@pytest.mark.parametrize("n_iter", [0, 1, 25])
def test_following_agrees_with_slow_reference(shape, n_iter):
    rng = np.random.default_rng(1)
    flows = rng.normal(size=(len(shape), *shape)).astype(np.float32)
    inside = rng.random(shape) < 0.5
    found = flowseg.follow_flows(flows, inside, n_iter=n_iter)
    assert found.dtype == np.float32
    # A random field is chaotic: rounding grows from step to step.
    assert np.abs(found - reference.follow(flows, inside, n_iter)).max() < (1e-5 if n_iter < 2 else 0.05)


def test_integer_coordinates_read_their_own_pixel():
    flows = np.zeros((2, 3, 9), np.float32)
    flows[1, 1, 2] = 3  # no step is longer than a pixel, so this one ends exactly on pixel 3
    flows[0, 1, 3] = 1
    ends = flowseg.follow_flows(flows, np.ones((3, 9), bool), n_iter=2)
    assert ends[:, 1 * 9 + 2].tolist() == [2, 3]


def test_points_stay_in_the_image():
    flows = np.full((2, 5, 6), 100, np.float32)
    ends = flowseg.follow_flows(flows, np.ones((5, 6), bool), n_iter=50)
    assert np.all(ends == [[4], [5]])
    settled = flowseg.follow_flows(flows, np.ones((5, 6), bool))
    assert np.abs(settled - [[4], [5]]).max() < 0.1


def test_flows_of_any_length_settle():
    # Outputs that nobody divided by the factor 5, or worse, must not make points wander for ever.
    rng = np.random.default_rng(0)
    for length in (5.0, 1e6, 1e38):
        flows = length * rng.uniform(-1, 1, (2, 256, 256))
        assert np.isfinite(flowseg.follow_flows(flows, np.ones((256, 256), bool))).all()


def test_flows_near_the_largest_float_take_unit_steps():
    flows = np.zeros((2, 3, 9), np.float32)
    for length in (2e19, 3.4028235e38):
        flows[1] = length
        assert flowseg.follow_flows(flows, np.ones((3, 9), bool), n_iter=3)[:, 9].tolist() == [1, 3]
    flows[:] = np.finfo(np.float32).max
    flows[:, :2, 0] = [[0.1487612, -0.85123879], [0, 6.722183704]]
    assert np.isfinite(flowseg.follow_flows(flows, np.ones((3, 9), bool), n_iter=3)).all()
    assert flowseg.flows_to_masks(flows, np.ones((3, 9)), min_size=1).max() >= 1


@pytest.mark.parametrize("factor", [1e-1, 1e-2, 1e-5, 1e-20, 1e-38])
def test_weak_flows_lose_no_pixel(factor):
    _, masks = synthetic.cells((128, 128), 10, rng=0)
    flows = factor * flowseg.masks_to_flows(masks).astype(np.float64)
    found = flowseg.flows_to_masks(flows, np.where(masks > 0, 5.0, -5.0), flow_threshold=None)
    assert same_partition(found, masks)


def test_as_many_basins_as_pixels():
    # Flows too weak to move anything, all alike or growing steadily: hours of work where pairs are joined one by one.
    for flows in (np.full((2, 400, 400), 0.03), 0.05 * flowseg.masks_to_flows(np.ones((400, 400), int))):
        assert flowseg.flows_to_masks(flows, np.ones((400, 400)), flow_threshold=None).max() == 1


def test_endpoints_are_in_the_order_of_nonzero():
    inside = np.zeros((4, 5), bool)
    inside[1, 3] = inside[3, 0] = True
    ends = flowseg.follow_flows(np.zeros((2, 4, 5)), inside)
    assert np.array_equal(ends, np.nonzero(inside))
    assert flowseg.follow_flows(np.zeros((2, 4, 5)), np.zeros((4, 5), bool)).shape == (2, 0)


def test_points_are_followed_until_they_settle_by_default():
    # 300 px: a fixed number of 200 steps would not reach the center.
    rows, columns = np.ogrid[:420, :420]
    masks = (np.hypot(rows - 210, columns - 210) < 200).astype(int)
    flows = flowseg.masks_to_flows(masks)
    ends = flowseg.follow_flows(flows, masks)
    assert np.abs(ends - 210).max() < 1.5
    assert np.abs(flowseg.follow_flows(flows, masks, n_iter=100) - 210).max() > 50


def test_points_settle_in_a_vortex():
    rows, columns = np.mgrid[-20:21, -20:21].astype(np.float32)
    radius = np.maximum(np.hypot(rows, columns), 1e-3)
    flows = np.stack([columns / radius, -rows / radius])
    ends = flowseg.follow_flows(flows, np.ones((41, 41), bool))
    assert np.all(np.isfinite(ends))


@pytest.mark.parametrize("n", [1, 20, 60])
def test_round_trip_of_touching_cells_is_exact(voronoi, n):
    masks = voronoi((128, 128), n)
    assert same_partition(masks, round_trip(masks))


def test_round_trip_in_3d(voronoi):
    masks = voronoi((24, 30, 30), 8)
    masks[masks == 3] = 0
    found = round_trip(masks)
    assert same_partition(masks, found)


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 9])
def test_round_trip_of_touching_squares_is_exact(side):
    masks = np.kron(np.arange(1, 65).reshape(8, 8), np.ones((side, side), int))
    assert same_partition(masks, round_trip(masks))


def test_round_trip_of_hard_cases():
    rows, columns = np.ogrid[:60, :60]
    distance = np.hypot(rows - 30, columns - 30)
    masks = np.where((distance < 28) & (distance > 22), 1, np.where(distance < 12, 2, 0))
    assert same_partition(masks, round_trip(masks))  # an object inside another's hole
    assert same_partition(np.ones((40, 40), int), round_trip(np.ones((40, 40), int)))  # fills the image
    tiny = np.zeros((9, 9), int)
    tiny[4, 3:6] = 1
    assert same_partition(tiny, round_trip(tiny))  # three pixels


def test_round_trip_on_every_real_label_image(shared):
    import tifffile

    counts = np.zeros(2, int)
    files = sorted((shared / "data").glob("**/labels/*.tif"))
    sets = {file.relative_to(shared / "data").parts[0] for file in files} - {"neurites_em3d"}  # they wind and fork
    sampled = [real_data.sample([file for file in files if name in file.parts]) for name in sorted(sets)]
    for file in itertools.chain(*sampled):
        masks = tifffile.imread(file)
        components = find_components(masks)
        true = components.image.reshape(masks.shape)
        iou = metrics.match(true, round_trip(masks), threshold=0.9).iou[components.sizes >= 10]
        counts += (np.sum(iou >= 0.9), iou.size)
    assert counts[1] > (25_000 if real_data.every_image else 2_500)
    assert counts[0] / counts[1] >= 0.999


def test_result_is_the_same_for_every_number_of_workers(voronoi):
    masks = voronoi((150, 150), 40)
    rng = np.random.default_rng(0)
    flows = flowseg.masks_to_flows(masks) + rng.normal(0, 0.4, (2, 150, 150))
    cellprob = rng.normal(2, 1, (150, 150))
    results = [flowseg.flows_to_masks(flows, cellprob, workers=n) for n in (1, 2, 7)]
    assert results[0].max() > 5
    assert all(np.array_equal(results[0], r) for r in results[1:])


def test_flipped_and_rotated_flows_give_flipped_and_rotated_masks():
    _, masks = synthetic.cells((140, 150), 30, rng=2)
    rng = np.random.default_rng(0)
    flows = flowseg.masks_to_flows(masks) + rng.normal(0, 0.1, (2, 140, 150)).astype(np.float32)
    cellprob = np.where(masks > 0, 5.0, -5.0)
    found = flowseg.flows_to_masks(flows, cellprob)
    assert found.max() > 15
    for axis in (0, 1):
        sign = np.where(np.arange(2) == axis, -1, 1).reshape(2, 1, 1)
        flipped = flowseg.flows_to_masks(np.flip(flows * sign, axis + 1), np.flip(cellprob, axis))
        assert same_partition(np.flip(flipped, axis), found)
    turned = np.rot90(np.stack([-flows[1], flows[0]]), axes=(1, 2))
    assert same_partition(np.rot90(flowseg.flows_to_masks(turned, np.rot90(cellprob)), -1), found)


def test_exactly_the_given_number_of_steps():
    rows, columns = np.ogrid[:160, :160]
    masks = (np.hypot(rows - 80, columns - 80) < 70).astype(int)
    flows, cellprob = flowseg.masks_to_flows(masks), np.where(masks > 0, 5.0, -5.0)
    for n_iter in (None, 200):
        assert flowseg.flows_to_masks(flows, cellprob, n_iter=n_iter).max() == 1
    # After 5 steps of 70 the pixels are on a thousand places; their flows agree all the same, so they are one object.
    assert flowseg.flows_to_masks(flows, cellprob, n_iter=5).max() == 1


def test_holes_are_filled_on_request():
    rows, columns = np.ogrid[:60, :60]
    distance = np.hypot(rows - 30, columns - 30)
    masks = np.where((distance < 28) & (distance > 22), 1, np.where(distance < 12, 2, 0))
    assert same_partition(flowseg.fill_holes(masks), round_trip(masks, fill_holes=True))
    with pytest.raises(TypeError, match="fill_holes must be True or False; got 'yes'"):
        round_trip(masks, fill_holes="yes")


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(20, 23), (1, 30), (7, 8, 9), (1, 1)]))
def test_noise_gives_valid_masks(seed, shape):
    rng = np.random.default_rng(seed)
    flows, cellprob = rng.normal(size=(len(shape), *shape)), rng.normal(size=shape)
    masks = flowseg.flows_to_masks(flows, cellprob, min_size=3, flow_threshold=None)
    assert masks.dtype == np.int32
    assert masks.shape == shape
    labels, first, sizes = np.unique(masks, return_index=True, return_counts=True)
    objects = labels > 0
    assert np.array_equal(labels[objects], np.arange(1, masks.max() + 1))
    assert np.all(np.diff(first[objects]) > 0)  # raster order
    assert np.all(sizes[objects] >= 3)
    assert not masks[cellprob <= 0].any()
    assert find_components(masks).n == masks.max()  # each is one component


def test_thresholds():
    _, masks = synthetic.cells((96, 96), 8, rng=5)
    flows = flowseg.masks_to_flows(masks)
    cellprob = np.where(masks > 0, 1.0, -1.0)
    assert flowseg.flows_to_masks(flows, cellprob).max() == 8
    assert flowseg.flows_to_masks(flows, cellprob, cellprob_threshold=1.0).max() == 0
    small = np.sort(np.bincount(masks.ravel())[1:])
    assert flowseg.flows_to_masks(flows, cellprob, min_size=small[3] + 1).max() == 4
    # One object whose flows are turned: found without the check, dropped with it.
    bent = np.where(masks == 2, flows[::-1] * [[[1.0]], [[-1.0]]], flows)
    every = flowseg.flows_to_masks(bent, cellprob, flow_threshold=None)
    errors = flowseg.flow_errors(every, bent)
    at_border = touches_border(find_components(every))
    assert errors[~at_border].max() > 0.4
    checked = flowseg.flows_to_masks(bent, cellprob, flow_threshold=0.4)
    kept = (errors <= 0.4) | at_border
    assert checked.max() == np.sum(kept)
    assert np.array_equal(checked > 0, np.isin(every, 1 + np.flatnonzero(kept)))


def test_objects_at_the_border_are_not_checked():
    # The flows that a network learns for a disk cut by the border: towards its center outside the image.
    rows, columns = np.mgrid[:40, :40].astype(float)
    for shift, n in ((0, 1), (12, 0)):
        # The same arc of flows, once at the border and once inside.
        center = -4.0 + shift
        inside = (np.hypot(rows - center, columns - 20) < 12) & (rows >= shift)
        away = np.stack([center - rows, 20 - columns])
        flows = np.where(inside, away / np.maximum(np.hypot(*away), 1e-9), 0)
        masks = flowseg.flows_to_masks(flows, np.where(inside, 5.0, -5.0), flow_threshold=0.1)
        assert masks.max() == n
    # A volume of one plane touches the border along its planes everywhere: this does not count.
    turned = np.stack([away[0] + away[1], away[1] - away[0]]) / 2**0.5
    flat = np.where(inside, turned / np.maximum(np.hypot(*away), 1e-9), 0)
    volume = np.concatenate([np.zeros((1, 40, 40)), flat])[:, None]
    assert flowseg.flows_to_masks(volume, np.where(inside, 5.0, -5.0)[None], flow_threshold=0.1).max() == 0


def test_stray_components_are_merged_into_the_object_that_they_touch_most():
    masks = np.zeros((10, 20), np.int32)
    masks[1:6, 1:9] = 1
    masks[1:6, 9:17] = 2
    masks[3, 12:14] = 1  # a stray component of 1 inside 2
    masks[8, 18] = 2  # a stray component of 2 on its own
    found = keep_largest_components(np.zeros((2, 1, 10, 20), np.float32), masks[np.newaxis].copy())
    expected = masks.copy()
    expected[3, 12:14], expected[8, 18] = 2, 0
    assert np.array_equal(found.image[0], expected)


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"flows": np.zeros((2, 4, 4), np.uint8)}, TypeError, "flows must be signed floats .* lost every negative"),
        (
            {"flows": np.zeros((3, 4, 4))},
            ValueError,
            r"flows must have shape \(2, rows, columns\) or .* got \(3, 4, 4\)",
        ),
        (
            {"flows": np.full((2, 4, 4), np.nan)},
            ValueError,
            "flows must be finite; got 32 NaN or infinite values of 32",
        ),
        ({"flows": np.full((2, 4, 4), 1e300)}, ValueError, "flows must be finite; got 32 NaN or infinite values of 32"),
        ({"flows": np.zeros((2, 0, 4))}, ValueError, "flows must have at least one pixel"),
        ({"flows": [[[1.0]], [[1.0, 2.0]]]}, ValueError, "flows must be an array; got rows of different lengths"),
        ({"cellprob": [[1.0], [1.0, 2.0]]}, ValueError, "cellprob must be an array; got rows of different lengths"),
        ({"flow_threshold": b"0.4"}, TypeError, "flow_threshold must be a number .* got b'0.4'"),
        (
            {"cellprob": np.zeros((4, 5))},
            ValueError,
            r"cellprob must have the shape of one component of flows, \(4, 4\)",
        ),
        ({"cellprob": np.zeros((4, 4), int)}, TypeError, "cellprob must be a float array of logits; got dtype int64"),
        ({"cellprob": np.full((4, 4), np.inf)}, ValueError, "cellprob must be finite"),
        ({"min_size": -1}, ValueError, "min_size must be an integer of at least 0; got -1"),
        (
            {"flow_threshold": -0.1},
            ValueError,
            r"flow_threshold must be a number of at least 0 or None \(no flow check\)",
        ),
        ({"flow_threshold": "0.4"}, TypeError, "flow_threshold must be a number .* got '0.4'"),
        ({"cellprob_threshold": None}, TypeError, "cellprob_threshold must be a number; got None"),
        ({"n_iter": -5}, ValueError, "n_iter must be an integer of at least 0 or None .* got -5"),
        ({"workers": "all"}, TypeError, "workers must be an integer .* got 'all'"),
    ],
)
def test_bad_arguments(change, error, sentence):
    arguments = {"flows": np.zeros((2, 4, 4)), "cellprob": np.zeros((4, 4))} | change
    with pytest.raises(error, match=sentence):
        flowseg.flows_to_masks(**arguments)


def test_bad_foreground():
    with pytest.raises(TypeError, match="foreground must be a boolean or integer array; got dtype float64"):
        flowseg.follow_flows(np.zeros((2, 4, 4)), np.zeros((4, 4)))
    with pytest.raises(ValueError, match="foreground must have the shape of"):
        flowseg.follow_flows(np.zeros((2, 4, 4)), np.zeros((4, 3), bool))


def test_the_flow_check_drops_objects_above_a_threshold_of_0_4_by_default():
    masks = np.zeros((40, 40), np.int32)
    rows, columns = np.ogrid[:40, :40]
    masks[(rows - 20) ** 2 + (columns - 20) ** 2 < 170] = 1
    flows, cellprob = flowseg.masks_to_flows(masks), np.where(masks > 0, 5.0, -5.0)
    n_objects = {}
    for error in (0.37, 0.43):
        cosine = 1 - error / 2  # turned by this angle all flows are so far from those of the masks
        turned = np.array([[cosine, -np.sqrt(1 - cosine**2)], [np.sqrt(1 - cosine**2), cosine]])
        field = np.einsum("ij,jrc->irc", turned, flows).astype(np.float32)
        n_objects[error] = int(flowseg.flows_to_masks(field, cellprob).max())
        (found,) = flowseg.flow_errors(masks, field)
        assert found == pytest.approx(error, abs=0.01)
        assert flowseg.flows_to_masks(field, cellprob, flow_threshold=found).max() == 1
        assert flowseg.flows_to_masks(field, cellprob, flow_threshold=np.nextafter(found, 0)).max() == 0
    assert n_objects == {0.37: 1, 0.43: 0}


def test_the_smallest_object_has_15_pixels_by_default():
    for n, kept in ((15, 1), (14, 0)):
        masks = np.zeros((9, 9), np.int32)
        masks[2:5, 2:7] = 1
        masks.ravel()[np.flatnonzero(masks)[n:]] = 0
        flows, cellprob = flowseg.masks_to_flows(masks), np.where(masks > 0, 5.0, -5.0)
        assert flowseg.flows_to_masks(flows, cellprob).max() == kept
        assert flowseg.flows_to_masks(flows, cellprob, min_size=n).max() == 1
        assert flowseg.flows_to_masks(flows, cellprob, min_size=n + 1).max() == 0
