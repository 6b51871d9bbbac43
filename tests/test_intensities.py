import numpy as np
import pytest
from scipy import ndimage

import flowseg
from flowseg._intensities import DEFAULT, as_rule, find_limits, stretch

OFFSET = 1000


@pytest.fixture(scope="module")
def image():
    """Cells on a dark, noisy background, as 8 bits."""
    drawn, _ = flowseg.synthetic.cells((160, 160), 12, rng=0)
    return np.clip(20 + 150 * (drawn - drawn.min()) / np.ptp(drawn), 0, 255).astype(np.uint16)


def pad(image, value, width=40):
    return np.pad(image, width, constant_values=value)


def strip(image, share, value=65535):
    changed = image.copy()
    changed[:, : max(1, round(share * image.shape[1]))] = value
    return changed


def region(image, inside, value):
    return np.where(inside(*np.indices(image.shape)), value, image)


def rotate(image, order):
    return ndimage.rotate(image.astype(np.float64), 20, order=order)


MARRED = {
    "frame": lambda x: pad(x, 0),
    "frame that holds nine tenths": lambda x: pad(x, 0, 200),
    "white frame": lambda x: pad(x, 65535),
    "frame below all": lambda x: pad(x.astype(np.int32), -32768),
    "one side": lambda x: np.pad(x, ((0, 0), (50, 0))),
    "floats": lambda x: pad(x / 7.0, 0.0) * 7,
    "rotated": lambda x: rotate(x, 0),
    "rotated, with mixed values at the edge": lambda x: rotate(x, 1),
    "round field": lambda x: region(x, lambda r, c: np.hypot(r - 80, c - 80) > 79, 0),
    "missing tile": lambda x: region(x, lambda r, c: (r > 40) & (r < 80) & (c > 60) & (c < 100), 0),
    "narrow strip": lambda x: strip(x, 0.005),
    "strip": lambda x: strip(x, 0.025),
    "wide strip": lambda x: strip(x, 0.2),
    "scale bar": lambda x: region(x, lambda r, c: (r > 140) & (r < 149) & (c > 60) & (c < 140), 65535),
    "frame and strip": lambda x: strip(pad(x, 0), 0.03),
}


@pytest.mark.parametrize("name", MARRED)
def test_padding_is_left_out(name, image):
    marred = MARRED[name](image + OFFSET)
    expected = find_limits((image + OFFSET)[..., None])
    found = find_limits(marred[..., None])
    span = expected.high - expected.low
    assert np.isfinite(found.bottom).all()
    assert abs(found.low - expected.low) < 0.06 * span
    assert abs(found.high - expected.high) < 0.2 * span
    seen = stretch(marred[..., None], found)
    assert seen[marred == marred.flat[0]].max() < 0.1 or name in ("missing tile", "scale bar")
    assert seen.min() > -1  # no pit where there is no picture
    assert seen.max() < 3
    assert np.array_equal(flowseg.normalize(marred), seen[..., 0])


def test_a_strip_at_the_largest_value_of_the_type(image):
    # Nothing tells it from the brightest nuclei but its outline.
    eight = np.clip(image * 1.6, 0, 255).astype(np.uint8)
    assert np.isfinite(find_limits(strip(eight, 0.1, 255)[..., None]).bottom).all()


SOUND = {
    "as it is": lambda x: x,
    "nuclei saturated": lambda x: np.clip(x * 3, 0, 255).astype(np.uint8),
    "background of exactly 0": lambda x: np.where(x > 60, x, 0),
    "background subtracted": lambda x: np.clip(x.astype(int) - 40, 0, None),
    "three gray levels of background": lambda x: x // 16,
    "inverted": lambda x: 255 - x,
    "binary": lambda x: (x > 60).astype(np.uint8),
    "crisp nuclei on noise": lambda x: np.where(x > 60, 255, np.random.default_rng(0).integers(0, 30, x.shape)),
    "crisp dark nuclei on noise": lambda x: np.where(x > 60, 0, np.random.default_rng(0).integers(200, 230, x.shape)),
    "a gradient": lambda x: np.add.outer(np.arange(160), np.arange(160)),
}


@pytest.mark.parametrize("name", SOUND)
def test_images_without_padding_are_stretched_to_their_percentiles(name, image):
    sound = SOUND[name](image)
    limits = find_limits(sound[..., None])
    low, high = np.percentile(sound, [1, 99])
    assert (limits.low, limits.high) == (low, high)
    assert np.isinf(limits.bottom).all()


def test_nothing_is_left_out_of_real_images(shared):
    from flowseg import io

    files = sorted((shared / "data" / "dsb2018" / "test_open" / "images").iterdir())
    assert files
    for file in files:
        assert np.isinf(find_limits(io.read_image(file)[..., None]).bottom).all(), file.name


def test_volumes_are_padded_too(image):
    volume = np.stack([image + OFFSET] * 8)
    expected = flowseg.normalize(volume)
    found = flowseg.normalize(np.pad(volume, ((0, 0), (30, 30), (30, 30))))
    assert np.allclose(found[:, 32:-32, 32:-32], expected[:, 2:-2, 2:-2], atol=0.05)


def test_channels_are_judged_one_by_one(image):
    both = np.stack([pad(image + OFFSET, 0), pad(image, 0)[::-1] + 5], axis=-1)
    limits = find_limits(both)
    alone = find_limits(both[..., :1])
    assert limits.low[0] == alone.low[0]
    assert limits.bottom[0] == alone.bottom[0]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (None, None),
        (("percentiles", 1, 99), ("percentiles", 1.0, 99.0)),
        (["percentiles", 0.1, np.float32(50)], ("percentiles", 0.1, 50.0)),
        (("limits", 0, 4095), ("limits", (0.0, 4095.0))),
        (["limits", [0, 1], [-5, 5]], ("limits", (0.0, 1.0), (-5.0, 5.0))),
    ],
)
def test_rules(rule, expected):
    assert as_rule(rule, 2) == expected


@pytest.mark.parametrize(
    ("rule", "error", "sentence"),
    [
        ("none", TypeError, "normalize must be .* or None; got 'none'"),
        (3, TypeError, "normalize must be .*; got 3"),
        ((1, 99), TypeError, r"normalize must be .*; got \(1, 99\)"),
        (("minmax", 0, 1), ValueError, "normalize must be .*; got"),
        (("percentiles",), ValueError, "two numbers; got"),
        (("percentiles", 99, 1), ValueError, "normalize's percentiles must be two numbers, the first less than the second; got 99 and 1"),
        (("percentiles", 0, 101), ValueError, "normalize's percentiles must be a number of at least 0 and at most 100; got 101"),
        (("percentiles", (1, 2), (3, 4)), ValueError, "two numbers; got"),
        (("limits", 5, 5), ValueError, "normalize's limits must be two numbers, the first less than the second; got 5 and 5"),
        (("limits", float("nan"), 1), ValueError, "normalize's limits must be a number; got nan"),
        (("limits", 0, "1"), TypeError, "normalize's limits must be a number; got '1'"),
        (("limits", 0, 1, 2), ValueError, r"one \(low, high\) per channel; got"),
        (("limits", (0, 1), (0, 1), (0, 1)), ValueError, "for each of the 2; got 3"),
    ],
)  # fmt: skip
def test_rules_that_are_none(rule, error, sentence):
    with pytest.raises(error, match=sentence):
        as_rule(rule, 2)


def test_limits_and_none(image):
    two = np.stack([image, image], axis=-1)
    limits = find_limits(two, ("limits", (0, 100), (50, 250)))
    assert np.allclose(stretch(two, limits), (two - [0, 50]) / [100, 200])
    assert np.array_equal(stretch(two, find_limits(two, None)), two.astype(np.float32))
    assert np.array_equal(stretch(two, find_limits(two, DEFAULT)), flowseg.normalize(two, channel_axis=-1))


def test_normalize_of_a_segmenter(pairs, small, tmp_path):
    from sklearn.base import clone

    from flowseg import BoundarySegmenter, FlowSegmenter, load_segmenter
    from flowseg._segmenters.pipeline import pipeline_of

    images, masks = zip(*pairs)
    for cls in (FlowSegmenter, BoundarySegmenter):
        rule = ("limits", 0.0, float(max(x.max() for x in images)))
        segmenter = clone(cls(normalize=rule, **small)).fit(images, masks)
        segmenter.save(tmp_path / "model.safetensors")
        again = load_segmenter(tmp_path / "model.safetensors")
        assert again.normalize == rule
        found = again.predict(images[0])
        assert np.array_equal(found, segmenter.predict(images[0]))
        outputs = pipeline_of(again).run(images[0]).array
        assert not np.array_equal(
            pipeline_of(again).run(images[0] + 5).array, outputs
        )  # limits do not move with the image
        again.set_params(normalize=DEFAULT)
        plain = pipeline_of(again)
        assert np.allclose(plain.run(images[0] + 5).array, plain.run(images[0]).array, atol=1e-3)
        with pytest.raises(ValueError, match="normalize must have limits for all channels"):
            again.set_params(normalize=("limits", (0, 1), (0, 1))).predict(images[0])


def test_models_of_before_have_percentiles():
    from flowseg import FlowSegmenter

    assert FlowSegmenter.from_pretrained("nuclei").normalize == DEFAULT
