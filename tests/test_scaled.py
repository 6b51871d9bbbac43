import numpy as np
import pytest

from flowseg._images import normalize, resize
from flowseg._intensities import find_limits
from flowseg._scaled import ScaledView, mirror


@pytest.mark.parametrize("shape", [(40, 50), (25, 31), (97, 60), (7, 200), (1, 1)])
def test_the_whole_is_what_scikit_image_gives(shape):
    array = np.random.default_rng(0).normal(size=(40, 50, 2)).astype(np.float32)
    whole = ScaledView(array, shape).read((0, shape[0]), (0, shape[1]))
    assert whole.dtype == np.float32
    assert np.allclose(whole, resize(array, shape), atol=1e-4)


@pytest.mark.parametrize("shape", [(40, 50), (25, 31), (97, 120)])
def test_a_window_is_a_part_of_the_whole_and_its_mirror_image(shape):
    array = np.random.default_rng(1).normal(size=(40, 50, 1))
    view = ScaledView(array, shape)
    whole = view.read((0, shape[0]), (0, shape[1]))
    for rows, columns in (((3, 20), (7, 25)), ((-9, 12), (10, shape[1] + 17)), ((shape[0] - 1, shape[0]), (0, 1))):
        expected = whole[mirror(*rows, shape[0])][:, mirror(*columns, shape[1])]
        assert np.array_equal(view.read(rows, columns), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.float32, np.float64])
def test_stretched_as_by_normalize(dtype):
    image = (np.random.default_rng(2).random((30, 40, 3)) * 200).astype(dtype)
    image[..., 1] = 7
    view = ScaledView(image, (30, 40), find_limits(image))
    assert np.array_equal(view.read((0, 30), (0, 40)), normalize(image, channel_axis=-1))
