import numpy as np
import pytest

import flowseg
from flowseg._images import resize, resize_masks, scaled_shape


def test_normalize_percentiles():
    image = np.random.default_rng(0).integers(0, 60000, (80, 90)).astype(np.uint16)
    before = image.copy()
    found = flowseg.normalize(image)
    assert found.dtype == np.float32
    assert np.percentile(found, [1, 99]) == pytest.approx([0, 1], abs=1e-5)
    assert found.min() < 0 < 1 < found.max()
    assert np.array_equal(image, before)
    assert np.allclose(flowseg.normalize(image * 3.0 - 7), found, atol=1e-5)
    assert np.percentile(flowseg.normalize(image, low=10, high=50), [10, 50]) == pytest.approx([0, 1], abs=1e-5)


def test_normalize_channels():
    image = np.random.default_rng(0).random((3, 30, 40)) * np.array([1, 10, 100])[:, None, None]
    found = flowseg.normalize(image, channel_axis=0)
    assert all(np.allclose(found[c], flowseg.normalize(image[c])) for c in range(3))
    assert np.allclose(np.moveaxis(found, 0, 2), flowseg.normalize(np.moveaxis(image, 0, 2), channel_axis=-1))
    image[1] = 5
    assert not flowseg.normalize(image, channel_axis=0)[1].any()


def test_narrow_integers_do_not_overflow():
    for dtype in (np.int8, np.int16, np.uint8):
        limits = np.iinfo(dtype)
        image = np.linspace(limits.min, limits.max, 256).astype(dtype)
        assert np.allclose(flowseg.normalize(image), flowseg.normalize(image.astype(float)))


def test_few_bright_spots():
    image = np.zeros((50, 50))
    image[3, 3] = 7
    assert flowseg.normalize(image).max() == 1


@pytest.mark.parametrize(
    ("image", "arguments", "error", "sentence"),
    [
        (np.full((3, 3), 4), {}, ValueError, "image must not be constant; got 4 in all 9 pixels"),
        (np.array([[np.nan, 1]]), {}, ValueError, "image must be finite; got 1 NaN or infinite values of 2"),
        (np.zeros((0, 3)), {}, ValueError, "image must have at least one pixel"),
        (np.eye(3, dtype=bool), {}, TypeError, "image must be an array of numbers; got dtype bool"),
        (np.eye(3) * 1j, {}, TypeError, "image must be an array of real numbers"),
        (np.eye(3), {"low": 60, "high": 40}, ValueError, "low must be less than high; got 60 and 40"),
        (np.eye(3), {"high": 101}, ValueError, "high must be a number of at least 0 and at most 100; got 101"),
        (
            np.eye(3),
            {"channel_axis": 2},
            ValueError,
            r"channel_axis must be an axis of an image of shape \(3, 3\); got 2",
        ),
    ],
)
def test_normalize_refuses(image, arguments, error, sentence):
    with pytest.raises(error, match=sentence):
        flowseg.normalize(image, **arguments)


def test_scaled_shape():
    assert scaled_shape((100, 7), (0.25, 0.25)) == (25, 2)
    assert scaled_shape((3, 1), (0.01, 0.01)) == (1, 1)
    assert scaled_shape((30, 100, 7), (1.1, 0.25, 0.01)) == (33, 25, 1)


def test_resize_keeps_places():
    # A blob keeps its relative place, up or down, in images and in masks alike.
    rows, columns = np.ogrid[:60, :80]
    masks = (np.hypot(rows - 20, columns - 50) < 10).astype(np.int32) * 9
    for shape in ((120, 160), (30, 40), (47, 91)):
        image = resize((masks > 0).astype(np.float32)[..., None], shape)[..., 0]
        labels = resize_masks(masks, shape)
        assert set(np.unique(labels)) == {0, 9}
        scale = np.array(shape) / (60, 80)
        expected = (np.array([20.5, 50.5])) * scale - 0.5
        for weight in (image, labels > 0):
            center = np.array([np.average(i, weights=weight) for i in np.indices(shape)])
            assert np.abs(center - expected).max() < 0.5
    assert resize_masks(masks, (60, 80)) is masks


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
def test_signed_integers_of_full_range(dtype):
    bounds = np.iinfo(dtype)
    image = np.full((20, 20), bounds.min, dtype)
    image[0, :5] = bounds.max
    expected = flowseg.normalize(image.astype(np.float64))
    assert np.array_equal(flowseg.normalize(image), expected)
    ends = np.array([[bounds.min, bounds.max]], dtype)
    assert flowseg.normalize(ends) == pytest.approx(np.array([[-0.0102, 1.0102]]), abs=1e-4)


class TestResizedMasks:
    """Each new pixel takes the label at its center: nothing is shifted."""

    MASKS = np.arange(1, 7 * 10 + 1).reshape(7, 10)

    @pytest.mark.parametrize("factor", [2, 3, 5])
    def test_enlarged(self, factor):
        expected = np.kron(self.MASKS, np.ones((factor, factor), int))
        assert np.array_equal(resize_masks(self.MASKS, expected.shape), expected)

    @pytest.mark.parametrize("factor", [3, 5])
    def test_reduced(self, factor):
        masks = np.kron(self.MASKS, np.ones((factor, factor), int))
        marked = masks.copy()
        marked[::factor] = 0  # what is not a center does not count
        middle = (slice(factor // 2, None, factor),) * 2
        assert np.array_equal(resize_masks(marked, self.MASKS.shape), marked[middle])

    @pytest.mark.parametrize("shape", [(5, 7), (13, 9), (1, 1), (7, 23)])
    def test_any_shape(self, shape):
        from fractions import Fraction

        rows, columns = (
            [int((k + Fraction(1, 2)) * old / new) for k in range(new)] for new, old in zip(shape, self.MASKS.shape)
        )
        assert np.array_equal(resize_masks(self.MASKS, shape), self.MASKS[np.ix_(rows, columns)])

    @pytest.mark.parametrize("shape", [(3, 8, 10), (9, 4, 15)])
    def test_volumes_plane_by_plane(self, shape):
        volume = np.stack([self.MASKS, self.MASKS + 100, self.MASKS + 200])
        planes = [int((k + 0.5) * 3 / shape[0]) for k in range(shape[0])]
        expected = np.stack([resize_masks(volume[k], shape[1:]) for k in planes])
        assert np.array_equal(resize_masks(volume, shape), expected)


class TestResized:
    @pytest.mark.parametrize("axis", [0, 1])
    def test_averaged_along_the_axis_that_shrinks(self, axis):
        stripes = np.zeros((60, 60, 2), np.float32)
        stripes[::2] = 1
        stripes = np.swapaxes(stripes, 0, axis)
        shape = (12, 90) if axis == 0 else (90, 12)
        found = resize(stripes, shape)
        assert found.shape == (*shape, 2)
        assert np.abs(found - 0.5).max() < 0.2

    def test_averaged_where_a_tall_image_gets_less_tall(self):
        stripes = np.zeros((60, 20, 1), np.float32)
        stripes[::2] = 1
        assert np.abs(resize(stripes, (30, 20)) - 0.5).max() < 0.3
        assert np.abs(resize(np.swapaxes(stripes, 0, 1), (20, 30)) - 0.5).max() < 0.3

    def test_values_stay(self):
        found = resize(np.full((6, 6, 1), 200, np.uint8), (9, 9))
        assert found.dtype == np.float32
        assert np.allclose(found, 200)


class TestNormalizeArguments:
    IMAGE = np.arange(24.0).reshape(2, 3, 4)

    @pytest.mark.parametrize("axis", [-3, 0])
    def test_the_first_axis(self, axis):
        one = [flowseg.normalize(part) for part in self.IMAGE]
        assert np.allclose(flowseg.normalize(self.IMAGE, channel_axis=axis), one)

    @pytest.mark.parametrize("axis", [-4, 3, 1.0])
    def test_no_axis(self, axis):
        with pytest.raises(ValueError, match="channel_axis must be an axis"):
            flowseg.normalize(self.IMAGE, channel_axis=axis)

    @pytest.mark.parametrize(
        ("low", "high", "sentence"),
        [
            (50, 50, "low must be less than high"),
            (0, 100.5, "high must be"),
            (-0.5, 99, "low must be"),
            (100.5, 100, "low must be a number"),
        ],
    )
    def test_percentiles(self, low, high, sentence):
        with pytest.raises(ValueError, match=sentence):
            flowseg.normalize(self.IMAGE, low=low, high=high)

    def test_full_range(self):
        found = flowseg.normalize(self.IMAGE, low=0, high=100)
        assert (found.min(), found.max()) == (0, 1)

    def test_a_volume_along_one_axis(self):
        volume = np.random.default_rng(0).random((12, 5, 6, 2)).astype(np.float32)
        found = resize(volume, (4, 5, 6))
        turned = resize(np.moveaxis(volume, 0, 1).reshape(5, 12, 12), (5, 4)).reshape(5, 4, 6, 2)
        assert np.allclose(found, np.moveaxis(turned, 1, 0), atol=1e-6)
        assert resize(volume, (12, 5, 6)) is volume
