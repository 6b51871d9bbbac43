"""Sizes of objects, by numbers: without a network."""

import numpy as np
import pytest

from flowseg._nets.sizes import (
    EXTREME_SCALE,
    FIRST_REDUCTION,
    MAX_ENLARGEMENT,
    MAX_PASSES,
    MAX_SCALE,
    MAX_WORKING,
    MIN_WORKING,
    SAME_SIZE,
    Sizes,
    SizeSearch,
    bounds_of,
    check_sizes,
    choose_working,
    diameter_of_sizes,
    image_diameter,
    image_diameters,
    is_same_size,
    read_sizes,
    scale_factor,
)

SIZES = Sizes(working=32.0, estimate=True, low=10.0, high=60.0)


def square(side):
    masks = np.zeros((60, 60), int)
    masks[5 : 5 + side, 5 : 5 + side] = 1
    return masks


def test_constants():
    assert (MIN_WORKING, MAX_WORKING, EXTREME_SCALE, MAX_SCALE) == (24, 40, 1 / 32, 12)
    assert (MAX_ENLARGEMENT, SAME_SIZE, MAX_PASSES) == (4, 1.1, 8)
    assert FIRST_REDUCTION == {2: 2, 3: 1}


@pytest.mark.parametrize(
    ("found", "bound", "enlarged"), [(5, 10, 8), (9, 10, 9), (10, 10, 10), (99, 60, 99), (60, 60, 60)]
)
def test_bounds(found, bound, enlarged):
    assert SIZES.bound(found) == bound
    assert SIZES.bound_enlargement(found) == enlarged
    assert Sizes(32.0, True, 5.0, 60.0).bound_enlargement(found) == max(5, found)


def test_widened():
    assert SIZES.widened(Sizes(30.0, False, 8.0, 70.0)) == Sizes(32.0, True, 8.0, 70.0)
    assert SIZES.widened(Sizes(30.0, False, 12.0, 50.0)) == SIZES


@pytest.mark.parametrize(
    ("seen", "found", "first", "bounded", "size"),
    [
        (30, np.nan, True, True, None),
        (30, 32, True, True, None),  # the same size
        (30, 33.1, True, True, 33.1),
        (30, 27.2, True, True, 27.2),  # a smaller one counts at first
        (30, 27.2, False, True, None),
        (30, 40, False, True, 40),
        (30, 90, True, True, 60),
        (30, 90, True, False, 90),
        (30, 3, True, True, 10),
        (30, 3, True, False, 8),
        (60, 90, True, True, None),  # bounded it is the same again
        (30, 30, False, False, None),
    ],
)
def test_next_pass(seen, found, first, bounded, size):
    assert SIZES.next_pass(seen, found, first=first, bounded=bounded) == size


@pytest.mark.parametrize(("typical", "ndim", "first"), [(30, 2, 60), (30, 3, 30), (800, 2, 1024), (2000, 2, 2000)])
def test_the_first_pass_is_coarse(typical, ndim, first):
    """Unless the axes are those of a volume; and an image is reduced no more than any."""
    assert SizeSearch(SIZES, typical, ndim, bounded=True).first == first


def test_where_the_first_pass_finds_nothing_the_second_counts_as_first():
    search = SizeSearch(SIZES, 30.0, 2, bounded=True)
    assert search.next_pass(60.0, 60.0, np.nan) == 30.0
    assert not search.is_last(30.0, 60.0)
    assert search.next_pass(30.0, 30.0, 15.0) == 15.0
    assert search.is_last(15.0, 30.0)
    assert search.next_pass(30.0, 30.0, np.nan) is None
    assert search.next_pass(15.0, 15.0, 12.0) is None


def test_same_size():
    assert is_same_size(10, 11)
    assert is_same_size(11, 10)
    assert not is_same_size(10, 11.001)
    assert not is_same_size(11.001, 10)


def test_diameters_of_images():
    area = 2 * np.sqrt(100 / np.pi)
    assert image_diameter(square(10)) == pytest.approx(area)
    assert np.isnan(image_diameter(square(0)))
    assert image_diameters([square(10), square(0), square(20)]) == pytest.approx([area, 2 * area])


@pytest.mark.parametrize("shape", [(50, 60), (9, 20, 21)])
@pytest.mark.parametrize("n", [0, 1, 2, 7, 8])
def test_diameters_of_images_from_the_sizes_of_objects(n, shape):
    rng = np.random.default_rng(n)
    masks = rng.integers(0, n + 1, shape)
    masks[rng.random(shape) < 0.5] = min(n, 1)
    sizes = rng.permutation(np.unique(masks[masks > 0], return_counts=True)[1])
    assert np.array_equal(diameter_of_sizes(sizes, (1.0,) * masks.ndim), image_diameter(masks), equal_nan=True)


@pytest.mark.parametrize(
    ("diameter", "typical", "working"),
    [("auto", 30, 30), ("auto", 10, 24), ("auto", 50, 40), (10, 30, 10), (99, 30, 99)],
)
def test_working(diameter, typical, working):
    assert choose_working(diameter, typical) == working


@pytest.mark.parametrize(
    ("diameters", "bounds"),
    [
        ([20, 30, 40], (20, 40)),
        ([1, 30, 40], (8, 40)),  # no image is enlarged more than four times
        ([5, 6, 7], (6, 7)),  # but for the typical one
        ([20, 30, 4000], (20, 1024)),
        ([1, 2, 3], (2, 3)),
    ],
)
def test_bounds_of_training_images(diameters, bounds):
    assert bounds_of(np.array(diameters, float), 32.0) == bounds


class TestScale:
    @pytest.mark.parametrize(("size", "factor"), [(32, 1), (1024, 1 / 32), (32 / 12, 12), (64, 0.5), (16, 2)])
    def test_within(self, size, factor):
        assert scale_factor(32.0, size, "x") == pytest.approx(factor)

    def test_at_the_very_ends(self):
        assert scale_factor(12.0, 1.0, "x") == 12
        assert scale_factor(1.0, 32.0, "x") == 1 / 32

    @pytest.mark.parametrize(
        ("size", "change"), [(1, "enlarge the image 32 times"), (2048, "reduce the image 64 times")]
    )
    def test_beyond(self, size, change):
        expected = (
            f"^x must be from 2.67 to 1.02e.03 pixels for a working diameter of 32 pixels; got .*, would {change}"
        )
        with pytest.raises(ValueError, match=expected.replace(", would", ", which would")):
            scale_factor(32.0, size, "x")


class TestChecks:
    @pytest.mark.parametrize("values", [("auto", "auto"), (4.0, True), (4, False), (1e3, "auto")])
    def test_right(self, values):
        check_sizes(*values)

    @pytest.mark.parametrize(
        ("values", "sentence"),
        [
            (("other", "auto"), "diameter must be a number or 'auto'; got 'other'"),
            ((3.9, "auto"), "diameter must be a number of at least 4; got 3.9"),
            ((30, "maybe"), "estimate_diameters must be True, False or 'auto'"),
            ((30, 1), "estimate_diameters must be True or False; got 1"),
        ],
    )
    def test_wrong(self, values, sentence):
        with pytest.raises((ValueError, TypeError), match=sentence):
            check_sizes(*values)

    GOOD = {"working": 32.0, "estimate": True, "low": 10.0, "high": 60.0}

    def test_a_document(self):
        assert read_sizes(self.GOOD) == SIZES
        assert read_sizes(self.GOOD | {"low": 60}) == Sizes(32.0, True, 60.0, 60.0)
        assert read_sizes({"working": 0.5, "estimate": False, "low": 0.5, "high": 0.5}).low == 0.5

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({"working": 0}, "sizes' working must be a number above 0; got 0"),
            ({"low": 0.0}, "sizes' low must be a number above 0"),
            ({"high": np.nan}, "sizes' high must be a number above 0; got nan"),
            ({"high": np.inf}, "sizes' high must be a number above 0; got inf"),
            ({"high": 9.9}, "sizes must have low no larger than high; got 10 and 9.9"),
            ({"high": 2000.0}, "sizes' high must be from"),
            ({"low": 1.0}, "sizes' low must be from"),
            ({"estimate": 1}, "sizes' estimate must be True or False"),
            ({"more": 1}, "sizes must be an object with working, estimate, low, high"),
        ],
    )
    def test_others(self, change, sentence):
        with pytest.raises((ValueError, TypeError), match=sentence):
            read_sizes(self.GOOD | change)
        with pytest.raises(ValueError, match="sizes must be an object"):
            read_sizes([])
