import numpy as np
import pytest

from flowseg._nets.scaled_view import ScaledView
from flowseg._nets.tiles import TILE_SIZE, Grid, assemble, cut_axis, list_tiles, make_grid, map_tiles, run_tile


@pytest.mark.parametrize("n", [1, 5, 64, 65, 1023, 1024, 1025, 1136, 1137, 2049, 5000])
@pytest.mark.parametrize("grid", [Grid(1, 2), Grid(16, 112), Grid(64, 448)])
def test_every_pixel_is_kept_once_with_its_margin(n, grid):
    kept = np.zeros(n, int)
    tiles = cut_axis(n, grid)
    last = tiles[-1][1]
    assert n <= last < n + grid.step
    for start, stop, keep, end in tiles:
        kept[keep:end] += 1
        assert start % grid.step == stop % grid.step == 0
        assert stop - start <= max(TILE_SIZE, 4 * grid.margin)
        assert keep - start >= grid.margin or start == keep == 0
        assert stop - end >= grid.margin or stop == last
    assert np.all(kept == 1)


def test_few_pixels_are_read_twice():
    # What margins and rounding up to the grid cost, along one axis.
    grid = Grid(16, 112)
    assert cut_axis(1024, grid) == [(0, 1024, 0, 1024)]
    for n in range(200, 5000, 7):
        assert sum(stop - start for start, stop, *_ in cut_axis(n, grid)) < 1.25 * n + 2 * grid.margin


def test_margin_is_on_the_grid():
    assert [make_grid(64, r).margin for r in (0, 1, 64, 65)] == [0, 64, 64, 128]


@pytest.mark.parametrize("shape", [(1, 1), (3, 1100), (1500, 40), (1100, 2200)])
def test_tiles_do_not_show(shape):
    # A "network" with a receptive field of radius 2 and zeros beyond its edges: outputs of the whole image at once.
    image = np.random.default_rng(0).random((*shape, 2)).astype(np.float32)

    def blur(batch):
        padded = np.pad(batch, ((0, 0), (2, 2), (2, 2), (0, 0)))
        rows, columns = batch.shape[1:3]
        return sum(padded[:, i : i + rows, j : j + columns] for i, j in np.ndindex(5, 5))

    found = assemble(map_tiles(blur, ScaledView(image, shape), 2, Grid(1, 2)), image.shape)
    assert np.array_equal(found, blur(image[np.newaxis])[0])


def test_up_to_the_grid_the_mirror_image_is_read():
    # An image that is no multiple of the grid ends in its mirror image, and every pixel comes back.
    image = np.random.default_rng(1).random((800, 2010, 1)).astype(np.float32)
    calls = []

    def remember(batch):
        calls.append(batch.copy())
        return batch

    view = ScaledView(image, (800, 2010))
    assert np.array_equal(assemble(map_tiles(remember, view, 1, Grid(64, 128)), image.shape), image)
    assert [c.shape for c in calls] == [(1, 832, 1024, 1), (1, 832, 1024, 1), (1, 832, 512, 1)]
    assert np.array_equal(calls[2][0, :800, :474], image[:, 1536:])
    assert np.array_equal(calls[2][0, 800:, :474], image[798:766:-1, 1536:])


@pytest.mark.parametrize("shape", [(1100, 50), (50, 1100), (1100, 1101)])
def test_what_lies_beyond_the_image_is_cut_off_everywhere(shape):
    image = np.random.default_rng(2).random((*shape, 1)).astype(np.float32)
    done = []
    view = ScaledView(image, shape)
    bands = list(map_tiles(lambda batch: batch, view, 1, Grid(16, 32), lambda *n: done.append(n)))
    assert np.array_equal(assemble(bands, image.shape), image)
    rows, columns = (len(cut_axis(n, Grid(16, 32))) for n in shape)
    assert [start for start, _ in bands] == [0, 992][:rows]
    assert done == [(n, rows * columns) for n in range(1, rows * columns + 1)]
    assert all(band.dtype == np.float32 for _, band in bands)


def test_tiles_grow_with_their_margins():
    tiles = cut_axis(5000, Grid(64, 448))
    assert tiles[:2] == [(0, 1792, 0, 1344), (896, 2688, 1344, 2240)]
    assert tiles[-1] == (3584, 5056, 4032, 5000)
    assert len(tiles) == 5


def test_the_tiles_of_a_region_are_those_of_the_image():
    grid = Grid(16, 112)
    tiles = list_tiles((2500, 1700), grid)
    assert [(t.rows.core_start, t.columns.core_start) for t in tiles] == [
        (r, c) for r in (0, 912, 1712) for c in (0, 912)
    ]
    assert list_tiles((2500, 1700), grid, rows=(0, 912), columns=(911, 913)) == tiles[:2]
    assert list_tiles((2500, 1700), grid, rows=(911, 1713)) == tiles
    assert list_tiles((2500, 1700), grid, rows=(912, 1712), columns=(912, 1700)) == [tiles[3]]
    assert list_tiles((2500, 1700), grid, rows=(912, 912)) == []


def test_one_tile_gives_its_core():
    image = np.random.default_rng(3).random((1500, 1300, 1)).astype(np.float32)
    view = ScaledView(image, (1500, 1300))
    for tile in list_tiles((1500, 1300), Grid(16, 32)):
        assert np.array_equal(run_tile(lambda batch: batch, view, tile), image[tile.rows.core, tile.columns.core])


def test_each_output_is_contiguous():
    bands = list(map_tiles(lambda batch: batch, ScaledView(np.ones((5, 7, 3)), (5, 7)), 3, Grid(1, 2)))
    assert all(bands[0][1][..., k].flags.c_contiguous for k in range(3))
