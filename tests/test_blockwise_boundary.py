"""Objects of three classes, block by block: bit for bit those of the whole image."""

import numpy as np
import pytest
from blocks import decode_boundary, grid_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from flowseg._nets.lattice import PixelShape
from flowseg._segmenters.codecs.boundary_codec import BACKGROUND, BOUNDARY, INTERIOR, BoundaryCodec, expansion_distances
from flowseg._segmenters.codecs.codec import Outputs
from flowseg._segmenters.learned_decoding.find_objects import Decoding
from flowseg.blockwise._objects.boundary_graph import BoundaryGraph, boundary_graph_of_block, merge_interiors

SIZES = (64, 100, 257, 1000, 17)


def classes(labels):
    return np.eye(3, dtype=np.float32)[np.asarray(labels)]


def check(outputs, sizes, *, factor=1.0, min_size=15, rng=None, pixel=None):
    whole = Outputs(outputs, factor, None, pixel)
    distances = expansion_distances(whole.factors)
    whole = BoundaryCodec(min_size, outputs.ndim - 1).decode(whole, Decoding())
    for size in sizes:
        found = decode_boundary(outputs, size, distances, min_size=min_size, rng=rng)
        assert found.dtype == whole.dtype
        assert np.array_equal(found, whole), f"blocks of {size}"
    return whole


def random_outputs(shape, smooth, seed):
    rng = np.random.default_rng(seed)
    sigmas = (*[smooth] * len(shape), 0)
    return ndimage.gaussian_filter(rng.standard_normal((*shape, 3)), sigmas).astype(np.float32)


@pytest.mark.parametrize("factor", [0.1, 0.4, 1.0, 3.0])
def test_random_outputs(factor):
    assert check(random_outputs((300, 340), 2, 0), SIZES, factor=factor).max() > 50


@pytest.mark.parametrize("factor", [0.25, 1.0])
def test_touching_cells(voronoi, factor):
    masks = voronoi((300, 400), 150)
    outputs = classes(BoundaryCodec().encode(masks, workers=1)[..., 1:].argmax(axis=-1))
    assert check(outputs, SIZES, factor=factor).max() > 100


def test_small_objects_count_their_pixels_in_all_blocks():
    # A square of 4 x 4 pixels at the corner of four blocks: 32 pixels when expanded by one.
    labels = np.zeros((128, 128), int)
    labels[62:66, 62:66] = INTERIOR
    for min_size, n in ((32, 1), (33, 0)):
        assert check(classes(labels), (64, 16), min_size=min_size).max() == n


def test_no_pixel_of_the_interior_in_the_block_that_an_object_grows_into():
    labels = np.zeros((64, 128), int)
    labels[10:20, 55:62] = INTERIOR
    found = check(classes(labels), (64,), factor=0.1)
    assert found[:, 64:].any()


def test_an_object_through_all_blocks():
    labels = np.full((200, 200), BACKGROUND)
    labels[5::20, 5:195] = INTERIOR
    labels[5:195, 100] = INTERIOR
    for size in (16, 64):
        assert check(classes(labels), [size]).max() == 1


def test_a_ring_around_a_block():
    radius = np.hypot(*(np.indices((230, 230)) - 96))
    labels = np.where((radius < 80) & (radius > 50), INTERIOR, np.where(radius < 20, INTERIOR, BOUNDARY))
    assert check(classes(labels), (64, 100)).max() == 2


def test_corners_do_not_connect():
    labels = np.where(np.indices((80, 80)).sum(axis=0) % 2, INTERIOR, BOUNDARY)
    assert check(classes(labels), (16, 33), min_size=0).max() == 80 * 80 // 2
    blocks = np.zeros((80, 80), int)  # two squares that touch where four blocks meet
    blocks[8:16, 8:16] = blocks[16:24, 16:24] = INTERIOR
    assert check(classes(blocks), (16,)).max() == 2


@pytest.mark.parametrize("shape", [(150, 170), (1, 200), (200, 1), (1, 1)])
@pytest.mark.parametrize("value", [BACKGROUND, INTERIOR, BOUNDARY])
def test_one_class(shape, value):
    found = check(classes(np.full(shape, value)), (64, 17), min_size=0)
    assert found.max() == (value == INTERIOR)


@given(
    shape=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    size=st.tuples(st.integers(5, 40), st.integers(5, 40)),
    factor=st.sampled_from([0.08, 0.15, 0.3, 0.45, 0.7, 1.0, 2.0]),
    smooth=st.sampled_from([0.01, 0.7, 1.5, 4]),
    min_size=st.integers(0, 40),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=40, deadline=None)
def test_any_outputs_and_blocks(shape, size, factor, smooth, min_size, seed):
    outputs = random_outputs(shape, smooth, seed).round(2)  # equal outputs, too
    check(outputs, [size], factor=factor, min_size=min_size, rng=np.random.default_rng(seed))


@pytest.mark.parametrize("ratios", [(1.0, 1.0, 1.0), (2.3, 1.0, 1.0), (1.0, 1.5, 4.0)])
@pytest.mark.parametrize("factor", [0.3, 1.0])
def test_volumes(ratios, factor):
    """Objects are expanded by another distance along each axis."""
    pixel = PixelShape(ratios, 1.0, tuple(int(ratio > 1.4) for ratio in ratios))
    outputs = random_outputs((40, 50, 60), 1.5, 0)
    assert check(outputs, (13, 20, 40), factor=factor, pixel=pixel).max() > 20


def test_touching_cells_of_a_volume(voronoi):
    masks = voronoi((50, 60, 70), 60)
    outputs = classes(BoundaryCodec(ndim=3).encode(masks, workers=1)[..., 1:].argmax(axis=-1))
    assert check(outputs, (16, 45)).max() > 40


@pytest.mark.parametrize("ratios", [(2.0, 1.0), (1.0, 3.0)])
def test_images_with_spacing(ratios):
    pixel = PixelShape(ratios, 1.0, (0, 0))
    assert check(random_outputs((120, 130), 2, 0), (20, 64), factor=0.4, pixel=pixel).max() > 5


def test_components_of_volumes():
    interior = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((20, 30, 40)), 1.5) > 0.15
    expected, n = ndimage.label(interior)
    grid = grid_of(interior.shape, (7, 16, 20))
    outputs = classes(np.where(interior, INTERIOR, BACKGROUND))
    found = [boundary_graph_of_block(outputs[grid[k].slices], grid, grid[k]) for k in range(grid.n)]
    merged = merge_interiors((graph for graph, _ in found), grid, lambda k: found[k][1])
    assert merged.n == n > 5
    for k, (_, fragments) in enumerate(found):
        assert np.array_equal(merged.of_block(k)[fragments], expected[grid[k].slices])


def test_graphs_and_components_as_arrays():
    outputs = random_outputs((60, 70), 1, 0)
    grid = grid_of((60, 70), 32)
    found = [boundary_graph_of_block(outputs[np.newaxis][grid[k].slices], grid, grid[k]) for k in range(grid.n)]
    arrays = [graph.as_arrays() for graph, _ in found]
    assert {array.dtype.name for graph in arrays for array in graph.values()} == {"int64"}
    again = merge_interiors([BoundaryGraph(**graph) for graph in arrays], grid, lambda k: found[k][1])
    merged = merge_interiors([graph for graph, _ in found], grid, lambda k: found[k][1])
    assert all(np.array_equal(a, b) for a, b in zip(merged.as_arrays().values(), again.as_arrays().values()))
