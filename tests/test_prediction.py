import numpy as np
import pytest

import flowseg
from flowseg._intensities import find_limits
from flowseg._nets import tiles as tiles_module
from flowseg._nets.encoder import FLOW_SCALE
from flowseg._nets.folded_unet import FoldedUNet
from flowseg._nets.inference import NetworkRunner, make_predictor, network_grid, predict_outputs, view_image
from flowseg._nets.scaled_view import ScaledView
from flowseg._nets.tiles import TILE_SIZE, Grid, assemble, core_of, cut_axes, list_tiles, map_tiles, run_tile
from flowseg._segmenters.codecs.boundary_codec import BoundaryCodec
from flowseg._segmenters.codecs.flow_codec import FlowCodec

# That of the network of three levels below.
GRID = Grid((4, 4), (24, 24))


@pytest.fixture(scope="module")
def network():
    model = flowseg.build_unet(filters=(4, 6, 8), seed=0)
    model.compile(jit_compile=False)
    return model


def run_tiled(network, image, grid):
    shape, n_outputs = image.shape[:-1], image.ndim
    bands = map_tiles(make_predictor(network), ScaledView(image, shape), n_outputs, grid)
    return assemble(bands, (*shape, n_outputs))


def test_tiles_of_a_real_network_leave_no_trace(network):
    # All at once, beyond the size of a tile, gives the same as tile by tile, up to rounding, to the image's very edge.
    image = np.random.default_rng(0).normal(size=(64, 2 * TILE_SIZE + 320, 1)).astype(np.float32)
    grid = network_grid(network, is_custom=False, n_levels=3, n_channels=1, coarse_levels=(0, 0))
    assert grid == GRID
    assert len(cut_axes(image.shape[:2], grid)[1]) == 3
    tiled = run_tiled(network, image, grid)
    whole = make_predictor(network)(image[None])[0]
    assert np.abs(tiled - whole).max() < 1e-5 * np.abs(whole).max()


@pytest.mark.backends
def test_a_block_with_its_margin_equals_the_whole(network):
    # What a cluster does: read one tile of the grid with its margin, and get the very same numbers.
    image = np.random.default_rng(1).normal(size=(40, 2 * TILE_SIZE, 1)).astype(np.float32)
    grid = network_grid(network, is_custom=False, n_levels=3, n_channels=1, coarse_levels=(0, 0))
    whole = run_tiled(network, image, grid)
    start, stop, keep, end = cut_axes(image.shape[:2], grid)[1][1]
    block = make_predictor(network)(image[None, :, start:stop])[0]
    assert np.array_equal(block[:, keep - start : end - start], whole[:, keep:end])


@pytest.mark.backends
@pytest.mark.parametrize("ndim", [2, 3])
def test_outputs_do_not_depend_on_earlier_images(ndim):
    # Where they did, by oneDNN on processors without AVX-512, a process that had seen other tiles gave other last bits.
    rng = np.random.default_rng(3)
    image = rng.normal(size=(1, *[40, 48, 56][:ndim], 1)).astype(np.float32)
    network = flowseg.build_unet(filters=(4, 8), ndim=ndim, seed=0)
    network.set_weights([w + 0.2 * rng.random(w.shape) for w in network.get_weights()])
    grid = network_grid(network, is_custom=False, n_levels=2, n_channels=1, coarse_levels=(0,) * ndim)
    copies = [FoldedUNet(network, 2, (0,) * ndim).of(network) for _ in range(2)]
    fresh, used = (NetworkRunner(copy, FlowCodec(ndim=ndim), grid) for copy in copies)
    for size in (8, 16):
        used.run(np.zeros((1, *[size] * ndim, 1), np.float32))
    np.testing.assert_array_equal(used.run(image), fresh.run(image))


@pytest.mark.backends
def test_a_predictor_has_the_weights_of_its_time():
    network = flowseg.build_resunet(filters=(4,), seed=0)
    image = np.random.default_rng(4).normal(size=(1, 16, 24, 1)).astype(np.float32)
    before = make_predictor(network)(image)
    network.set_weights([weight + 0.1 for weight in network.get_weights()])
    after = make_predictor(network)(image)
    assert np.abs(after - before).max() > 0.1
    np.testing.assert_allclose(after, network.predict_on_batch(image), rtol=1e-4, atol=1e-5)


def test_outputs_come_in_the_size_of_the_image(network):
    image = np.random.default_rng(2).normal(size=(50, 61, 1))
    for factor in (0.3, 1.0, 1.7):
        outputs = predict_outputs(
            NetworkRunner(network, FlowCodec(), GRID), image, find_limits(image), (factor, factor)
        )
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
    seen = scaled_shape(shape, (factor, factor))
    view = ScaledView(image, seen, find_limits(image))
    whole = assemble(map_tiles(make_predictor(network), view, 3, GRID), (*seen, 3))
    whole[..., :2] /= FLOW_SCALE
    expected = ScaledView(whole, shape)
    outputs = predict_outputs(NetworkRunner(network, FlowCodec(), GRID), image, find_limits(image), (factor, factor))
    for start in range(0, shape[0], 128):
        stop = min(start + 128, shape[0])
        assert np.array_equal(outputs[start:stop], expected.read([(start, stop), (0, shape[1])]))


@pytest.mark.parametrize("factor", [0.6, 1.0, 1.3])
def test_outputs_of_a_region_from_the_tiles_that_touch_it(factor, network):
    # The steps of a program for images larger than memory: tiles of the whole image's grid, stored outputs, a region.
    image = np.random.default_rng(5).normal(size=(1400, 1900, 1))
    runner, limits = NetworkRunner(network, FlowCodec(), GRID), find_limits(image)
    expected = predict_outputs(runner, image, limits, (factor, factor))
    rows, columns = (700, 830), (850, 1201)
    view = view_image(image, limits, (factor, factor))
    stored = np.full((*view.shape, 3), np.nan, np.float32)
    scaled_back = ScaledView(stored, image.shape[:2])
    needed = [scaled_back.sources(axis, *region) for axis, region in enumerate((rows, columns))]
    tiles = list_tiles(view.shape, GRID, needed)
    assert 0 < len(tiles) <= len(list_tiles(view.shape, GRID))
    for tile in tiles:
        stored[core_of(tile)] = run_tile(runner.run, view, tile)
    assert np.array_equal(scaled_back.read((rows, columns)), expected[slice(*rows), slice(*columns)])


@pytest.mark.parametrize("codec", [FlowCodec(), BoundaryCodec()])
def test_outputs_with_test_time_augmentation_rotate_with_the_image(network, codec):
    # For any network, the outputs of the rotated image are the rotated outputs.
    image = np.random.default_rng(3).normal(size=(64, 64, 1))

    def run(array):
        return predict_outputs(NetworkRunner(network, codec, GRID, True), array, find_limits(array), (1.0, 1.0))

    outputs = run(image)
    rotated, flipped = np.rot90(run(np.rot90(image)), -1), run(image[:, ::-1])[:, ::-1]
    if codec.vectors is None:
        assert np.allclose(rotated, outputs, atol=1e-5)
        assert np.allclose(flipped, outputs, atol=1e-5)
    else:
        # np.rot90 rotates a vector that points down into one that points right, one to the right into one upwards.
        assert np.allclose(np.stack([rotated[..., 1], -rotated[..., 0], rotated[..., 2]], -1), outputs, atol=1e-5)
        assert np.allclose(flipped * [1, -1, 1], outputs, atol=1e-5)


COARSE = [(0, 0, 0), (1, 0, 0), (2, 0, 0), (0, 1, 2)]


@pytest.mark.parametrize(
    ("shape", "coarse_levels"), [((9, 101, 30), levels) for levels in COARSE] + [((109, 20, 21), (0, 0, 0))]
)
def test_tiles_of_a_network_for_volumes_leave_no_trace(shape, coarse_levels, monkeypatch):
    # Levels of random weights; the image's shape need not fit the pooling windows.
    model = flowseg.build_unet(filters=(3, 4, 5), ndim=3, coarse_levels=coarse_levels, seed=1)
    model.compile(jit_compile=False)
    grid = network_grid(model, is_custom=False, n_levels=3, n_channels=1, coarse_levels=coarse_levels)
    image = np.random.default_rng(0).normal(size=(*shape, 1)).astype(np.float32)
    assert len(list_tiles(shape, grid)) == 1
    whole = run_tiled(model, image, grid)
    monkeypatch.setattr(tiles_module, "TILE_VOXELS", 1)
    monkeypatch.setattr(tiles_module, "LEAST_MARGINS", 3)
    tiles = list_tiles(shape, grid)
    assert len(tiles) > 1
    tiled = run_tiled(model, image, grid)
    assert np.abs(tiled - whole).max() < 1e-5 * np.abs(whole).max()
    # A tile by itself, as a cluster reads it, gives the very same numbers.
    one = run_tile(make_predictor(model), ScaledView(image, shape), tiles[-1])
    assert np.array_equal(one, tiled[core_of(tiles[-1])])


@pytest.fixture(scope="module")
def volume_network():
    model = flowseg.build_unet(filters=(4, 6), ndim=3, coarse_levels=(1, 0, 0), seed=0)
    model.compile(jit_compile=False)
    grid = network_grid(model, is_custom=False, n_levels=2, n_channels=1, coarse_levels=(1, 0, 0))
    assert grid == Grid((1, 2, 2), (6, 10, 10))
    return model, grid


@pytest.mark.parametrize("factors", [(1.0, 1.0, 1.0), (0.8, 0.5, 0.5), (1.3, 0.7, 0.7), (1.0, 0.6, 0.6)])
def test_outputs_of_a_region_of_a_volume(factors, volume_network, monkeypatch):
    # Cut into tiles, scaled back band by band, or window by window from stored outputs.
    network, grid = volume_network
    image = np.random.default_rng(6).normal(size=(37, 64, 50, 1))
    runner, limits = NetworkRunner(network, FlowCodec(ndim=3), grid), find_limits(image)
    monkeypatch.setattr(tiles_module, "TILE_VOXELS", 20_000)
    expected = predict_outputs(runner, image, limits, factors)
    assert expected.shape == (37, 64, 50, 4)
    assert expected.dtype == np.float32
    view = view_image(image, limits, factors)
    tiles = list_tiles(view.shape, grid)
    assert len(tiles) > 1
    stored = np.full((*view.shape, 4), np.nan, np.float32)
    for tile in tiles:
        stored[core_of(tile)] = run_tile(runner.run, view, tile)
    window = [(11, 23), (0, 40), (33, 50)]
    found = ScaledView(stored, image.shape[:3]).read(window)
    assert np.array_equal(found, expected[tuple(slice(*bounds) for bounds in window)])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_outputs_with_test_time_augmentation_flip_with_the_volume(axis, volume_network):
    network, grid = volume_network
    image = np.random.default_rng(3).normal(size=(7, 16, 12, 1))
    runner = NetworkRunner(network, FlowCodec(ndim=3), grid, True)

    def run(array):
        return predict_outputs(runner, array, find_limits(array), (1.0, 1.0, 1.0))

    sign = np.where(np.arange(4) == axis, -1, 1)
    outputs = run(image)
    assert np.allclose(np.flip(run(np.flip(image, axis)), axis) * sign, outputs, atol=1e-5)
    plain = predict_outputs(NetworkRunner(network, FlowCodec(ndim=3), grid), image, find_limits(image), (1.0, 1.0, 1.0))
    assert np.abs(outputs - plain).max() > 1e-3
