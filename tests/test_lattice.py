"""Spacing: the lattice of a network, the crops and turns that it allows, and sizes in pixels of the finest axis."""

import numpy as np
import pytest
from scipy import ndimage

import flowseg
from flowseg._labels.diameters import diameters_of_sizes
from flowseg._labels.expansion import expand_objects
from flowseg._nets.lattice import (
    Lattice,
    PixelShape,
    find_crop_shape,
    find_turns,
    is_same_spacing,
    learn_lattice,
    read_lattice,
)
from flowseg._nets.sizes import Sizes, choose_working, image_diameter, image_diameters
from flowseg._nets.training.augmentation import cut_crop, random_rotation
from flowseg._nets.training.samples import Sample, resize_annotated
from flowseg._segmenters.inputs import as_spacings
from flowseg._segmenters.noise_check import LEAST_SHARPNESS, sharpness


class TestLearn:
    @pytest.mark.parametrize(
        ("spacing", "levels"),
        [
            ((1, 1, 1), (0, 0, 0)),
            ((1.41, 1, 1), (0, 0, 0)),
            ((1.42, 1, 1), (1, 0, 0)),
            ((0.284, 0.127, 0.127), (1, 0, 0)),
            ((4, 1, 1), (2, 0, 0)),
            ((30, 1, 1), (2, 0, 0)),  # as many as the network has poolings
            ((1, 3, 6), (0, 2, 2)),
            ((2, 1), (1, 0)),
        ],
    )
    def test_coarse_levels(self, spacing, levels):
        found = learn_lattice([tuple(map(float, spacing))], len(spacing), 2)
        assert found == Lattice(tuple(map(float, spacing)), levels)

    def test_the_median_of_several(self):
        spacings = [(1.0, 1.0, 1.0), (4.0, 1.0, 1.0), (2.0, 1.0, 1.0)]
        assert learn_lattice(spacings, 3, 2) == Lattice((2.0, 1.0, 1.0), (1, 0, 0))

    def test_without_spacing(self):
        assert learn_lattice([None, None], 3, 2) == Lattice(None, (0, 0, 0))
        pixel = Lattice(None, (0, 0)).pixel(None)
        assert pixel == PixelShape((1.0, 1.0), 1.0, (0, 0))
        assert pixel.factors(0.7) == (0.7, 0.7)


class TestPixel:
    """No axis is enlarged by more than the root of 2 for its spacing alone."""

    LATTICE = Lattice((0.284, 0.127, 0.127), (1, 0, 0))

    def test_of_the_training_images(self):
        pixel = self.LATTICE.pixel(None)
        assert pixel.relative_size == 1
        assert pixel.factors(0.5) == pytest.approx((0.5 * 0.284 / 0.127 / 2, 0.5, 0.5))
        assert self.LATTICE.pixel((0.284, 0.127, 0.127)) == pixel

    def test_of_other_images(self):
        pixel = self.LATTICE.pixel((0.254, 0.254, 0.254))
        assert (pixel.ratios, pixel.relative_size) == ((1, 1, 1), 2)
        # The network sees voxels of the proportions of the training, whatever those of the image.
        assert pixel.factors(1.0) == (0.5, 1, 1)

    def test_differs(self):
        assert not self.LATTICE.differs(None)
        assert not self.LATTICE.differs((0.2845, 0.1268, 0.1271))
        assert self.LATTICE.differs((0.284, 0.127, 0.13))
        assert not Lattice(None, (0, 0, 0)).differs((3.0, 1.0, 1.0))
        assert is_same_spacing((1.0,), (1.009,))
        assert not is_same_spacing((1.0,), (1.011,))


class TestRead:
    @pytest.mark.parametrize("lattice", [Lattice(None, (0, 0, 0)), Lattice((2.0, 1.0, 1.0), (1, 0, 0))])
    def test_round_trip(self, lattice):
        from dataclasses import asdict

        document = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(lattice).items()}
        assert read_lattice(document, 3, 2) == lattice
        assert read_lattice(None, 2, 4) == Lattice(None, (0, 0))

    @pytest.mark.parametrize(
        ("document", "sentence"),
        [
            ({"spacing": None}, "lattice must be an object with coarse_levels, spacing"),
            ([1], "lattice must be an object"),
            ({"spacing": None, "coarse_levels": [0, 0]}, r"must be 3 integers; got \[0, 0\]"),
            ({"spacing": None, "coarse_levels": 7}, "must be 3 integers; got 7"),
            ({"spacing": None, "coarse_levels": [0, 0, -1]}, "an integer of at least 0; got -1"),
            ({"spacing": None, "coarse_levels": [0, 0, 0.5]}, "an integer of at least 0; got 0.5"),
            ({"spacing": None, "coarse_levels": [3, 0, 0]}, "at most 2 for this network"),
            ({"spacing": [1, 1], "coarse_levels": [0, 0, 0]}, "spacing must be 3 numbers above 0"),
            ({"spacing": [1, 0, 1], "coarse_levels": [0, 0, 0]}, "spacing must be 3 numbers above 0"),
            ({"spacing": "far", "coarse_levels": [0, 0, 0]}, "spacing must be 3 numbers above 0"),
        ],
    )
    def test_bad_documents(self, document, sentence):
        with pytest.raises((TypeError, ValueError), match=sentence):
            read_lattice(document, 3, 2)


class TestCrops:
    def test_planes_have_squares_of_any_image(self):
        assert find_crop_shape(Lattice(None, (0, 0)), 128, [16, 16], [(20, 900)], fill=True) == (128, 128)
        assert find_crop_shape(Lattice((2.0, 1.0), (1, 0)), 128, [8, 16], [(20, 900)], fill=True) == (64, 128)

    @pytest.mark.parametrize(
        ("levels", "shape", "fill", "crop"),
        [
            ((0, 0, 0), (100, 100, 100), False, (48, 48, 48)),
            ((1, 0, 0), (100, 100, 100), False, (24, 48, 48)),
            ((2, 0, 0), (100, 100, 100), False, (12, 48, 48)),
            ((0, 0, 0), (10, 500, 500), False, (12, 48, 48)),
            ((0, 0, 0), (10, 500, 500), True, (12, 96, 96)),
            ((0, 0, 0), (1, 500, 500), True, (4, 164, 164)),
            ((0, 0, 0), (10, 60, 500), True, (12, 60, 152)),
            ((0, 0, 0), (10, 20, 30), True, (12, 20, 32)),
        ],
    )
    def test_of_volumes(self, levels, shape, fill, crop):
        steps = [2 ** (2 - level) for level in levels]
        assert find_crop_shape(Lattice(None, levels), 48, steps, [(1, 1, 1), shape], fill=fill) == crop

    @pytest.mark.parametrize(
        ("spacing", "levels", "crop", "turns"),
        [
            (None, (0, 0), (64, 64), (1, 1)),
            ((2.0, 1.0), (1, 0), (32, 64), (0, 1)),
            (None, (0, 0, 0), (48, 44, 48), (0, 2, 2)),
            (None, (0, 0, 0), (48, 20, 48), (0, 1, 2)),
            (None, (0, 0, 0), (48, 48, 48), (0, 2, 2)),  # perhaps blurred along the first axis
            ((1.0, 1.0, 1.0), (0, 0, 0), (48, 48, 48), (2, 2, 2)),
            ((1.0, 1.0, 1.0), (0, 0, 0), (12, 48, 48), (0, 2, 2)),
            ((1.2, 1.0, 1.0), (0, 0, 0), (48, 48, 48), (0, 2, 2)),
            ((2.0, 1.0, 1.0), (1, 0, 0), (24, 48, 48), (0, 2, 2)),
            ((1.0, 1.0, 2.0), (0, 0, 1), (48, 48, 24), (1, 1, 2)),
        ],
    )
    def test_turns(self, spacing, levels, crop, turns):
        assert find_turns(Lattice(spacing, levels), crop) == turns


class TestRotations:
    @staticmethod
    def rotations(turns, n=600):
        rng = np.random.default_rng(0)
        made = np.stack([random_rotation(rng, turns) for _ in range(n)])
        assert np.allclose(made @ made.transpose(0, 2, 1), np.eye(len(turns)))
        flipped = np.mean(np.linalg.det(made) < 0)
        assert 0.42 < flipped < 0.58
        return np.abs(made)

    def test_the_planes_axis_stays(self):
        made = self.rotations((0, 2, 2))
        assert np.allclose(made[:, 0], [1, 0, 0])
        assert np.ptp(made[:, 1, 1]) > 0.95

    def test_all_axes_are_exchanged(self):
        made = self.rotations((2, 2, 2))
        where = made[:, 0].argmax(axis=1)  # of the planes' axis
        assert np.allclose(made[np.arange(len(made)), 0, where], 1)
        assert min(np.bincount(where, minlength=3)) > 150

    def test_only_flips(self):
        made = self.rotations((0, 1, 2))
        assert np.allclose(made, np.eye(3))

    def test_of_one_pair(self):
        made = self.rotations((1, 1, 2))
        assert np.allclose(made[:, 2], [0, 0, 1])
        assert 0.4 < made[:, 0, 0].mean() < 0.6

    def test_masks_turn_with_the_volume(self):
        grid = np.indices((25, 25, 25)) - 12
        masks = (np.einsum("aijk,a->ijk", grid**2, [1 / 100, 1 / 36, 1 / 9]) < 1).astype(np.int32)
        sample = Sample(masks[..., None].astype(np.float32), masks)
        rng = np.random.default_rng(1)
        for _ in range(6):
            crop = cut_crop(sample, random_rotation(rng, (2, 2, 2)), 1.0, (25, 25, 25), rng)
            assert crop.image.shape == (25, 25, 25, 1)
            inside = crop.masks >= 0
            assert inside.mean() > 0.6
            assert np.mean((crop.image[..., 0] > 0.5)[inside] == (crop.masks > 0)[inside]) > 0.97
            assert 0.9 < (crop.masks > 0).sum() / masks.sum() < 1.1


@pytest.mark.parametrize("n", [1, 5])
def test_a_thin_volume_is_anywhere_in_a_crop(n):
    masks = np.broadcast_to(np.arange(1, n + 1)[:, None, None], (n, 20, 20)).astype(np.int32)
    sample = Sample(masks[..., None].astype(np.float32), masks)
    rng = np.random.default_rng(0)
    first = []
    for _ in range(200):
        line = cut_crop(sample, np.eye(3), 1.0, (8, 8, 8), rng).masks[:, 3, 4]
        assert np.array_equal(line[line >= 0], np.arange(1, n + 1))
        first.append(np.flatnonzero(line > 0)[0])
    assert set(first) == set(range(8 - n + 1))


@pytest.mark.parametrize("n", [1, 5, 13, 40, 100])
def test_no_annotated_plane_gets_lost(n):
    annotated = np.zeros((40, 6, 7), bool)
    annotated[3::8] = True
    scaled = resize_annotated(annotated, (n, 6, 7))
    assert scaled.shape == (n, 6, 7)
    planes = np.flatnonzero(scaled.all(axis=(1, 2)))
    assert np.array_equal(planes, np.flatnonzero(scaled.any(axis=(1, 2))))
    for k in range(3, 40, 8):
        assert np.any((planes <= (k + 1) * n / 40) & (planes + 1 >= k * n / 40))
    assert len(planes) >= min(n, 5)


class TestSizes:
    def test_diameters_of_the_finest_axis(self):
        ball = np.sum((np.indices((31, 31, 31)) - 15) ** 2, axis=0) < 12.0**2
        whole = flowseg.diameters(ball.astype(int))
        assert whole == pytest.approx(24, rel=0.01)
        thin = flowseg.diameters(ball[1::3].astype(int), spacing=(6.0, 2.0, 2.0))
        assert thin == pytest.approx(whole, rel=0.03)
        assert flowseg.diameters(np.ones((4, 4), int), spacing=(3, 1)) == pytest.approx(2 * np.sqrt(48 / np.pi))
        with pytest.raises(ValueError, match="spacing must be 3 numbers above 0"):
            flowseg.diameters(ball.astype(int), spacing=(1, 1))

    def test_of_an_image_and_of_training_images(self):
        masks = np.ones((2, 4, 4), int)
        expected = 2 * np.cbrt(3 * 64 / (4 * np.pi))
        assert image_diameter(masks, (2.0, 1.0, 1.0)) == pytest.approx(expected)
        pixel = PixelShape((2.0, 1.0, 1.0), 3.0, (1, 0, 0))
        assert image_diameters([masks], [pixel]) == pytest.approx([3 * expected])
        assert diameters_of_sizes(np.array([32]), (2.0, 1.0, 1.0)) == pytest.approx([expected])

    def test_working_diameters_of_volumes(self):
        assert [choose_working("auto", d, 3) for d in (5.0, 15.0, 99.0)] == [12.0, 15.0, 16.0]
        assert choose_working(30, 99.0, 3) == 30

    def test_bounds_in_other_pixels(self):
        sizes = Sizes(16.0, True, 10.0, 30.0)
        assert sizes.for_pixels(1.0) is sizes
        assert sizes.for_pixels(2.0) == Sizes(16.0, True, 5.0, 15.0)
        assert sizes.for_pixels(100.0) == Sizes(16.0, True, 16 / 12, 16 / 12)


class TestSpacings:
    def test_one_for_all_or_one_each(self):
        assert as_spacings(None, 2, 3) == [None, None]
        for one in ((2, 1, 1), [2.0, 1.0, 1.0], np.array([2, 1, 1])):
            assert as_spacings(one, 2, 3) == [(2.0, 1.0, 1.0)] * 2
        for each in ([(2, 1, 1), (3, 1, 1)], np.array([[2, 1, 1], [3, 1, 1]])):
            assert as_spacings(each, 2, 3) == [(2.0, 1.0, 1.0), (3.0, 1.0, 1.0)]

    @pytest.mark.parametrize(
        ("spacing", "sentence"),
        [
            ((1, 1), r"^spacing must be 3 numbers above 0, one per axis; got \(1, 1\)\.$"),
            ((0, 1, 1), "spacing must be 3 numbers above 0"),
            ((-1, 1, 1), "spacing must be 3 numbers above 0"),
            ((np.nan, 1, 1), "spacing must be 3 numbers above 0"),
            ((1, 1, 5000), "spacing must differ by at most a factor of 1000"),
            (2.0, "spacing must be 3 numbers above 0"),
            ("fine", "spacing must be 3 numbers above 0"),
            ([(1, 1, 1)], "one for all images, 3 numbers, or one per image, 2; got 1"),
            ([(1, 1, 1), None], "must be given for all images or for none"),
            ([(1, 1, 1), (1, 1)], r"^spacing\[1\] must be 3 numbers above 0"),
        ],
    )
    def test_bad_ones(self, spacing, sentence):
        with pytest.raises((TypeError, ValueError), match=sentence):
            as_spacings(spacing, 2, 3)


@pytest.mark.parametrize("distances", [(1.0, 3.0, 2.0), (2.5, 2.5, 2.5), (1.0, 1.0, 4.5)])
def test_objects_expand_within_an_ellipsoid(distances):
    labels = np.zeros((11, 13, 15), np.int32)
    labels[5, 6, 7] = 3
    places = (np.indices(labels.shape) - np.reshape([5, 6, 7], (3, 1, 1, 1))) / np.reshape(distances, (3, 1, 1, 1))
    expanded = expand_objects(labels, distances)
    assert np.array_equal(expanded, np.where((places**2).sum(axis=0) <= 1 + 1e-6, 3, 0))


def test_equal_distances_are_one_distance():
    rng = np.random.default_rng(0)
    labels = rng.integers(1, 9, (12, 13, 14)) * (rng.random((12, 13, 14)) < 0.02)
    for distance in (1.0, 2.3):
        one = expand_objects(labels.astype(np.int32), distance)
        assert np.array_equal(one, expand_objects(labels.astype(np.int32), (distance,) * 3))


class TestNoise:
    """Blobs in smoothed noise of three axes look like noise, drawn cells do not."""

    @pytest.mark.parametrize("sigma", [2.0, 3.0])
    @pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0)])
    def test_blobs_in_noise(self, sigma, spacing):
        noise = np.random.default_rng(0).normal(size=(40, 72, 72))
        noise = ndimage.gaussian_filter(noise, [sigma / length for length in spacing])
        masks, _ = ndimage.label(noise > np.quantile(noise, 0.9))
        assert sharpness(noise, masks, None, spacing) < LEAST_SHARPNESS

    @pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0)])
    def test_drawn_cells(self, spacing):
        image, masks = flowseg.synthetic.cells((40, 72, 72), 12, diameter=18, spacing=spacing, rng=0)
        assert sharpness(image, masks, None, spacing) > LEAST_SHARPNESS

    def test_a_volume_of_channels_and_a_single_plane(self):
        image, masks = flowseg.synthetic.cells((24, 60, 60), 8, diameter=18, rng=0)
        both = np.stack([image, np.zeros_like(image)], axis=-1)
        assert sharpness(both, masks) == sharpness(image, masks)
        assert np.isnan(sharpness(image[:1], masks[:1]))
