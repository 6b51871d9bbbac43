"""Padding is looked for once per image, and the limits are the same."""

import numpy as np
import pytest

from flowseg import FlowSegmenter, _padding, synthetic
from flowseg._intensities import find_limits, find_limits_and_unpadded
from flowseg._padding import find_unpadded
from flowseg._segmenters import noise_check
from flowseg._segmenters.noise_check import sharpness

IMAGE, MASKS = synthetic.cells((96, 96), 9, rng=0)
PADDED = np.pad(IMAGE, ((0, 40), (0, 64)))
TWO = np.stack([PADDED, np.pad(IMAGE, ((20, 20), (0, 64)), constant_values=1e4)], axis=-1)


@pytest.mark.parametrize("image", [IMAGE[..., None], PADDED[..., None], TWO], ids=["plain", "padded", "two channels"])
@pytest.mark.parametrize("rule", [("percentiles", 1, 99), ("percentiles", 0, 100), ("limits", 0, 9), None])
def test_limits(image, rule):
    limits, unpadded = find_limits_and_unpadded(image, rule)
    expected = find_limits(image, rule)
    for name in ("low", "high", "bottom", "top"):
        assert np.array_equal(getattr(limits, name), getattr(expected, name))
    assert (unpadded is None) == (rule is None or rule[0] == "limits")


def test_the_noise_check_takes_padding_that_is_known(monkeypatch):
    masks = np.pad(MASKS, ((0, 40), (0, 64)))
    expected = sharpness(PADDED, masks)
    unpadded = find_unpadded(PADDED[..., None])
    assert unpadded[0] is not None
    monkeypatch.setattr(noise_check, "find_unpadded", None)
    assert sharpness(PADDED, masks, unpadded) == expected


def test_once_per_image(monkeypatch):
    found, find = [], _padding.find_unpadded_pixels
    monkeypatch.setattr(_padding, "find_unpadded_pixels", lambda channel: found.append(1) or find(channel))
    model = FlowSegmenter.from_pretrained("nuclei")
    assert model.predict(PADDED, diameters="estimate").max() > 3
    assert len(found) == 1
