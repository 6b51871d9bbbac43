import numpy as np
import pytest

from flowseg._images import normalize, resize
from flowseg._intensities import find_limits
from flowseg._nets.scaled_view import ScaledView, interpolate, mirror


@pytest.mark.parametrize("shape", [(40, 50), (25, 31), (97, 60), (7, 200), (1, 1)])
def test_the_whole_is_what_scikit_image_gives(shape):
    array = np.random.default_rng(0).normal(size=(40, 50, 2)).astype(np.float32)
    whole = ScaledView(array, shape).read([(0, n) for n in shape])
    assert whole.dtype == np.float32
    assert np.allclose(whole, resize(array, shape), atol=1e-4)


@pytest.mark.parametrize("shape", [(40, 50), (25, 31), (97, 120)])
def test_a_window_is_a_part_of_the_whole_and_its_mirror_image(shape):
    array = np.random.default_rng(1).normal(size=(40, 50, 1))
    view = ScaledView(array, shape)
    whole = view.read([(0, n) for n in shape])
    n, m = shape
    windows = [((3, 20), (7, 25)), ((-9, 12), (10, m + 17)), ((n - 1, n), (0, 1)), ((-3, 5), (-2, 6))]
    for rows, columns in [*windows, ((n - 6, n + 4), (m - 6, m + 3)), ((n - 6, n), (-4, 3)), ((0, 4), (0, m + 2))]:
        expected = whole[mirror(*rows, shape[0])][:, mirror(*columns, shape[1])]
        assert np.array_equal(view.read((rows, columns)), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.float32, np.float64])
def test_stretched_as_by_normalize(dtype):
    image = (np.random.default_rng(2).random((30, 40, 3)) * 200).astype(dtype)
    image[..., 1] = 7
    view = ScaledView(image, (30, 40), find_limits(image))
    assert np.array_equal(view.read([(0, 30), (0, 40)]), normalize(image, channel_axis=-1))


@pytest.mark.parametrize("shape", [(40, 50), (200, 50), (40, 250), (34, 43), (23, 29), (400, 61)])
def test_windows_of_an_image_that_shrinks_five_times(shape):
    # What a Gaussian of two pixels reaches is read with the window, or its edges would show.
    array = np.random.default_rng(3).normal(size=(200, 250, 1)).astype(np.float32)
    view = ScaledView(array, shape)
    whole = view.read([(0, n) for n in shape])
    assert np.allclose(whole, resize(array, shape), atol=5e-6)
    middle = (shape[0] // 2, shape[1] // 2)
    for rows in ((0, 1), (middle[0], middle[0] + 1), (middle[0] - 7, middle[0] + 8), (shape[0] - 2, shape[0])):
        for columns in ((0, 2), (middle[1], middle[1] + 1), (shape[1] - 1, shape[1])):
            found = view.read((rows, columns))
            assert np.allclose(found, whole[slice(*rows), slice(*columns)], atol=1e-6)


@pytest.mark.parametrize("shape", [(40, 50), (200, 250), (310, 300)])
def test_sources_are_enough_and_not_the_whole(shape):
    array = np.random.default_rng(4).normal(size=(200, 250, 1)).astype(np.float32)
    whole = ScaledView(array, shape).read([(0, n) for n in shape])
    n = shape[0]
    for start, stop in ((0, 3), (n // 2, n // 2 + 2), (n - 3, n)):
        top, bottom = ScaledView(array, shape).sources(0, start, stop)
        band = ScaledView(array[top:bottom], shape, first=(top, 0), full=array.shape[:2])
        assert np.allclose(band.read([(start, stop), (0, shape[1])]), whole[start:stop], atol=1e-6)
        step = 200 / n
        assert bottom - top <= (stop - start) * step + 2 * (2 * step + 4) + 2


@pytest.mark.parametrize(
    ("start", "stop", "n", "expected"),
    [
        (-3, 6, 4, [3, 2, 1, 0, 1, 2, 3, 2, 1]),
        (0, 3, 1, [0, 0, 0]),
        (-2, 1, 1, [0, 0, 0]),
        (-2, 4, 2, [0, 1, 0, 1, 0, 1]),
        (5, 8, 3, [1, 2, 1]),
    ],
)
def test_mirror(start, stop, n, expected):
    assert mirror(start, stop, n).tolist() == expected


def test_interpolate_by_hand():
    array = np.array([[0.0, 10.0, 30.0]], np.float32)
    place = np.array([5.0, 5.25, 6.5, 7.0])
    assert interpolate(array, place, 5, 1).tolist() == [[0.0, 2.5, 20.0, 30.0]]
    assert interpolate(array.T.copy(), place, 5, 0)[:, 0].tolist() == [0.0, 2.5, 20.0, 30.0]


@pytest.mark.parametrize("shape", [(50, 60), (31, 90), (20, 25)])
def test_of_an_array_in_a_file_only_windows_are_read(shape):
    array, sizes = np.random.default_rng(0).random((50, 60, 2)).astype(np.float32), []

    class InFile:
        shape = array.shape

        def __getitem__(self, key):
            sizes.append(array[key].size)
            return array[key]

    window = (10, 14), (5, 9)
    assert np.array_equal(ScaledView(InFile(), shape).read(window), ScaledView(array, shape).read(window))
    assert max(sizes) < array.size / 4


@pytest.mark.parametrize("shape", [(12, 20, 25), (7, 20, 25), (12, 31, 11), (9, 7, 40), (1, 1, 1)])
def test_volumes_as_images(shape):
    array = np.random.default_rng(5).normal(size=(12, 20, 25, 2)).astype(np.float32)
    view = ScaledView(array, shape)
    whole = view.read([(0, n) for n in shape])
    assert np.allclose(whole, resize(array, shape), atol=5e-6)
    for starts, stops in (((0, -3, 2), (4, 3, 7)), ((-2, 0, 0), (1, 1, shape[2] + 5))):
        window = list(zip(starts, stops))
        expected = whole[np.ix_(*(mirror(*bounds, n) for bounds, n in zip(window, shape)))]
        assert np.allclose(view.read(window), expected, atol=1e-6)
    first, last = view.sources(0, 0, 1)
    part = ScaledView(array[first:last], shape, first=(first, 0, 0), full=(12, 20, 25))
    assert np.allclose(part.read([(0, 1), (0, shape[1]), (0, shape[2])]), whole[:1], atol=1e-6)


def test_an_axis_that_keeps_its_length_is_not_smoothed():
    array = np.random.default_rng(6).normal(size=(4, 30, 20, 1)).astype(np.float32)
    view = ScaledView(array, (4, 10, 20))
    assert view.sources(0, 1, 2) == (1, 2)
    each = [ScaledView(plane, (10, 20)).read([(0, 10), (0, 20)]) for plane in array]
    assert np.array_equal(view.read([(0, 4), (0, 10), (0, 20)]), np.stack(each))
