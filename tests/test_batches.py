import numpy as np
import pytest

import flowseg
from flowseg import synthetic
from flowseg._batches import CropBatches, Sample, _cut
from flowseg._codecs import BoundaryCodec, FlowCodec


@pytest.fixture(scope="module")
def samples():
    pairs = [synthetic.cells((90, 110), 12, rng=seed) for seed in range(3)]
    return [Sample(image[..., None], masks) for image, masks in pairs]


def batches(samples, **changes):
    options = {
        "codec": FlowCodec(),
        "crop_size": 48,
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
def test_masks_turn_with_the_image(angle, flip):
    rows, columns = np.ogrid[:101, :101]
    masks = (((rows - 50) / 30) ** 2 + ((columns - 50) / 14) ** 2 < 1).astype(np.int32)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if flip:
        turn[:, 1] *= -1

    class Middle:
        def uniform(self, low, high):
            return np.array([50.5, 50.5])

    image, cut = _cut(Sample(masks[..., None].astype(np.float32), masks), turn, 1.0, 81, Middle())
    assert 0.95 < (cut > 0).sum() / masks.sum() < 1.05
    assert np.mean((image[..., 0] > 0.5) == (cut > 0)) > 0.98


def test_targets_are_those_of_the_crop(samples):
    # An object that the crop cuts has flows that lead to the centre of its visible part.
    _, targets = batches(samples).make(0, 0)
    for target in targets:
        inside = target[..., 1] > 0
        length = np.linalg.norm(target[..., 2:], axis=-1)
        lone = inside & (length == 0)  # all that is seen of an object, or its centre
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


def test_an_object_that_goes_on_where_nobody_knows_has_no_boundary_there():
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
    found = [codec.decode(codec.encode(m, workers=1)[..., 1:], min_size=15, scale=1.0) for m in true]
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
