import numpy as np
import pytest
from skimage.measure import label

from flowseg import synthetic


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
        (lambda: synthetic.cells((40, 40, 40), 5), ValueError, "shape must be two numbers"),
        (lambda: synthetic.cells((40, 0), 5), ValueError, r"shape\[1\] must be an integer of at least 1; got 0"),
        (lambda: synthetic.cells((40, 40), -1), ValueError, "n_cells must be an integer of at least 0"),
        (lambda: synthetic.cells((40, 40), 1, rng="x"), TypeError, "rng must be an integer of at least 0, .* got 'x'"),
        (lambda: synthetic.cells((40, 40), 1, rng=-1), ValueError, "rng must be an integer of at least 0, .* got -1"),
        (lambda: synthetic.cells((40, 40), 1, diameter=1), ValueError, "diameter must be a number of at least 4"),
    ],
)
def test_refuses(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()
