import numpy as np
import pytest

import flowseg
from flowseg import synthetic
from flowseg._nets.training import augmentation
from flowseg._nets.training import batches as crop_batches
from flowseg._nets.training.augmentation import cut_crop
from flowseg._nets.training.batches import CropBatches
from flowseg._nets.training.samples import Sample
from flowseg._segmenters.codecs.boundary_codec import BoundaryCodec
from flowseg._segmenters.codecs.codec import Outputs
from flowseg._segmenters.codecs.flow_codec import FlowCodec
from flowseg._segmenters.learned_decoding.find_objects import Decoding


@pytest.fixture(scope="module")
def samples():
    pairs = [synthetic.cells((90, 110), 12, rng=seed) for seed in range(3)]
    return [Sample(image[..., None], masks) for image, masks in pairs]


def batches(samples, **changes):
    options = {
        "codec": FlowCodec(),
        "crop_shape": (48, 48),
        "batch_size": 3,
        "n_batches": 4,
        "jitter": 1.3,
        "augment": True,
        "seed": 1,
    }
    return CropBatches(samples, **(options | changes))


def test_a_batch_depends_on_seed_epoch_and_number_only(samples):
    first, again = batches(samples), batches(samples)
    again.make(0, 3), again.make(5, 0)  # in another order
    assert all(np.array_equal(a, b) for a, b in zip(first.make(0, 2), again.make(0, 2)))
    for other in (first.make(0, 1), first.make(1, 2), batches(samples, seed=2).make(0, 2)):
        assert not np.array_equal(first.make(0, 2)[0], other[0])


@pytest.mark.parametrize("n", [1, 2, 5])
def test_batches_come_in_order_and_all(samples, n):
    made = batches(samples, n_batches=n)
    ahead = list(made.epoch(3))
    assert len(ahead) == n
    for i, pair in enumerate(ahead):
        assert all(np.array_equal(a, b) for a, b in zip(pair, made.make(3, i)))


def test_validation_crops_stay_the_same(samples):
    held_out = batches(samples, augment=False, jitter=1.0)
    before = held_out.make(0, 0)
    assert all(np.array_equal(a, b) for a, b in zip(before, held_out.make(1, 0)))
    image, target = before
    assert (image.shape, target.shape) == ((3, 48, 48, 1), (3, 48, 48, 4))
    assert (image.dtype, target.dtype) == (np.float32, np.float32)
    # Upright crops at whole pixels: parts of the samples as they are.
    foregrounds = [s.masks > 0 for s in samples]
    for crop in target:
        parts = (f[i : i + 48, j : j + 48] for f in foregrounds for i, j in np.ndindex(43, 63))
        assert any(np.array_equal(crop[..., 1], part) for part in parts)


@pytest.mark.parametrize("angle", [0, np.pi / 2, 0.7])
@pytest.mark.parametrize("flip", [False, True])
def test_masks_rotate_with_the_image(angle, flip):
    rows, columns = np.ogrid[:101, :101]
    masks = (((rows - 50) / 30) ** 2 + ((columns - 50) / 14) ** 2 < 1).astype(np.int32)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if flip:
        rotation[:, 1] *= -1

    class Middle:
        def uniform(self, low, high):
            return np.array([50.5, 50.5])

    sample = Sample(masks[..., None].astype(np.float32), masks)
    crop = cut_crop(sample, rotation, 1.0, (81, 81), Middle())
    image, cut = crop.image, crop.masks
    assert 0.95 < (cut > 0).sum() / masks.sum() < 1.05
    assert np.mean((image[..., 0] > 0.5) == (cut > 0)) > 0.98


def test_targets_are_those_of_the_crop(samples):
    # An object that the crop cuts has flows that lead to the center of its visible part.
    _, targets = batches(samples).make(0, 0)
    for target in targets:
        inside = target[..., 1] > 0
        length = np.linalg.norm(target[..., 2:], axis=-1)
        lone = inside & (length == 0)  # all that is seen of an object, or its center
        assert np.allclose(length[inside & ~lone], 1, atol=1e-5)
        assert lone.sum() <= 0.01 * inside.sum()
        assert not target[~inside][:, 2:].any()
        assert not target[0][..., 2].clip(max=0).any()  # nothing leads out of the crop
        assert not target[-1][..., 2].clip(min=0).any()


def test_a_crop_may_look_like_a_binary_mask():
    masks = np.zeros((10, 10), np.int32)
    masks[2:5, 2:5] = masks[6:9, 6:9] = 255
    assert FlowCodec().encode(masks, workers=1)[..., 1].sum() == 18


def test_no_weight_beyond_the_image(samples):
    small = Sample(samples[0].image[:20, :20], samples[0].masks[:20, :20])
    images, targets = batches([small]).make(0, 0)
    assert np.isfinite(images).all()
    assert 0.02 < targets[..., 0].mean() < 0.6
    outside = targets[..., 0] == 0
    assert not targets[outside].any()


def test_ignored_pixels_have_no_weight():
    masks = np.zeros((10, 10), int)
    masks[2:6, 2:6], masks[8] = 1, -1
    for codec in (FlowCodec(), BoundaryCodec()):
        target = codec.encode(masks, workers=1)
        assert np.array_equal(target[..., 0], masks >= 0)
    assert np.array_equal(BoundaryCodec().encode(masks, workers=1)[..., 1:].sum(axis=-1), np.ones((10, 10)))


def test_an_object_cut_by_pixels_not_annotated_has_no_boundary_there():
    masks = np.zeros((8, 12), int)
    masks[1:4, 2:8], masks[5:, 2:] = 1, 2
    seen = BoundaryCodec().encode(masks[:, :8], workers=1)
    masks[:, 8:] = -1
    beside = BoundaryCodec().encode(masks, workers=1)
    assert np.array_equal(beside[:, :8], seen)
    assert not beside[:, 8:, 0].any()
    BoundaryCodec().encode(np.full((4, 4), -1), workers=1)


def test_boundary_target_and_back(pairs):
    # Encoding and decoding without a network: nearly all objects come back.
    from flowseg import metrics

    codec = BoundaryCodec()
    true = [m for _, m in pairs]
    found = [codec.decode(Outputs(codec.encode(m, workers=1)[..., 1:], 1.0), Decoding()) for m in true]
    assert metrics.average_precision(true, found, thresholds=[0.5, 0.75]).min() > 0.95


def test_flow_target_and_back(pairs):
    from flowseg import metrics

    codec = FlowCodec()
    for _, masks in pairs:
        target = codec.encode(masks, workers=1)
        outputs = np.concatenate([target[..., 2:], 10 * target[..., 1:2] - 5], axis=-1)
        flows, cellprob = codec.split(outputs)
        assert np.allclose(flows, flowseg.masks_to_flows(masks), atol=1e-6)
        found = flowseg.flows_to_masks(flows, cellprob, min_size=1)
        assert metrics.match(masks, found, threshold=0.99).average_precision == 1
        assert np.array_equal(cellprob > 0, masks > 0)


@pytest.mark.parametrize("shape", [(48, 48), (48, 90), (30, 48)])
def test_a_crop_as_large_as_the_image_is_the_image(shape):
    # Half a pixel off, and it would be neither.
    rng = np.random.default_rng(0)
    sample = Sample(rng.random((*shape, 2)).astype(np.float32), rng.integers(0, 9, shape).astype(np.int32))
    images, targets = batches([sample], augment=False, jitter=1.0).make(0, 0)
    top = (48 - shape[0]) // 2
    rows = slice(top, top + shape[0])
    assert (targets[:, rows, :, 0] == 1).all()
    assert not targets[:, : rows.start, :, 0].any()
    assert not targets[:, rows.stop :, :, 0].any()
    for image, target in zip(images, targets):
        if shape[1] == 48:
            assert np.allclose(image[rows], sample.image, atol=1e-6)
            assert np.array_equal(target[rows, :, 1], sample.masks > 0)
        if top:  # beyond the image is its mirror image
            assert np.allclose(image[top - 5 : top], sample.image[5:0:-1], atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
def test_an_image_of_one_row(axis):
    masks = np.arange(1, 10, dtype=np.int32).reshape((1, 9) if axis == 0 else (9, 1))
    sample = Sample(masks[..., None].astype(np.float32), masks)
    crop = cut_crop(sample, np.eye(2), 1.0, (9, 9), np.random.default_rng(0))
    image, cut = crop.image, crop.masks
    assert np.array_equal(np.take(cut, 4, axis), np.arange(1, 10))
    assert np.count_nonzero(cut >= 0) == 9
    assert np.allclose(image[..., 0], np.broadcast_to(masks, (9, 9)))


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_a_scaled_crop_has_the_same_middle(scale):
    masks = np.arange(24 * 24).reshape(24, 24).astype(np.int32)
    sample = Sample(masks[..., None].astype(np.float32), masks)
    size = int(24 * scale)
    crop = cut_crop(sample, np.eye(2), scale, (size, size), np.random.default_rng(0))
    image, cut = crop.image, crop.masks
    if scale == 2:  # but for the outer halves of the outermost pixels, which lie beyond all pixels' middles
        expected = np.full((size, size), -1)
        expected[1:-1, 1:-1] = np.kron(masks, np.ones((2, 2), int))[1:-1, 1:-1]
        assert np.array_equal(cut, expected)
    else:
        assert np.allclose(image[..., 0], masks.reshape(12, 2, 12, 2).mean(axis=(1, 3)), atol=1e-4)
    assert image[..., 0].mean() == pytest.approx(masks.mean(), rel=1e-4)


def test_crops_come_from_everywhere():
    # Their middles reach from half a crop from one end to half a crop from the other, and no further.
    masks = np.broadcast_to(np.arange(1, 201)[:, None], (200, 60)).astype(np.int32)
    sample = Sample(masks[..., None].astype(np.float32), masks)
    rng = np.random.default_rng(0)
    first = np.array([cut_crop(sample, np.eye(2), 1.0, (40, 40), rng).image[0, 0, 0] for _ in range(400)])
    assert 1 <= first.min() < 4
    assert 158 < first.max() <= 161
    assert np.median(first) == pytest.approx(81, abs=12)


class TestLight:
    """Every channel has a gamma, a gain and an offset of its own."""

    @staticmethod
    def change_intensities(value, monkeypatch, channels=3, n=300, noise=(0.0, 0.0)):
        monkeypatch.setattr(augmentation, "NOISE", noise)
        rng = np.random.default_rng(0)
        image = np.full((4, 4, channels), value, np.float32)
        made = np.stack([augmentation.change_intensities(image, rng) for _ in range(n)])
        assert made.dtype == np.float32
        return made

    @pytest.mark.parametrize(
        ("value", "low", "high"), [(0.0, -0.15, 0.15), (1.0, 0.55, 1.45), (0.25, 0.25**1.4 * 0.7 - 0.15, 0.66)]
    )
    def test_ranges(self, value, low, high, monkeypatch):
        made = self.change_intensities(value, monkeypatch)[:, 0, 0]
        assert low <= made.min() < low + 0.08 * (high - low) + 0.02
        assert high - 0.08 * (high - low) - 0.02 < made.max() <= high

    @pytest.mark.parametrize("ranges", ["GAIN", "OFFSET", "GAMMA"])
    def test_channels_differ_in_each(self, ranges, monkeypatch):
        still = {"GAIN": (1.0, 1.0), "OFFSET": (0.0, 0.0), "GAMMA": (1.0, 1.0)}
        for name, value in still.items():
            if name != ranges:
                monkeypatch.setattr(augmentation, name, value)
        made = self.change_intensities(0.5, monkeypatch)[:, 0, 0]
        assert all(abs(np.corrcoef(made[:, a], made[:, b])[0, 1]) < 0.3 for a, b in ((0, 1), (0, 2), (1, 2)))
        assert (np.ptp(made, axis=1) > 0).all()

    def test_all_pixels_of_a_channel_alike(self, monkeypatch):
        made = self.change_intensities(0.5, monkeypatch)
        assert np.ptp(made.reshape(300, 16, 3), axis=1).max() < 1e-6

    def test_values_below_nought_stay_below(self, monkeypatch):
        monkeypatch.setattr(augmentation, "OFFSET", (0.0, 0.0))
        assert (self.change_intensities(-0.5, monkeypatch) < 0).all()

    def test_noise(self, monkeypatch):
        made = self.change_intensities(0.0, monkeypatch, n=400, noise=augmentation.NOISE)
        spread = (made - made.mean(axis=(1, 2), keepdims=True)).std(axis=(1, 2, 3))
        assert 0.002 < np.quantile(spread, 0.1) < 0.012
        assert 0.045 < spread.max() < 0.08


def test_rotations_have_any_angle_and_a_flip_half_of_the_time():
    rng = np.random.default_rng(0)
    rotations = np.stack([augmentation.random_rotation(rng) for _ in range(4000)])
    assert np.allclose(rotations @ rotations.transpose(0, 2, 1), np.eye(2))
    flipped = np.linalg.det(rotations) < 0
    assert 1850 < flipped.sum() < 2150
    angles = np.arctan2(rotations[:, 1, 0], rotations[:, 0, 0])
    n = np.histogram(angles, 8, (-np.pi, np.pi))[0]
    assert 400 < n.min() < n.max() < 600


def test_scales_are_as_often_up_as_down(samples, monkeypatch):
    seen = []
    monkeypatch.setattr(crop_batches, "cut_crop", lambda *a: seen.append(a[2]) or cut_crop(*a))
    batches(samples, batch_size=200).make(0, 0)
    assert 1 / 1.3 <= min(seen) < 0.79
    assert 1.28 < max(seen) <= 1.3
    assert abs(np.mean(np.log(seen))) < 0.03


def test_every_sample_comes(samples, monkeypatch):
    seen = []
    monkeypatch.setattr(crop_batches, "cut_crop", lambda *a: seen.append(id(a[0])) or cut_crop(*a))
    batches(samples, batch_size=60).make(0, 0)
    assert len(set(seen)) == 3


def test_batches_are_made_ahead_and_no_further(samples):
    made = batches(samples, n_batches=6)
    asked = []
    make = made.make
    made.make = lambda epoch, index: asked.append(index) or make(epoch, index)
    coming = made.epoch(0)
    next(coming)
    import time

    time.sleep(0.3)
    assert 1 <= len(asked) <= 3
    assert list(asked) == list(range(len(asked)))
    assert len(list(coming)) == 5
    assert asked == list(range(6))
