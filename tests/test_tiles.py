import numpy as np
import pytest

from flowseg._scaled import ScaledView
from flowseg._tiles import TILE_SIZE, TILE_STEP, assemble, grid_axis, grid_margin, map_tiles


@pytest.mark.parametrize("n", [1, 5, 64, 65, 767, 768, 769, 1000, 2049, 5000])
def test_every_pixel_is_kept_once_with_its_margin(n):
    kept = np.zeros(n, int)
    for start, stop, keep, end in grid_axis(n, 64):
        kept[keep:end] += 1
        assert start % TILE_STEP == 0
        assert (stop - start) % TILE_STEP == 0
        assert stop - start <= TILE_SIZE
        if n > TILE_SIZE:
            assert stop - start == TILE_SIZE
            assert keep - start >= 64
            assert stop - end >= 64
    assert np.all(kept == 1)


def test_margin_is_on_the_grid():
    assert [grid_margin(r) for r in (0, 1, 64, 65)] == [0, 64, 64, 128]


@pytest.mark.parametrize("shape", [(1, 1), (3, 900), (1500, 40), (800, 1700)])
def test_tiles_do_not_show(shape):
    # A "network" with a receptive field of radius 2: the outputs are those of the whole image at once.
    image = np.random.default_rng(0).random((*shape, 2)).astype(np.float32)

    def blur(batch):
        total = sum(np.roll(batch, shift, axis=(1, 2)) for shift in np.ndindex(5, 5))
        return np.roll(total, (-2, -2), axis=(1, 2))

    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="reflect") if min(shape) > 2 else None
    found = assemble(map_tiles(blur, ScaledView(image, shape), 2, 64), image.shape)
    assert found.shape == image.shape
    assert np.all(np.isfinite(found))
    if padded is not None and min(shape) > TILE_SIZE:
        expected = sum(padded[i : i + shape[0], j : j + shape[1]] for i, j in np.ndindex(5, 5))
        assert np.abs(found - expected).max() < 1e-4


def test_blocks_equal_the_whole():
    # The left half, read with the context that the grid needs, gives the same outputs as the whole image.
    image = np.random.default_rng(1).random((800, 2000, 1)).astype(np.float32)
    calls = []

    def remember(batch):
        calls.append(batch.copy())
        return batch

    assert np.array_equal(assemble(map_tiles(remember, ScaledView(image, (800, 2000)), 1, 64), image.shape), image)
    assert {c.shape for c in calls} == {(1, TILE_SIZE, TILE_SIZE, 1)}
