"""Successors, basins and endpoints, against plain implementations."""

import itertools
import math

import numpy as np
import pytest
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

import flowseg
from flowseg import _diffusion, synthetic
from flowseg._flows import basins
from flowseg._flows.basins import _nearest_pixels, find_basins, find_successors, number_endpoints
from flowseg._flows.following import find_endpoints
from flowseg._flows.joining import join_basins

PATH_LENGTH, MAX_PATH_STEPS, MAX_SHIFT, ORIGIN = 2.5, 16, 4, 8
SHIFTS = 2 * MAX_SHIFT + 1


def start(flows, cellprob):
    volume = (1,) * (3 - cellprob.ndim) + cellprob.shape
    state = np.where(cellprob > 0, -1, 0).astype(np.int32).reshape(volume)
    return np.ascontiguousarray(flows, np.float32).reshape(-1, *volume), state


def smooth_noise(masks, sd, seed=0):
    noise = np.random.default_rng(seed).standard_normal((masks.ndim, *masks.shape))
    noise = ndimage.gaussian_filter(noise, (0, *(1,) * masks.ndim))
    return flowseg.masks_to_flows(masks) + noise * (sd / noise.std())


def decode(shifts):
    """Return shifts in pixels, shape (3, ...)."""
    return np.array([shifts // SHIFTS**2, shifts // SHIFTS % SHIFTS, shifts % SHIFTS], int) - MAX_SHIFT


def corners_of(x, at, shape):
    """Yield pixels around a position, relative to pixel `at`, and their weights; the first axis varies fastest."""
    low = [int(v) for v in x]
    for corner in itertools.product((0, 1), repeat=len(x)):
        bits = corner[::-1]
        weight = 1.0
        for v, first, bit in zip(x, low, bits, strict=True):
            weight *= v - first if bit else 1.0 - (v - first)
        pixel = tuple(a - ORIGIN + min(v + bit, s - 1 - a + ORIGIN) for a, v, bit, s in zip(at, low, bits, shape))
        yield pixel, weight


def slow_shift(flows, inside, at):
    """Follow one path step by step, and return how far the successor is along each axis."""
    x = [float(ORIGIN)] * inside.ndim
    for _ in range(MAX_PATH_STEPS):
        value = np.zeros(inside.ndim)
        for pixel, weight in corners_of(x, at, inside.shape):
            if inside[pixel]:
                value += weight * flows[(slice(None), *pixel)].astype(float)
        length = math.sqrt((value**2).sum())
        if length * length > 1.000001:
            value = value / length
        x = [min(max(v + d, ORIGIN - a), s - 1 - a + ORIGIN) for v, d, a, s in zip(x, value, at, inside.shape)]
        if sum((v - ORIGIN) ** 2 for v in x) >= PATH_LENGTH**2:
            break
    best, most = at, 0.0
    for pixel, weight in corners_of(x, at, inside.shape):
        if inside[pixel] and weight > most:
            best, most = pixel, weight
    return [b - a for b, a in zip(best, at)]


SHAPES = [(1, 1), (1, 9), (9, 1), (2, 3), (17, 19), (1, 1, 1), (1, 1, 7), (7, 1, 1), (1, 8, 1), (6, 7, 8)]


@pytest.mark.parametrize("shape", SHAPES)
def test_successors_are_those_of_a_plain_implementation(shape):
    rng = np.random.default_rng(0)
    for scale, share in itertools.product((0.3, 1.0, 4.0), (0.5, 0.9, 1.0)):
        flows = np.round(rng.normal(0, scale, (len(shape), *shape)) * 1024) / 1024  # sums do not depend on their order
        inside = rng.random(shape) < share
        field, state = start(flows, inside)
        shifts = decode(find_successors(field, state, 1))[3 - len(shape) :].reshape(-1, *shape)
        for at in np.argwhere(inside):
            at = tuple(at.tolist())
            assert shifts[(slice(None), *at)].tolist() == slow_shift(field.reshape(-1, *shape), inside, at), at


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (60, 50), (10, 12, 14)])
def test_basins_are_the_connected_parts_of_the_successor_graph(shape):
    rng = np.random.default_rng(1)
    flows = rng.normal(0, 1.0, (len(shape), *shape))
    field, state = start(flows, rng.random(shape) < 0.8)
    shifts = decode(find_successors(field, state, 1))
    nodes = np.array(np.nonzero(state))
    successors = np.ravel_multi_index(tuple(nodes + shifts[(slice(None), *nodes)]), state.shape)
    nodes = np.ravel_multi_index(tuple(nodes), state.shape)
    assert np.all(state.ravel()[successors] == -1)  # never background
    graph = coo_array((np.ones(nodes.size), (nodes, successors)), shape=(state.size,) * 2)
    expected = connected_components(graph, connection="weak")[1][nodes]
    n = find_basins(field, state, None, 1)
    found = state.ravel()[nodes]
    assert len(set(zip(found.tolist(), expected.tolist(), strict=True))) == n == np.unique(expected).size
    first = np.unique(found, return_index=True)[1]
    assert np.all(np.diff(first) > 0)  # numbered in raster order
    assert np.count_nonzero(state) == nodes.size


@pytest.mark.parametrize("shape", [(60, 70), (16, 18, 20)])
def test_successors_depend_on_the_flows_within_five_pixels(shape):
    rng = np.random.default_rng(2)
    field, state = start(rng.normal(0, 1.0, (len(shape), *shape)), rng.random(shape) < 0.9)
    whole = np.where(state, find_successors(field, state, 1), 0)
    box = tuple(slice(0, 1) if n == 1 else slice(2, n - 1) for n in state.shape)
    inner = tuple(slice(0, 1) if n == 1 else slice(7, -6) for n in state.shape)
    part = np.ascontiguousarray(state[box])
    found = find_successors(np.ascontiguousarray(field[(slice(None), *box)]), part, 1)
    assert np.array_equal(np.where(part, found, 0)[inner], whole[box][inner])


def slow_basins(flows, state):
    """Follow every pixel until it settles."""
    pixels = np.flatnonzero(state)
    ends = find_endpoints(flows, state, pixels, None, 1)
    state.ravel()[pixels] = number_endpoints(ends, state)
    return int(state.max())


def share_in_common(a, b):
    """Return the share of pixels in the objects of `a` that are also in their best partners in `b`."""
    n = int(b.max()) + 1
    overlap = np.bincount(a.ravel().astype(np.int64) * n + b.ravel(), minlength=n * (int(a.max()) + 1)).reshape(-1, n)
    return overlap[1:, 1:].max(axis=1).sum() / np.count_nonzero(a)


@pytest.mark.parametrize("sd", [0.0, 0.3])
def test_objects_are_those_of_following_every_pixel(sd, voronoi):
    for masks in (synthetic.cells((200, 200), 40, rng=1)[1], voronoi((120, 130), 25), voronoi((20, 24, 26), 6)):
        results = []
        for find in (lambda f, s: find_basins(f, s, None, 1), slow_basins):
            field, state = start(smooth_noise(masks, sd), masks)
            results.append(join_basins(field, state, find(field, state))[state])
        assert share_in_common(*results) > 0.99
        assert share_in_common(*results[::-1]) > 0.99


@pytest.mark.parametrize("n_iter", [None, 0, 5])
def test_the_number_of_workers_and_of_parts_does_not_matter(n_iter, monkeypatch):
    masks = synthetic.cells((200, 210), 40, rng=1)[1]
    field, state = start(smooth_noise(masks, 0.6), masks)
    expected = state.copy()
    n = find_basins(field, expected, n_iter, 1)
    for size, workers in ((37, 1), (1000, 3), (65536, 2)):
        monkeypatch.setattr(basins, "PIXELS_PER_CALL", size)
        found = state.copy()
        assert find_basins(field, found, n_iter, workers) == n
        assert np.array_equal(found, expected)


def test_an_interrupt_ends_the_kernel():
    field, state = start(np.ones((2, 9, 9)), np.ones((9, 9)))
    shifts = np.zeros(state.shape, np.uint16)
    assert _diffusion.find_successors(field, state, shifts, 0, state.size, np.ones(1, np.int32)) == -2
    assert not shifts.any()


def test_more_basins_than_numbers_are_an_error(monkeypatch):
    for limit, fits in ((8, False), (9, True)):
        monkeypatch.setattr(basins, "MAX_BASINS", limit)
        field, state = start(np.zeros((2, 3, 3)), np.ones((3, 3)))
        if fits:
            assert find_basins(field, state, None, 1) == 9
        else:
            with pytest.raises(ValueError, match=r"^flows must have at most 8 sinks; these have more\.$"):
                find_basins(field, state, None, 1)


def test_the_nearest_pixel_is_inside_the_image_also_where_float32_rounds_up():
    ends = np.array([[0.4], [2.6], [2.0**24 + 2]], np.float32)
    assert _nearest_pixels(ends, (1, 3, 2**24 + 2)).ravel().tolist() == [0, 2, 2**24 + 1]
    assert _nearest_pixels(ends, (1, 4, 2**24 + 4)).ravel().tolist() == [0, 3, 2**24 + 2]


@pytest.mark.parametrize("n_iter", [None, 0, 5])
def test_an_image_without_foreground_has_no_basin(n_iter):
    flows, state = start(np.ones((2, 5, 6)), np.zeros((5, 6)))
    assert find_basins(flows, state, n_iter, 1) == 0
    assert not state.any()
