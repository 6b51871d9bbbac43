import numpy as np
import pytest

from flowseg._nets import tiles as tiles_module
from flowseg._nets.scaled_view import ScaledView
from flowseg._nets.tiles import (
    LEAST_MARGINS,
    TILE_SIZE,
    TILE_VOXELS,
    Grid,
    assemble,
    core_of,
    cut_axes,
    list_tiles,
    make_grid,
    map_tiles,
    run_tile,
    tile_sides,
)

# The grid of the default network for volumes, and of one whose first level is not pooled across planes.
CUBES, FLAT = make_grid((4, 4, 4), (23, 23, 23)), make_grid((2, 4, 4), (13, 23, 23))


def square(step, margin):
    """The grid of a network for images."""
    return Grid((step, step), (margin, margin))


def cut_rows(n, grid):
    return cut_axes((n, 1), grid)[0]


@pytest.mark.parametrize("n", [1, 5, 64, 65, 1023, 1024, 1025, 1136, 1137, 2049, 5000])
@pytest.mark.parametrize("grid", [square(1, 2), square(16, 112), square(64, 448)])
def test_every_pixel_is_kept_once_with_its_margin(n, grid):
    kept = np.zeros(n, int)
    tiles = cut_rows(n, grid)
    last = tiles[-1][1]
    step, margin = grid.steps[0], grid.margins[0]
    assert n <= last < n + step
    for start, stop, keep, end in tiles:
        kept[keep:end] += 1
        assert start % step == stop % step == 0
        assert stop - start <= max(TILE_SIZE, 4 * margin)
        assert keep - start >= margin or start == keep == 0
        assert stop - end >= margin or stop == last
    assert np.all(kept == 1)


def test_few_pixels_are_read_twice():
    # What margins and rounding up to the grid cost, along one axis.
    grid = square(16, 112)
    assert cut_rows(1024, grid) == [(0, 1024, 0, 1024)]
    for n in range(200, 5000, 7):
        assert sum(stop - start for start, stop, *_ in cut_rows(n, grid)) < 1.25 * n + 2 * grid.margins[0]


def test_margin_is_on_the_grid():
    assert [make_grid((64, 8), (r, r)).margins for r in (0, 1, 64, 65)] == [(0, 0), (64, 8), (64, 64), (128, 72)]


@pytest.mark.parametrize("shape", [(1, 1), (3, 1100), (1500, 40), (1100, 2200)])
def test_tiles_do_not_show(shape):
    # A "network" with a receptive field of radius 2 and zeros beyond its edges: outputs of the whole image at once.
    image = np.random.default_rng(0).random((*shape, 2)).astype(np.float32)

    def blur(batch):
        padded = np.pad(batch, ((0, 0), (2, 2), (2, 2), (0, 0)))
        rows, columns = batch.shape[1:3]
        return sum(padded[:, i : i + rows, j : j + columns] for i, j in np.ndindex(5, 5))

    found = assemble(map_tiles(blur, ScaledView(image, shape), 2, square(1, 2)), image.shape)
    assert np.array_equal(found, blur(image[np.newaxis])[0])


def test_up_to_the_grid_the_mirror_image_is_read():
    # An image that is no multiple of the grid ends in its mirror image, and every pixel comes back.
    image = np.random.default_rng(1).random((800, 2010, 1)).astype(np.float32)
    calls = []

    def remember(batch):
        calls.append(batch.copy())
        return batch

    view = ScaledView(image, (800, 2010))
    assert np.array_equal(assemble(map_tiles(remember, view, 1, square(64, 128)), image.shape), image)
    assert [c.shape for c in calls] == [(1, 832, 1024, 1), (1, 832, 1024, 1), (1, 832, 512, 1)]
    assert np.array_equal(calls[2][0, :800, :474], image[:, 1536:])
    assert np.array_equal(calls[2][0, 800:, :474], image[798:766:-1, 1536:])


@pytest.mark.parametrize("shape", [(1100, 50), (50, 1100), (1100, 1101)])
def test_what_lies_beyond_the_image_is_cut_off_everywhere(shape):
    image = np.random.default_rng(2).random((*shape, 1)).astype(np.float32)
    done = []
    view = ScaledView(image, shape)
    bands = list(map_tiles(lambda batch: batch, view, 1, square(16, 32), lambda *n: done.append(n)))
    assert np.array_equal(assemble(bands, image.shape), image)
    rows, columns = (len(cut_rows(n, square(16, 32))) for n in shape)
    assert [start for start, _ in bands] == [0, 992][:rows]
    assert done == [(n, rows * columns) for n in range(1, rows * columns + 1)]
    assert all(band.dtype == np.float32 for _, band in bands)


def test_tiles_grow_with_their_margins():
    tiles = cut_rows(5000, square(64, 448))
    assert tiles[:2] == [(0, 1792, 0, 1344), (896, 2688, 1344, 2240)]
    assert tiles[-1] == (3584, 5056, 4032, 5000)
    assert len(tiles) == 5


def test_the_tiles_of_a_region_are_those_of_the_image():
    grid = square(16, 112)
    tiles = list_tiles((2500, 1700), grid)
    assert [(rows.core_start, columns.core_start) for rows, columns in tiles] == [
        (r, c) for r in (0, 912, 1712) for c in (0, 912)
    ]
    assert list_tiles((2500, 1700), grid, [(0, 912), (911, 913)]) == tiles[:2]
    assert list_tiles((2500, 1700), grid, [(911, 1713), (0, 1700)]) == tiles
    assert list_tiles((2500, 1700), grid, [(912, 1712), (912, 1700)]) == [tiles[3]]
    assert list_tiles((2500, 1700), grid, [(912, 912), (0, 1700)]) == []


def test_one_tile_gives_its_core():
    image = np.random.default_rng(3).random((1500, 1300, 1)).astype(np.float32)
    view = ScaledView(image, (1500, 1300))
    for tile in list_tiles((1500, 1300), square(16, 32)):
        assert np.array_equal(run_tile(lambda batch: batch, view, tile), image[core_of(tile)])


def test_each_output_is_contiguous():
    bands = list(map_tiles(lambda batch: batch, ScaledView(np.ones((5, 7, 3)), (5, 7)), 3, square(1, 2)))
    assert all(bands[0][1][..., k].flags.c_contiguous for k in range(3))


@pytest.mark.parametrize("grid", [CUBES, FLAT, make_grid((8, 8, 8), (51, 51, 51)), make_grid((1, 1, 1), (2, 2, 2))])
@pytest.mark.parametrize("shape", [(1, 1, 1), (10, 579, 817), (96, 120, 1000), (160, 160, 160), (500, 700, 900)])
def test_every_voxel_is_kept_once_with_its_margin(shape, grid):
    for n, step, margin, intervals in zip(shape, *grid, cut_axes(shape, grid)):
        last = intervals[-1].stop
        assert n <= last < n + step
        assert [one.core_start for one in intervals] + [n] == [0] + [one.core_stop for one in intervals]
        for start, stop, keep, end in intervals:
            assert start % step == stop % step == 0
            assert keep - start >= margin or start == keep == 0
            assert stop - end >= margin or stop == last


def test_tiles_of_volumes_fill_the_memory_that_they_may_take():
    for shape in ((10, 579, 817), (160, 160, 160), (300, 300, 300), (60, 400, 400), (1000, 100, 1000)):
        for grid in (CUBES, FLAT):
            sides = tile_sides(shape, grid)
            assert TILE_VOXELS / 3 < np.prod(sides) <= TILE_VOXELS
            for tile in list_tiles(shape, grid):
                assert np.prod([one.stop - one.start for one in tile]) <= TILE_VOXELS
    assert tile_sides((12, 15, 17), CUBES) == (12, 16, 20)  # read whole
    assert tile_sides((10, 579, 817), CUBES) == (12, 580, 436)  # the short axis whole, the longest one cut
    assert sorted(tile_sides((5000, 5000, 5000), CUBES)) == [148, 148, 152]
    # Margins of a deeper network decide, not the memory.
    assert min(tile_sides((900, 900, 900), make_grid((16,) * 3, (107,) * 3))) >= LEAST_MARGINS * 112


def test_voxels_read_twice_are_few():
    # A volume a little larger than a tile is not cut into eight.
    for shape in ((160, 160, 160), (200, 200, 150), (10, 579, 817)):
        n_read = sum(np.prod([one.stop - one.start for one in tile]) for tile in list_tiles(shape, CUBES))
        assert n_read < 1.8 * np.prod(shape)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 40, 61), (40, 40, 41)])
def test_tiles_of_volumes_do_not_show(shape, monkeypatch):
    monkeypatch.setattr(tiles_module, "TILE_VOXELS", 12_000)
    image = np.random.default_rng(0).random((*shape, 2)).astype(np.float32)
    grid, done = Grid((1, 2, 2), (1, 2, 2)), []

    def blur(batch):
        padded = np.pad(batch, ((0, 0), (1, 1), (2, 2), (2, 2), (0, 0)))
        planes, rows, columns = batch.shape[1:4]
        return sum(padded[:, i : i + planes, j : j + rows, k : k + columns] for i, j, k in np.ndindex(3, 5, 5))

    view = ScaledView(image, shape)
    bands = list(map_tiles(blur, view, 2, grid, lambda *n: done.append(n)))
    n_tiles = len(list_tiles(shape, grid))
    assert (n_tiles > 1) == (np.prod(shape) > 12_000)
    assert done == [(n, n_tiles) for n in range(1, n_tiles + 1)]
    ends = [-(-n // step) * step for n, step in zip(shape, grid.steps)]  # an image that is no multiple is mirrored
    whole = blur(view.read([(0, end) for end in ends])[None])[0][tuple(map(slice, shape))]
    assert np.array_equal(assemble(bands, image.shape), whole)
    assert all(bands[0][1][..., k].flags.c_contiguous for k in range(2))


def test_the_tiles_of_a_region_of_a_volume_are_those_of_the_volume():
    shape = (60, 400, 400)
    tiles = list_tiles(shape, CUBES)
    region = [(20, 30), (100, 110), (150, 390)]
    found = list_tiles(shape, CUBES, region)
    touching = [all(a.core_start < stop and a.core_stop > start for a, (start, stop) in zip(t, region)) for t in tiles]
    assert found == [tile for tile, touches in zip(tiles, touching) if touches]
    assert 0 < len(found) < len(tiles)
