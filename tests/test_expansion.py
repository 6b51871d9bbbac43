"""Objects that are expanded into the background."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.segmentation import expand_labels

from flowseg._labels import expansion
from flowseg._labels.expansion import expand_objects, reach_of


def nearest(labels, distance):
    """Compare every pixel with every labeled one; of equally near labels the smallest."""
    places = np.argwhere(labels > 0)
    if len(places) == 0:
        return labels
    squares = ((np.argwhere(np.ones(labels.shape))[:, np.newaxis] - places) ** 2).sum(axis=-1)
    least = squares.min(axis=1)
    label = np.where(squares == least[:, np.newaxis], labels[labels > 0], np.iinfo(np.int32).max).min(axis=1)
    return np.where(np.sqrt(least) <= distance, label, 0).reshape(labels.shape)


DISTANCES = [0.5, 1.0, 1.2, np.sqrt(2), 1.5, 2.0, np.sqrt(5), 2.7, 5.0, 11.3, 100.0]
SHAPES = st.one_of(*(st.tuples(*[st.integers(1, n)] * k) for k, n in ((1, 60), (2, 20), (3, 8))))


@given(
    shape=SHAPES,
    distance=st.sampled_from(DISTANCES),
    density=st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0]),
    per_strip=st.sampled_from([1, 60, 1 << 17]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=150, deadline=None)
def test_every_pixel_goes_to_the_nearest_object(shape, distance, density, per_strip, seed):
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random(shape) < density, rng.integers(1, 9, shape), 0).astype(np.int32)
    labels[labels == 8] = np.iinfo(np.int32).max
    before = labels.copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(expansion, "PIXELS_PER_STRIP", per_strip)
        expanded = expand_objects(labels, distance)
    assert np.array_equal(labels, before)
    assert expanded.dtype == np.int32
    assert np.array_equal(expanded, nearest(labels, distance))
    assert np.array_equal(expanded > 0, expand_labels(labels, distance) > 0)


def test_a_part_gives_the_same_as_the_whole():
    rng = np.random.default_rng(0)
    labels = np.where(rng.random((80, 90)) < 0.01, rng.integers(1, 99, (80, 90)), 0).astype(np.int32)
    for distance in DISTANCES:
        reach = reach_of(distance)
        low, high = max(30 - reach, 0), 50 + reach
        part = expand_objects(labels[low:high, low:high], distance)
        inside = slice(30 - low, 50 - low)
        assert np.array_equal(part[inside, inside], expand_objects(labels, distance)[30:50, 30:50])


def test_reach():
    assert [reach_of(distance) for distance in (0.5, 1.0, 1.99, 2.0, np.sqrt(10), 11.3)] == [0, 1, 1, 2, 3, 11]
