import numpy as np
import pytest

import flowseg
from flowseg import synthetic
from flowseg._flows import basins
from flowseg._flows.basins import (
    MIN_AFFINITY,
    TIE_FRACTION,
    _best_pairs,
    _nearest_pixels,
    _sum_by_pair,
    find_basins,
    join_basins,
    list_faces,
    number_endpoints,
)
from flowseg._flows.following import find_endpoints


def start(flows, cellprob):
    volume = (1,) * (3 - cellprob.ndim) + cellprob.shape
    state = np.where(cellprob > 0, -1, 0).astype(np.int32).reshape(volume)
    return np.ascontiguousarray(flows, np.float32).reshape(-1, *volume), state


def slow_basins(flows, state):
    """Follow every pixel until it settles."""
    pixels = np.flatnonzero(state)
    ends, _ = find_endpoints(flows, state, pixels, None, 1)
    state.ravel()[pixels] = number_endpoints(ends, state)
    return int(state.max())


def agreement(a, b):
    """Return the share of pixels in the objects of `a` that are also in their best partners in `b`."""
    n = int(b.max()) + 1
    overlap = np.bincount(a.ravel().astype(np.int64) * n + b.ravel(), minlength=n * (int(a.max()) + 1)).reshape(-1, n)
    return overlap[1:, 1:].max(axis=1).sum() / np.count_nonzero(a)


def fast_and_slow(flows, cellprob):
    results = []
    for find in (lambda f, s: find_basins(f, s, None, 1), slow_basins):
        field, state = start(flows, cellprob)
        n = find(field, state)
        assert np.array_equal(state != 0, cellprob.reshape(state.shape) > 0)
        assert state.min() >= 0
        assert state.max() <= n
        results.append(join_basins(field, state, n)[state])
    return results


def noisy(masks, sd, seed=0):
    from scipy import ndimage

    noise = np.random.default_rng(seed).standard_normal((masks.ndim, *masks.shape))
    noise = ndimage.gaussian_filter(noise, (0, *(1,) * masks.ndim))
    return flowseg.masks_to_flows(masks) + noise * (sd / noise.std())


@pytest.mark.parametrize("sd", [0.0, 0.3])
def test_basins_are_those_of_following_every_pixel(sd, voronoi):
    for masks in (synthetic.cells((200, 200), 40, rng=1)[1], voronoi((120, 130), 25), voronoi((20, 24, 26), 6)):
        fast, slow = fast_and_slow(noisy(masks, sd), np.where(masks > 0, 5.0, -5.0))
        assert agreement(fast, slow) > 0.995
        assert agreement(slow, fast) > 0.995


@pytest.mark.parametrize("sd", [0.0, 0.3])
def test_few_pixels_are_followed_until_they_settle(sd, voronoi, monkeypatch):
    """The others reach pixels of one basin."""
    n_followed = []

    def counted(flows, state, pixels, *args, **options):
        n_followed.append(pixels.size)
        return find_endpoints(flows, state, pixels, *args, **options)

    monkeypatch.setattr(basins, "find_endpoints", counted)
    for masks in (synthetic.cells((200, 200), 40, rng=1)[1], voronoi((20, 24, 26), 6)):
        n_followed.clear()
        find_basins(*start(noisy(masks, sd), np.where(masks > 0, 5.0, -5.0)), None, 1)
        assert len(n_followed) == 3  # sinks, the pixels around their endpoints, and the rest after the flood
        n = np.count_nonzero(masks)
        assert 0 < n_followed[0] < 0.05 * n
        assert 0 < n_followed[1] < 0.05 * n
        assert n_followed[2] < 0.005 * n


def test_parts_of_the_flood_run_one_after_the_other(monkeypatch):
    """They write to the same arrays."""
    numbers, seeds = [], []
    run = basins.run_parts

    def one_by_one(work, parts, workers, seconds):
        numbers.append(workers)
        seeds.extend(np.concatenate(parts).tolist())
        assert max(part.size for part in parts) <= 50
        run(work, parts, workers, seconds=seconds)

    _, masks = synthetic.cells((200, 200), 40, rng=1)
    flows, state = start(noisy(masks, 0.0), np.where(masks > 0, 5.0, -5.0))
    expected = state.copy()
    find_basins(flows, expected, None, 1)
    monkeypatch.setattr(basins, "run_parts", one_by_one)
    monkeypatch.setattr(basins, "SEEDS_PER_CALL", 50)
    find_basins(flows, state, None, 4)
    assert numbers == [1]
    assert len(seeds) == len(set(seeds)) > 300
    assert agreement(state, expected) > 0.999


def test_basins_of_real_labels_are_those_of_following_every_pixel(shared):
    import tifffile

    files = sorted((shared / "data" / "dsb2018" / "val" / "labels").glob("*.tif"))[::5]
    for file in files:
        masks = tifffile.imread(file)
        fast, slow = fast_and_slow(flowseg.masks_to_flows(masks), np.where(masks > 0, 5.0, -5.0))
        assert agreement(fast, slow) > 0.999
        assert agreement(slow, fast) > 0.999


def split_in_three(shape=(30, 60)):
    """Three basins side by side, 1 | 2 | 3: flows pass through the first border and part at the second."""
    state = np.zeros((1, *shape), np.int32)
    state[0, 5:25, 5:20], state[0, 5:25, 20:35], state[0, 5:25, 35:55] = 1, 2, 3
    flows = np.zeros((2, 1, *shape), np.float32)
    flows[1, 0, :, :35], flows[1, 0, :, 35:] = -1, 1
    return flows, state


def test_basins_are_joined_where_flows_do_not_part():
    flows, state = split_in_three()
    assert join_basins(flows, state, 3).tolist() == [0, 1, 1, 3]
    flows[1] = -flows[1]  # flows pass through the first border and meet at the second
    assert join_basins(flows, state, 3).tolist() == [0, 1, 1, 1]
    assert join_basins(flows, np.zeros_like(state), 0).tolist() == [0]


def join_from_scratch(flows, labels, n):
    """Do what `join_basins` does, with faces counted from scratch in every round."""
    faces = list_faces(flows, labels, n)
    joined = np.arange(n + 1)
    while True:
        squares, sizes = (np.bincount(joined, a, n + 1) for a in (faces.squares, faces.sizes))
        sums = {}
        for pair, agreement, convergence in zip(joined[faces.pairs].T, faces.agreement, faces.convergence, strict=True):
            if pair[0] != pair[1]:
                sums.setdefault(tuple(sorted(pair.tolist())), []).append((agreement, convergence))
        affinity = {}
        for pair, rows in sums.items():
            lesser = max(min(squares[k] / sizes[k] for k in pair), np.finfo(float).tiny)
            affinity[pair] = max(np.mean(rows, axis=0) / (lesser, 1.0))
        above = {pair: value for pair, value in affinity.items() if value > MIN_AFFINITY}
        if not above:
            return joined
        best = {}
        for pair, value in above.items():
            for k in pair:
                best[k] = max(best.get(k, 0.0), value)
        top = max(above.values())
        for (a, b), value in above.items():
            if value == max(best[a], best[b]) or value >= TIE_FRACTION * top:
                first, second = sorted((joined[a], joined[b]))  # earlier joins of this round have moved them
                joined[joined == second] = first


@pytest.mark.parametrize("sd", [0.6, 2.0])
def test_joining_agrees_with_a_count_from_scratch_in_every_round(sd):
    _, masks = synthetic.cells((120, 120), 30, rng=5)
    flows, state = start(noisy(masks, sd, seed=2), np.where(masks > 0, 5.0, -5.0))
    n = slow_basins(flows, state)
    expected = join_from_scratch(flows, state, n)
    assert np.unique(expected).size < 0.9 * n  # there was something to join
    assert join_basins(flows, state, n).tolist() == expected.tolist()


def test_half_of_the_mean_squared_flow_is_not_enough():
    state = np.array([[[1, 2], [1, 2]]], np.int32)
    flows = np.zeros((2, 1, 2, 2), np.float32)
    flows[:, 0, :, 0], flows[:, 0, :, 1] = [[0.5], [-2.0]], [[1.0], [0.0]]  # 0.5 of a mean square of 1
    assert join_basins(flows, state, 2).tolist() == [0, 1, 2]
    flows[0, 0, :, 0] = 0.501
    assert join_basins(flows, state, 2).tolist() == [0, 1, 1]


def test_the_best_pairs_are_those_of_both_their_labels_and_those_near_the_top():
    pairs = np.array([[0, 2, 3, 5, 7], [1, 3, 4, 6, 8]], np.int32)
    affinity = np.array([0.8, 0.6, 0.7, 0.9991 * 0.8, 0.55])
    assert _best_pairs(pairs, affinity).tolist() == [True, False, True, True, True]
    pairs = np.array([[0, 1, 2, 3], [1, 2, 3, 4]], np.int32)
    assert _best_pairs(pairs, np.array([1.0, TIE_FRACTION, 0.998, 0.9])).tolist() == [True, True, False, False]
    assert _best_pairs(pairs, np.array([1.0, 0.9991, 0.9989, 0.9])).tolist() == [True, True, False, False]


def test_sums_by_pair_have_the_smaller_label_first():
    pairs = np.array([[1, 5, 4, 3, 2**31 - 1], [5, 1, 4, 2, 3]], np.int32)
    distinct, sums = _sum_by_pair(pairs, np.array([[1.0, 2, 4, 8, 16], [0.5, 0.25, 9, 9, 7]]))
    assert distinct.T.tolist() == [[1, 5], [2, 3], [3, 2**31 - 1]]
    assert distinct.dtype == np.int32
    assert sums.tolist() == [[3, 8, 16], [0.75, 9, 7]]


def test_the_nearest_pixel_is_inside_the_image_also_where_float32_rounds_up():
    ends = np.array([[0.4], [2.6], [2.0**24 + 2]], np.float32)
    assert _nearest_pixels(ends, (1, 3, 2**24 + 2)).ravel().tolist() == [0, 2, 2**24 + 1]
    assert _nearest_pixels(ends, (1, 4, 2**24 + 4)).ravel().tolist() == [0, 3, 2**24 + 2]


@pytest.mark.parametrize("n_iter", [None, 0, 5])
def test_an_image_without_foreground_has_no_basin(n_iter):
    flows, state = start(np.ones((2, 5, 6)), np.zeros((5, 6)))
    assert find_basins(flows, state, n_iter, 1) == 0
    assert not state.any()


def test_joining_can_be_interrupted_in_every_round(monkeypatch):
    asked = []
    monkeypatch.setattr(basins, "check_canceled", lambda: asked.append(1))
    flows, state = split_in_three()
    join_basins(flows, state, 3)
    assert len(asked) == 1
    flows[1] = -flows[1]
    join_basins(flows, state, 3)
    assert len(asked) > 1


def test_the_length_of_flows_has_no_effect_on_joining():
    # Networks are unsure at borders and predict short flows there, which part as well.
    flows, state = split_in_three()
    assert join_basins(0.05 * flows, state, 3).tolist() == [0, 1, 1, 3]


def test_noise_does_not_break_objects():
    from flowseg import metrics

    true, found = [], []
    for seed in range(4):
        _, masks = synthetic.cells((256, 256), 40, rng=seed)
        flows = noisy(masks, 0.6, seed)
        true.append(masks)
        found.append(flowseg.flows_to_masks(flows, np.where(masks > 0, 5.0, -5.0), flow_threshold=None))
    assert metrics.average_precision(true, found, thresholds=[0.5])[0] > 0.8


def test_noise_on_real_labels(shared):
    import tifffile

    from flowseg import metrics

    files = sorted((shared / "data" / "dsb2018" / "val" / "labels").glob("*.tif"))
    true = [tifffile.imread(file) for file in files]

    def precision(sd, flow_threshold):
        found = [
            flowseg.flows_to_masks(
                noisy(masks, sd, seed), np.where(masks > 0, 5.0, -5.0), flow_threshold=flow_threshold
            )
            for seed, masks in enumerate(true)
        ]
        return metrics.average_precision(true, found, thresholds=[0.5, 0.9])

    assert np.all(precision(0.3, 0.4) >= (0.993, 0.984))
    assert np.all(precision(0.3, None) >= (0.984, 0.968))
    assert precision(0.6, None)[0] >= 0.80


def test_basins_of_noise_are_joined_only_if_pixels_are_followed_until_they_settle():
    masks = np.zeros((50, 60), int)
    masks[5:45, 5:55] = 1
    noise = np.random.default_rng(0).normal(0, 1.0, (2, *masks.shape))
    flows = (flowseg.masks_to_flows(masks) + noise).astype(np.float32)
    cellprob = np.where(masks > 0, 5.0, -5.0).astype(np.float32)
    keep = {"flow_threshold": None, "min_size": 0}
    to_the_end = flowseg.flows_to_masks(flows, cellprob, **keep).max()
    assert to_the_end < flowseg.flows_to_masks(flows, cellprob, n_iter=3000, **keep).max()
    none, few = (flowseg.flows_to_masks(flows, cellprob, n_iter=n, **keep).max() for n in (0, 400))
    assert none > few > 1
