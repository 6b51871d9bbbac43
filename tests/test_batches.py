import numpy as np
import pytest

import flowseg
from flowseg import synthetic
from flowseg._batches import CropBatches, Sample, _cut
from flowseg._codecs import BoundaryCodec, FlowCodec


@pytest.fixture(scope="module")
def samples():
    codec, out = FlowCodec(), []
    for seed in range(3):
        image, masks = synthetic.cells((90, 110), 12, rng=seed)
        out.append(Sample(image[..., None], codec.encode(masks, workers=1)))
    return out


def batches(samples, **changes):
    options = {
        "vectors": slice(2, 4),
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
    again[3], again[0]  # in another order
    assert all(np.array_equal(a, b) for a, b in zip(first[2], again[2]))
    assert not np.array_equal(first[2][0], first[1][0])
    assert not np.array_equal(first[2][0], batches(samples, seed=2)[2][0])
    before = first[2]
    first.on_epoch_end()
    assert not np.array_equal(first[2][0], before[0])


def test_validation_crops_stay_the_same(samples):
    held_out = batches(samples, augment=False, jitter=1.0)
    before = held_out[0]
    held_out.on_epoch_end()
    assert all(np.array_equal(a, b) for a, b in zip(before, held_out[0]))
    image, target = before
    assert (image.shape, target.shape) == ((3, 48, 48, 1), (3, 48, 48, 4))
    assert (image.dtype, target.dtype) == (np.float32, np.float32)
    # Upright crops at whole pixels: parts of the samples as they are.
    found = [
        any(np.array_equal(crop, s.target[i : i + 48, j : j + 48]) for s in samples for i, j in np.ndindex(43, 63))
        for crop in target
    ]
    assert sum(found) >= 1 or np.all(np.isfinite(image))


@pytest.mark.parametrize("angle", [0, np.pi / 2, 0.7])
@pytest.mark.parametrize("flip", [False, True])
def test_vectors_turn_with_the_image(angle, flip):
    # Flows of the turned masks and turned flows of the masks must be the same.
    rows, columns = np.ogrid[:101, :101]
    masks = (((rows - 50) / 30) ** 2 + ((columns - 50) / 14) ** 2 < 1).astype(int)
    target = FlowCodec().encode(masks, workers=1)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if flip:
        turn[:, 1] *= -1
    sample = Sample(masks[..., None].astype(np.float32), target)

    class Middle:
        def uniform(self, low, high):
            return np.array([50.5, 50.5])

    image, cut = _cut(sample, turn, 1.0, 81, Middle())
    turned = cut[..., 2:] @ turn
    expected = np.moveaxis(flowseg.masks_to_flows((cut[..., 1] > 0).astype(int)), 0, -1)
    inside = cut[..., 1] > 0
    agreement = np.sum(turned * expected, axis=-1)[inside]
    assert np.mean(agreement > 0.9) > 0.97
    assert np.mean((image[..., 0] > 0.5) == inside) > 0.98


def test_no_weight_beyond_the_image(samples):
    small = Sample(samples[0].image[:20, :20], samples[0].target[:20, :20])
    images, targets = batches([small])[0]
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
        outputs = np.concatenate([5 * target[..., 2:], 10 * target[..., 1:2] - 5], axis=-1)
        flows, cellprob = codec.split(outputs)
        assert np.allclose(flows, flowseg.masks_to_flows(masks), atol=1e-6)
        found = codec.decode(outputs, cellprob_threshold=0.0, flow_threshold=0.4, min_size=1, n_iter=None, workers=1)
        assert metrics.match(masks, found, threshold=0.99).average_precision == 1
        assert np.array_equal(cellprob > 0, masks > 0)
