"""Borders and the joining of basins, against plain implementations and cut images."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

import flowseg
from flowseg import _diffusion, metrics, synthetic
from flowseg._flows import joining
from flowseg._flows.basins import find_basins
from flowseg._flows.joining import MIN_AFFINITY, Borders, join_basins, join_borders, sum_borders

UNITS = 2.0**24


def smooth_noise(masks, sd, seed=0):
    noise = np.random.default_rng(seed).standard_normal((masks.ndim, *masks.shape))
    noise = ndimage.gaussian_filter(noise, (0, *(1,) * masks.ndim))
    return flowseg.masks_to_flows(masks) + noise * (sd / noise.std())


def noisy_basins(sd, shape=(120, 120), seed=5):
    masks = synthetic.cells(shape, 30, rng=seed)[1]
    flows = smooth_noise(masks, sd, seed=2).astype(np.float32).reshape(2, 1, *shape)
    state = np.where(masks > 0, -1, 0).astype(np.int32).reshape(1, *shape)
    return flows, state, find_basins(flows, state, None, 1)


def slow_borders(flows, labels):
    """Return a dict of pairs to their sums, and the sums per label."""
    borders, totals = {}, np.zeros((labels.max() + 1, 2), np.int64)
    field = flows.astype(float)
    length = np.sqrt((field**2).sum(axis=0))
    counted = np.where(length > 0, np.clip(length, 1 / 256, 1), 0)
    units = np.floor(counted**2 * UNITS + 0.5).astype(np.int64)
    for at in np.argwhere(labels):
        totals[labels[tuple(at)]] += (units[tuple(at)], 1)
        for axis in range(3):
            there = at.copy()
            there[axis] += 1
            if there[axis] == labels.shape[axis] or labels[tuple(there)] in (0, labels[tuple(at)]):
                continue
            (f, g), (m, k) = (field[:, *at], field[:, *there]), (length[tuple(at)], length[tuple(there)])
            i = axis - 3 + len(flows)
            agree = (f * g).sum() / max(m * k, 1e-300) * counted[tuple(at)] * counted[tuple(there)]
            converge = (f[i] / m if m > 0 else 0.0) - (g[i] / k if k > 0 else 0.0)
            pair = tuple(sorted((int(labels[tuple(at)]), int(labels[tuple(there)]))))
            row = [1, int(np.floor(agree * UNITS + 0.5)), int(np.floor(converge * UNITS + 0.5))]
            borders[pair] = np.add(borders.get(pair, 0), row)
    return borders, totals


@pytest.mark.parametrize("shape", [(1, 9, 11), (1, 1, 20), (1, 20, 1), (4, 5, 6)])
@pytest.mark.parametrize("scale", [0.003, 0.3, 2.0])
def test_borders_are_those_of_a_plain_implementation(shape, scale):
    rng = np.random.default_rng(0)
    flows = rng.normal(0, scale, (2 + (shape[0] > 1), *shape)).astype(np.float32)
    flows[:, rng.random(shape) < 0.1] = 0
    labels = rng.integers(0, 6, shape).astype(np.int32)
    expected, totals = slow_borders(flows, labels)
    found = sum_borders(flows, labels, int(labels.max()))
    assert sorted(map(tuple, found.pairs.tolist())) == sorted(expected)
    assert np.all(np.abs(found.totals - totals) <= totals[:, 1:])  # the last bit may depend on the order of additions
    for pair, sums in zip(found.pairs.tolist(), found.sums, strict=True):
        assert sums[0] == expected[tuple(pair)][0]
        assert np.all(np.abs(sums - expected[tuple(pair)]) <= sums[0])


def test_small_tables_grow(monkeypatch):
    rng = np.random.default_rng(0)
    flows = rng.normal(0, 1.0, (2, 1, 40, 40)).astype(np.float32)
    labels = np.arange(1, 1601, dtype=np.int32).reshape(1, 40, 40)  # every face is a pair
    results = []
    for n_slots in (8, 64, 2048, 65536):
        monkeypatch.setattr(joining, "INITIAL_SLOTS", n_slots)
        found = sum_borders(flows, labels, 1600)
        order = np.lexsort(found.pairs.T)
        results.append([found.pairs[order].tolist(), found.sums[order].tolist(), found.totals.tolist()])
    assert len(results[0][0]) == 2 * 40 * 39
    assert all(result == results[0] for result in results)


def join_from_scratch(borders):
    """Do what `join_borders` does, with borders summed from scratch in every round."""
    joined = np.arange(len(borders.totals))
    while True:
        totals = np.zeros_like(borders.totals)
        np.add.at(totals, joined, borders.totals)
        sums = {}
        for pair, row in zip(joined[borders.pairs].tolist(), borders.sums, strict=True):
            if pair[0] != pair[1]:
                sums[tuple(sorted(pair))] = sums.get(tuple(sorted(pair)), 0) + row
        best, affinity = {}, {}
        for pair, (n_faces, agreement, convergence) in sums.items():
            lesser = max(min(totals[k, 0] / totals[k, 1] for k in pair), 1.0)
            affinity[pair] = max(agreement / lesser, convergence / UNITS) / n_faces
            if affinity[pair] > MIN_AFFINITY:
                for k in pair:
                    best[k] = max(best.get(k, 0.0), affinity[pair])
        if not best:
            return joined
        for (a, b), value in affinity.items():
            if value == best.get(a) == best.get(b):
                first, second = sorted((joined[a], joined[b]))  # earlier joins of this round have moved them
                joined[joined == second] = first


@pytest.mark.parametrize("sd", [0.0, 0.6, 2.0])
def test_joins_are_those_summed_from_scratch_in_every_round(sd):
    flows, labels, n = noisy_basins(sd)
    borders = sum_borders(flows, labels, n)
    expected = join_from_scratch(borders)
    assert np.unique(expected).size < 0.95 * n  # there was something to join
    assert join_borders(borders).tolist() == expected.tolist()
    assert join_basins(flows, labels, n).tolist() == expected.tolist()


@pytest.mark.parametrize("seed", range(3))
def test_joins_of_random_graphs_with_ties(seed):
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, 60, (150, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]].astype(np.int32)
    sums = rng.integers(-4, 5, (len(pairs), 3)) * 2**23
    sums[:, 0] = rng.integers(1, 4, len(pairs))
    totals = np.stack([rng.integers(0, 3, 60) * 2**23, rng.integers(1, 3, 60)], axis=1)
    borders = Borders(pairs, sums.astype(np.int64), totals.astype(np.int64))
    assert join_borders(borders).tolist() == join_from_scratch(borders).tolist()


def test_the_order_of_borders_and_of_labels_does_not_matter():
    flows, labels, n = noisy_basins(1.0)
    borders = sum_borders(flows, labels, n)
    expected = join_borders(borders)
    rng = np.random.default_rng(0)
    for _ in range(3):
        order = rng.permutation(len(borders.pairs))
        assert np.array_equal(
            join_borders(replace(borders, pairs=borders.pairs[order], sums=borders.sums[order])), expected
        )
        table = np.concatenate([[0], 1 + rng.permutation(n)]).astype(np.int32)
        joined = join_basins(flows, table[labels], n)[table]
        partition = set(zip(joined.tolist(), expected.tolist(), strict=True))
        assert len(partition) == np.unique(joined).size == np.unique(expected).size


def test_borders_given_in_parts_are_those_of_the_whole():
    flows, labels, n = noisy_basins(0.6)
    whole = sum_borders(flows, labels, n)
    pairs = np.concatenate([whole.pairs, whole.pairs[:, ::-1]])
    parts = replace(whole, pairs=pairs, sums=np.concatenate([whole.sums, 2 * whole.sums]))
    assert np.array_equal(join_borders(parts), join_borders(replace(whole, sums=3 * whole.sums)))


@pytest.mark.parametrize("sd", [0.0, 0.3, 0.6, 1.0])
def test_a_cut_changes_no_object_far_from_it(sd, voronoi):
    """Cells without background are one foreground component; the old rule changed objects anywhere in it."""
    masks = voronoi((300, 480), 180)
    flows = smooth_noise(masks, sd, seed=1).astype(np.float32)
    cellprob = np.full(masks.shape, 5.0, np.float32)
    whole = flowseg.flows_to_masks(flows, cellprob, flow_threshold=None)
    part = flowseg.flows_to_masks(flows[:, :, :300], cellprob[:, :300], flow_threshold=None)
    far = [k for k, box in enumerate(ndimage.find_objects(whole), 1) if box[1].stop <= 200]
    assert len(far) > 50
    for k in far:
        label = part[whole[:, :300] == k][0]
        assert label > 0
        assert np.array_equal(part == label, whole[:, :300] == k)


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
    # Networks are unsure at borders and predict short flows there, which part as well.
    assert join_basins(0.05 * flows, state, 3).tolist() == [0, 1, 1, 3]
    flows[1] = -flows[1]  # flows pass through the first border and meet at the second
    assert join_basins(flows, state, 3).tolist() == [0, 1, 1, 1]
    assert join_basins(flows, np.zeros_like(state), 0).tolist() == [0]


def test_half_of_the_mean_squared_flow_is_not_enough():
    state = np.array([[[1, 2], [1, 2]]], np.int32)
    flows = np.zeros((2, 1, 2, 2), np.float32)
    flows[0, 0, :, 0], flows[0, 0, :, 1] = 1.0, 0.5
    flows[1, 0, :, 1] = np.sqrt(0.75)
    assert join_basins(flows, state, 2).tolist() == [0, 1, 2]  # 0.5 of 1
    flows[:, 0, :, 1] = [[0.501], [np.sqrt(1 - 0.501**2)]]
    assert join_basins(flows, state, 2).tolist() == [0, 1, 1]


def test_flows_longer_than_one_count_as_one_long():
    flows, labels, n = noisy_basins(0.3)
    unit = flows / np.maximum(np.sqrt((flows.astype(float) ** 2).sum(axis=0)), 1e-9)
    expected, found = (sum_borders(f.astype(np.float32), labels, n) for f in (unit, 1e15 * unit))
    assert np.array_equal(found.pairs, expected.pairs)
    assert np.all(np.abs(found.sums - expected.sums) <= 8 * expected.sums[:, :1])
    assert np.all(np.abs(found.totals - expected.totals) <= 8 * expected.totals[:, 1:])


def test_an_interrupt_ends_the_joining():
    flows, labels, n = noisy_basins(0.6)
    borders = sum_borders(flows, labels, n)
    parent = np.empty(n + 1, np.int32)
    arguments = (borders.pairs, borders.sums, borders.totals.copy(), MIN_AFFINITY, parent)
    assert _diffusion.join_basins(*arguments, np.ones(1, np.int32)) == -2
    assert np.array_equal(parent, np.arange(n + 1))


@pytest.mark.skipif(not _diffusion.checks_memory(), reason="the kernels are not built with FLOWSEG_CHECKED_MEMORY=1")
def test_memory_that_runs_out_is_an_error():
    flows, labels, n = noisy_basins(0.6)
    borders = sum_borders(flows, labels, n)
    before = _diffusion.count_allocations()[1:]
    for number in range(1, 6):
        _diffusion.fail_allocation(number)
        with pytest.raises(MemoryError):
            join_borders(borders)
        _diffusion.fail_allocation(0)
        assert _diffusion.count_allocations()[1:] == before


def test_noise_does_not_break_objects():
    true, found = [], []
    for seed in range(4):
        masks = synthetic.cells((256, 256), 40, rng=seed)[1]
        true.append(masks)
        flows = smooth_noise(masks, 0.6, seed)
        found.append(flowseg.flows_to_masks(flows, np.where(masks > 0, 5.0, -5.0), flow_threshold=None))
    assert metrics.average_precision(true, found, thresholds=[0.5])[0] > 0.85


def test_noise_on_real_labels(shared):
    import tifffile

    files = sorted((shared / "data" / "dsb2018" / "val" / "labels").glob("*.tif"))
    true = [tifffile.imread(file) for file in files]

    def precision(sd, flow_threshold):
        found = [
            flowseg.flows_to_masks(
                smooth_noise(masks, sd, seed), np.where(masks > 0, 5.0, -5.0), flow_threshold=flow_threshold
            )
            for seed, masks in enumerate(true)
        ]
        return metrics.average_precision(true, found, thresholds=[0.5, 0.9])

    assert np.all(precision(0.3, 0.4) >= (0.993, 0.984))
    assert np.all(precision(0.3, None) >= (0.984, 0.968))
    assert precision(0.6, None)[0] >= 0.85
