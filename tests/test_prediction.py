import numpy as np
import pytest

import flowseg
from flowseg._intensities import find_limits
from flowseg._nets.encoder import FLOW_SCALE
from flowseg._nets.inference import NetworkRunner, network_grid, predict_outputs, view_image
from flowseg._nets.scaled_view import ScaledView
from flowseg._nets.tiles import TILE_SIZE, Grid, assemble, cut_axis, list_tiles, map_tiles, run_tile
from flowseg._segmenters.codecs.boundary_codec import BoundaryCodec
from flowseg._segmenters.codecs.flow_codec import FlowCodec

# That of the network of three levels below.
GRID = Grid(4, 24)


@pytest.fixture(scope="module")
def network():
    model = flowseg.build_unet(filters=(4, 6, 8), seed=0)
    model.compile(jit_compile=False)
    return model


def run_tiled(network, image, grid):
    shape = image.shape[:2]
    return assemble(map_tiles(network.predict_on_batch, ScaledView(image, shape), 3, grid), (*shape, 3))


def test_tiles_of_a_real_network_leave_no_trace(network):
    # All at once, beyond the size of a tile, gives the same as tile by tile, up to rounding, to the image's very edge.
    image = np.random.default_rng(0).normal(size=(64, 2 * TILE_SIZE + 320, 1)).astype(np.float32)
    grid = network_grid(network, is_custom=False, n_levels=3, n_channels=1)
    assert grid == (4, 24)
    assert len(cut_axis(image.shape[1], grid)) == 3
    tiled = run_tiled(network, image, grid)
    whole = network.predict_on_batch(image[None])[0]
    assert np.abs(tiled - whole).max() < 1e-5 * np.abs(whole).max()


def test_a_block_with_its_margin_equals_the_whole(network):
    # What a cluster does: read one tile of the grid with its margin, and get the very same numbers.
    image = np.random.default_rng(1).normal(size=(40, 2 * TILE_SIZE, 1)).astype(np.float32)
    grid = network_grid(network, is_custom=False, n_levels=3, n_channels=1)
    whole = run_tiled(network, image, grid)
    start, stop, keep, end = cut_axis(image.shape[1], grid)[1]
    block = network.predict_on_batch(image[None, :, start:stop])[0]
    assert np.array_equal(block[:, keep - start : end - start], whole[:, keep:end])


def test_outputs_come_in_the_size_of_the_image(network):
    image = np.random.default_rng(2).normal(size=(50, 61, 1))
    for factor in (0.3, 1.0, 1.7):
        outputs = predict_outputs(NetworkRunner(network, FlowCodec(), GRID), image, find_limits(image), factor)
        assert outputs.shape == (50, 61, 3)
        assert outputs.dtype == np.float32
        flows, cellprob = FlowCodec().split(outputs)  # no copies
        assert all(a.flags.c_contiguous and np.shares_memory(a, outputs) for a in (flows, cellprob))


@pytest.mark.parametrize("shape", [(2500, 40), (1100, 900)])
@pytest.mark.parametrize("factor", [0.45, 1.3])
def test_scaled_back_band_by_band_as_all_at_once(shape, factor, network):
    # Several rows of tiles at the size that the network sees; every band of the outputs is the very same.
    from flowseg._images import scaled_shape

    image = np.random.default_rng(4).normal(size=(*shape, 1))
    seen = scaled_shape(shape, factor)
    view = ScaledView(image, seen, find_limits(image))
    whole = assemble(map_tiles(network.predict_on_batch, view, 3, GRID), (*seen, 3))
    whole[..., :2] /= FLOW_SCALE
    expected = ScaledView(whole, shape)
    outputs = predict_outputs(NetworkRunner(network, FlowCodec(), GRID), image, find_limits(image), factor)
    for start in range(0, shape[0], 128):
        stop = min(start + 128, shape[0])
        assert np.array_equal(outputs[start:stop], expected.read((start, stop), (0, shape[1])))


@pytest.mark.parametrize("factor", [0.6, 1.0, 1.3])
def test_outputs_of_a_region_from_the_tiles_that_touch_it(factor, network):
    # The steps of a program for images larger than memory: tiles of the whole image's grid, stored outputs, a region.
    image = np.random.default_rng(5).normal(size=(1400, 1900, 1))
    runner, limits = NetworkRunner(network, FlowCodec(), GRID), find_limits(image)
    expected = predict_outputs(runner, image, limits, factor)
    rows, columns = (700, 830), (850, 1201)
    view = view_image(image, limits, factor)
    stored = np.full((*view.shape, 3), np.nan, np.float32)
    scaled_back = ScaledView(stored, image.shape[:2])
    needed = [scaled_back.sources(axis, *region) for axis, region in enumerate((rows, columns))]
    tiles = list_tiles(view.shape, GRID, rows=needed[0], columns=needed[1])
    assert 0 < len(tiles) <= len(list_tiles(view.shape, GRID))
    for tile in tiles:
        stored[tile.rows.core, tile.columns.core] = run_tile(runner.run, view, tile)
    assert np.array_equal(scaled_back.read(rows, columns), expected[slice(*rows), slice(*columns)])


@pytest.mark.parametrize("codec", [FlowCodec(), BoundaryCodec()])
def test_outputs_with_test_time_augmentation_rotate_with_the_image(network, codec):
    # For any network, the outputs of the rotated image are the rotated outputs.
    image = np.random.default_rng(3).normal(size=(64, 64, 1))

    def run(array):
        return predict_outputs(NetworkRunner(network, codec, GRID, True), array, find_limits(array), 1.0)

    outputs = run(image)
    rotated, flipped = np.rot90(run(np.rot90(image)), -1), run(image[:, ::-1])[:, ::-1]
    if codec.vectors is None:
        assert np.allclose(rotated, outputs, atol=1e-5)
        assert np.allclose(flipped, outputs, atol=1e-5)
    else:
        # np.rot90 rotates a vector that points down into one that points right, one to the right into one upwards.
        assert np.allclose(np.stack([rotated[..., 1], -rotated[..., 0], rotated[..., 2]], -1), outputs, atol=1e-5)
        assert np.allclose(flipped * [1, -1, 1], outputs, atol=1e-5)
