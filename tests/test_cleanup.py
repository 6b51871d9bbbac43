"""From basins to objects: stray components, dropped objects, objects at the border."""

import numpy as np
import pytest

from flowseg._flows.cleanup import _most_touched, keep_largest_components, keep_objects
from flowseg._flows.joining import Borders
from flowseg._labels.components import find_components, touches_border


def borders_of(faces, n=6):
    """Return borders with the faces between labels, of which a pair may have several."""
    count = {}
    for pair in faces:
        count[tuple(sorted(pair))] = count.get(tuple(sorted(pair)), 0) + 1
    pairs = np.array(list(count), np.int32).reshape(-1, 2)
    sums = np.array([[number, 0, 0] for number in count.values()], np.int64).reshape(-1, 3)
    return Borders(pairs, sums, np.ones((n + 1, 2), np.int64))


def test_a_stray_is_merged_into_the_object_of_most_faces_and_of_equals_the_first():
    main = np.array([False, True, False, True, False, True, True])  # 2 and 4 are strays
    faces = [(1, 2), (2, 3), (3, 2), (4, 6), (4, 5), (2, 4), (2, 4), (2, 4), (1, 3), (1, 3)]
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(faces))
        found = _most_touched(borders_of([faces[k] for k in order]), main)
        assert sorted(found.T.tolist()) == [[2, 3], [4, 5]]
    assert _most_touched(borders_of([(2, 1), (2, 4)]), main).tolist() == [[2], [1]]
    assert _most_touched(borders_of([(2, 4), (1, 3)]), main).shape == (2, 0)


def one_each(rows):
    labels = np.array(rows, np.int32)[None]
    return keep_largest_components(np.zeros((2, *labels.shape), np.float32), labels)


def test_the_largest_component_stays_and_of_equals_the_first():
    objects = one_each([[1, 0, 1, 1], [0, 0, 0, 0], [2, 2, 0, 2]])
    assert objects.image[0].tolist() == [[0, 0, 1, 1], [0, 0, 0, 0], [2, 2, 0, 0]]
    assert objects.n == 2
    assert objects.sizes.tolist() == [2, 2]
    assert one_each([[1, 2, 2, 0, 1, 1]]).image[0].tolist() == [[1, 1, 1, 0, 2, 2]]  # the very first is the only stray
    assert one_each([[3, 0, 3, 0, 3]]).image[0].tolist() == [[1, 0, 0, 0, 0]]
    joined = one_each([[1, 1, 1, 2, 1, 2, 2, 2]])  # strays on both sides of where the two meet
    assert joined.image[0].tolist() == [[1, 1, 1, 1, 2, 2, 2, 2]]
    assert one_each([[1, 1, 1, 2, 0, 2, 2]]).image[0].tolist() == [[1, 1, 1, 1, 0, 2, 2]]


@pytest.mark.parametrize("shape", [(1, 4, 9), (1, 2, 9), (1, 1, 9), (3, 4, 9), (2, 4, 9)])
def test_objects_at_the_border(shape):
    for place in np.ndindex(shape):
        image = np.zeros(shape, np.int32)
        image[place] = 5
        (found,) = touches_border(find_components(image))
        assert found == any(n > 1 and p in (0, n - 1) for p, n in zip(place, shape, strict=True)), place


def test_kept_objects_are_numbered_in_raster_order():
    image = np.array([[0, 4, 0, 3], [2, 0, 1, 0]], np.int32)
    components = find_components(image)
    found = keep_objects(components, components.image[components.image > 0] != components.image[0, 0, 3])
    assert found.n == 3
    assert found.image[0].tolist() == [[0, 1, 0, 0], [2, 0, 3, 0]]
    assert keep_objects(found, np.zeros(3, bool)).n == 0
