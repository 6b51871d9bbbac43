"""Flows of every pixel of thousands of small objects, against an independent reference, flipped and transposed."""

import itertools

import numpy as np
import pytest
import reference

import flowseg

# Sparse noise, just below the density at which it hangs together; the widths are multiples of 8 and others.
SHAPES = {2: (250, 300, 0.3), 3: (40, 50, 56, 0.08)}


@pytest.fixture(scope="module", params=[2, 3], ids=["2-D", "3-D"])
def noise(request):
    """Label image of thousands of small objects, their flows, where these depend on the order, and their numbers."""
    *shape, density = SHAPES[request.param]
    rng = np.random.default_rng(27)
    masks = np.where(rng.random(shape) < density, rng.integers(1, 3, shape), 0)
    flows, tied, objects = reference.whole_flows(masks)
    assert objects.max() > 4000
    return masks, flows, tied, objects


def worst(found, expected):
    return float(np.linalg.norm(found - expected, axis=0).max())


def test_a_pixel_of_the_last_corner_of_a_volume():
    flows = flowseg.masks_to_flows(np.array([[[1, 0], [0, 1]]]))
    assert flows[:, 0, 1, 1] == pytest.approx([0, -(0.5**0.5), -(0.5**0.5)])


def test_sparse_noise_agrees_with_the_reference(noise):
    masks, expected, _, _ = noise
    found = flowseg.masks_to_flows(masks)
    assert worst(found, expected) < 1e-4
    assert np.array_equal(found.any(axis=0), expected.any(axis=0))
    errors = flowseg.flow_errors(masks, expected)
    assert errors.max() < 1e-8


@pytest.mark.parametrize("width", range(6, 19))
def test_frames_of_every_width_agree_with_the_reference(width):
    # The last pixel of a frame has no rim behind it but that of the next row.
    rng = np.random.default_rng(width)
    masks = np.zeros((60, width), dtype=int)
    for top in range(0, 60, 6):
        masks[top : top + 5] = rng.random((5, width)) < 0.4
        masks[top + 4, -1] = 1
        masks[top, 0] = 1
    found, (expected, _, _) = flowseg.masks_to_flows(masks), reference.whole_flows(masks)
    assert worst(found, expected) < 1e-4


def symmetries(ndim):
    """Return all transpositions and flips."""
    for order in itertools.permutations(range(ndim)):
        for signs in itertools.product((1, -1), repeat=ndim):
            yield order, signs


def transform(array, order, signs):
    axes = [k for k in range(len(order)) if signs[k] < 0]
    return np.flip(array.transpose(order), axes)


def test_flips_and_transposes_have_no_effect_except_where_documented(noise):
    masks, expected, tied, objects = noise
    coordinates = np.argwhere(objects)
    by_object = np.split(
        coordinates[np.argsort(objects[objects > 0], kind="stable")],
        np.cumsum(np.bincount(objects[objects > 0]))[1:-1],
    )
    unique = np.array([False] + [reference.has_one_center(c) for c in by_object])
    assert np.count_nonzero(unique) > 1500
    compared = unique[objects] & ~tied
    assert np.count_nonzero(unique[objects] & tied) < 0.01 * np.count_nonzero(compared)
    flows = flowseg.masks_to_flows(masks)
    for order, signs in symmetries(masks.ndim):
        found = flowseg.masks_to_flows(transform(masks, order, signs))
        right = np.stack([signs[k] * transform(flows[order[k]], order, signs) for k in range(masks.ndim)])
        where = transform(compared, order, signs)
        if order == tuple(range(masks.ndim)):  # flips: the same bits
            assert np.array_equal(found[:, where], right[:, where]), signs
        else:
            assert np.abs(found[:, where] - right[:, where]).max() < 1e-6, (order, signs)


def test_of_paths_of_equal_length_the_first_in_raster_order_is_taken():
    # A ring around nothing: from the pixel opposite to the center both paths are equally long.
    ring = np.ones((7, 7), dtype=int)
    ring[1:-1, 1:-1] = 0
    flows = flowseg.masks_to_flows(ring)
    _, tied, _ = reference.whole_flows(ring)
    ((row, column),) = np.argwhere(tied)
    directions = [(-1, 0), (0, -1), (0, 1), (1, 0)]
    first = next(d for d in directions if ring[tuple(np.clip(np.add((row, column), d), 0, 6))])
    assert tuple(flows[:, row, column].tolist()) == first
