import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.measure import label, regionprops

from flowseg._labels.components import find_components

DTYPES = [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64]


def images(dtype):
    shapes = hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=12)
    return hnp.arrays(dtype, shapes, elements=st.integers(0, 3), fill=st.just(0))


def in_raster_order(labels):
    _, first, index = np.unique(labels, return_index=True, return_inverse=True)
    first[0] = -1 if labels.min() == 0 else first[0]  # background stays 0
    rank = np.argsort(np.argsort(first)) + (labels.min() > 0)
    return rank[index].reshape(labels.shape)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(DTYPES).flatmap(images))
def test_agrees_with_scikit_image(masks):
    components = find_components(masks)
    expected = in_raster_order(label(np.maximum(masks.astype(np.int64), 0), connectivity=masks.ndim))
    assert np.array_equal(components.image.reshape(masks.shape), expected)
    assert components.n == expected.max()
    for k, region in enumerate(regionprops(components.image)):
        assert components.boxes[k].tolist() == list(region.bbox)
        assert components.sizes[k] == region.area
        assert components.first[k] == np.flatnonzero(components.image == k + 1)[0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_largest_labels(dtype):
    most = np.iinfo(dtype).max
    masks = np.array([[most, most - 1, 0, 1], [0, 0, 0, most]], dtype=dtype)
    assert find_components(masks).image[0].tolist() == [[1, 2, 0, 3], [0, 0, 0, 4]]
    if np.issubdtype(dtype, np.signedinteger):
        masks[0, 0] = np.iinfo(dtype).min
        assert find_components(masks).image[0].tolist() == [[0, 1, 0, 2], [0, 0, 0, 3]]


def test_components_that_join_in_the_last_row():
    # Teeth of a comb that only the last row connects, and a checkerboard whose corners connect everything.
    comb = np.zeros((40, 401), np.uint16)
    comb[:, ::2] = 7
    comb[-1] = 7
    assert find_components(comb).n == 1
    board = np.indices((64, 65)).sum(axis=0) % 2
    assert find_components(board).n == 1
