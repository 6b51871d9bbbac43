import numpy as np
import pytest
from skimage.measure import label

from flowseg import synthetic

# Pixels of the background and of each of ten cells.
SIZES = [5357, 240, 310, 255, 135, 338, 586, 491, 544, 441, 519]


def test_cells():
    image, masks = synthetic.cells((128, 160), 30, rng=4)
    assert image.shape == masks.shape == (128, 160)
    assert (image.dtype, masks.dtype) == (np.float32, np.int32)
    assert np.array_equal(np.unique(masks), np.arange(31))
    assert label(masks, connectivity=1).max() == 30  # every cell is one component
    assert np.median(image[masks > 0]) > 2 * np.median(image[masks == 0])
    touching = np.sum((masks[:, 1:] != masks[:, :-1]) & (masks[:, 1:] > 0) & (masks[:, :-1] > 0))
    assert touching > 50
    from flowseg import diameters

    assert 18 < np.median(diameters(masks)) < 30


def test_seed():
    first, again = (synthetic.cells((64, 64), 6, rng=7) for _ in range(2))
    other = synthetic.cells((64, 64), 6, rng=8)
    assert all(np.array_equal(a, b) for a, b in zip(first, again))
    assert not np.array_equal(first[1], other[1])
    generator = np.random.default_rng(7)
    assert np.array_equal(first[0], synthetic.cells((64, 64), 6, rng=generator)[0])


def test_images_are_what_they_were():
    """Models and pages were made with them."""
    _, masks = synthetic.cells((96, 96), 10, rng=0)
    assert np.bincount(masks.ravel()).tolist() == SIZES
    assert np.array_equal(masks, synthetic.cells((96, 96), 10, spacing=(0.3, 0.3), rng=0)[1])


@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.6, 0.2, 0.2)])
def test_volume(spacing):
    ratio = spacing[0] / spacing[1]
    image, masks = synthetic.cells((round(72 / ratio), 90, 100), 40, diameter=20, spacing=spacing, rng=1)
    assert image.shape == masks.shape == (round(72 / ratio), 90, 100)
    assert (image.dtype, masks.dtype) == (np.float32, np.int32)
    assert np.array_equal(np.unique(masks), np.arange(41))
    assert label(masks, connectivity=1).max() == 40
    assert np.median(image[masks > 0]) > 2 * np.median(image[masks == 0])
    touching = np.sum((masks[1:] != masks[:-1]) & (masks[1:] > 0) & (masks[:-1] > 0))
    assert touching > 50
    volumes = np.bincount(masks.ravel())[1:] * ratio
    faces = [masks[[0, -1]], masks[:, [0, -1]], masks[:, :, [0, -1]]]
    inner = np.setdiff1d(masks, np.concatenate(faces, axis=None))
    assert 15 < np.median(2 * np.cbrt(0.75 * volumes / np.pi)) < 23
    extents = np.array([np.ptp(np.argwhere(masks == k), axis=0) + 1 for k in inner])
    assert 0.8 < np.mean(extents[:, 0] * ratio / extents[:, 1]) < 1.25  # as long along each axis in its unit


def test_light_fades_with_depth():
    image, masks = synthetic.cells((80, 60, 60), 40, diameter=16, rng=3)
    upper, lower = (np.mean(image[half][masks[half] > 0]) for half in (np.s_[:40], np.s_[40:]))
    assert lower < 0.9 * upper


def test_one_pixel_wide():
    assert synthetic.cells((1, 64), 1, diameter=4, rng=0)[1].max() == 1
    assert synthetic.cells((64, 1), 1, diameter=4, rng=0)[1].max() == 1


def test_no_cells():
    image, masks = synthetic.cells((20, 20), 0, rng=0)
    assert not masks.any()
    assert np.isfinite(image).all()


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: synthetic.cells((40, 40), 500, rng=0), ValueError, "n_cells must fit into the image; got 500 cells"),
        (lambda: synthetic.cells((40,), 5), ValueError, "shape must be two numbers"),
        (lambda: synthetic.cells((40, 0), 5), ValueError, r"shape\[1\] must be an integer of at least 1; got 0"),
        (lambda: synthetic.cells((4, 40, 40, 3), 5), ValueError, r"or three \(planes, rows, columns\); got \(4, 40"),
        (lambda: synthetic.cells((9, 30, 30), 500, rng=0), ValueError, "cells of diameter 24 for 9 x 30 x 30 pixels"),
        (lambda: synthetic.cells((9, 30, 30), 5, spacing=(1, 1)), ValueError, "spacing must be 3 numbers above 0"),
        (
            lambda: synthetic.cells((9, 30, 30), 5, spacing=(7, 1, 1)),
            ValueError,
            "must be at least 4 pixels of the axis",
        ),
        (lambda: synthetic.cells((40, 40), -1), ValueError, "n_cells must be an integer of at least 0"),
        (lambda: synthetic.cells((40, 40), 1, rng="x"), TypeError, "rng must be an integer of at least 0, .* got 'x'"),
        (lambda: synthetic.cells((40, 40), 1, rng=-1), ValueError, "rng must be an integer of at least 0, .* got -1"),
        (lambda: synthetic.cells((40, 40), 1, diameter=1), ValueError, "diameter must be a number of at least 4"),
    ],
)
def test_refuses(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()
