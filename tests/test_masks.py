import itertools

import numpy as np
import pytest

import flowseg
from flowseg._labels.components import find_components


def test_exact_colors():
    # The 63 colors of the CVAT palette: many share a lightness, all touch their neighbors.
    palette = [c for c in itertools.product((0, 64, 128, 192), repeat=3) if any(c)]
    image = np.kron(np.array(palette, np.uint8).reshape(7, 9, 3), np.ones((4, 4, 1), np.uint8))
    masks = flowseg.masks_from_rgb(image)
    assert masks.max() == 63
    assert np.array_equal(masks, np.kron(np.arange(1, 64).reshape(7, 9), np.ones((4, 4), int)))


def test_one_object_per_component_and_opacity():
    image = np.zeros((5, 9, 4), np.uint8)
    image[..., 3] = 255
    image[1:3, 1:3, :3] = image[1:3, 6:8, :3] = (10, 20, 30)
    masks = flowseg.masks_from_rgb(image)
    assert masks.max() == 2
    assert masks.dtype == np.int32
    assert np.array_equal(masks[1, [1, 6]], [1, 2])


def test_without_background():
    assert flowseg.masks_from_rgb(np.full((2, 3, 3), 7, np.uint8)).tolist() == [[1, 1, 1]] * 2


def test_aitslab_annotation_equals_the_instance_map(shared):
    import tifffile
    from skimage.io import imread

    folder = shared / "data" / "aitslab"
    for channel, target in (("d0", "nuclei"), ("d1", "cells")):
        (annotation,) = (p for p in (folder / "seed_example" / "raw_annotation").iterdir() if channel in p.name)
        (labels,) = (folder / "train" / target / "labels").glob(f"*B14f07{channel}.tif")
        truth = find_components(tifffile.imread(labels)).image[0]
        found = flowseg.masks_from_rgb(imread(annotation))
        assert found.max() == truth.max()
        pairs = np.unique(np.stack([truth.ravel(), found.ravel()]), axis=1)
        assert pairs.shape[1] == truth.max() + 1  # the same partition


@pytest.mark.parametrize(
    ("image", "error", "sentence"),
    [
        (np.zeros((4, 4)), TypeError, "image must hold integer colors; got dtype float64"),
        (np.zeros((4, 4), int), ValueError, r"image must be an RGB or RGBA annotation .* got \(4, 4\)"),
        (np.zeros((4, 4, 2), int), ValueError, "RGB or RGBA"),
    ],
)
def test_refuses(image, error, sentence):
    with pytest.raises(error, match=sentence):
        flowseg.masks_from_rgb(image)


def rings():
    """An object inside the hole of a ring inside the hole of a ring; the inner ring's hole is not filled by it."""
    rows, columns = np.ogrid[:61, :61]
    distance = np.hypot(rows - 30, columns - 30)
    masks = np.zeros((61, 61), np.uint16)
    masks[(distance > 22) & (distance < 28)] = 9
    masks[(distance > 10) & (distance < 16)] = 4
    masks[distance < 4] = 700
    return masks, distance


def test_holes_are_filled_and_objects_in_them_stay():
    masks, distance = rings()
    before = masks.copy()
    filled = flowseg.fill_holes(masks)
    assert filled.dtype == masks.dtype
    assert np.array_equal(masks, before)
    assert np.array_equal(filled[masks > 0], masks[masks > 0])
    assert np.all(filled[(distance < 16) & (masks == 0)] == 4)  # the innermost around
    assert np.all(filled[(distance >= 16) & (distance < 28) & (masks == 0)] == 9)
    assert not filled[distance >= 28].any()


def test_a_stray_component_does_not_change_which_object_gets_a_hole():
    masks = np.zeros((20, 20), int)
    masks[1:12, 1:12], masks[2:11, 2:11] = 1, 0
    masks[4:9, 4:9], masks[5:8, 5:8] = 2, 0
    masks[19, 19] = 2
    filled = flowseg.fill_holes(masks)
    assert np.all(filled[5:8, 5:8] == 2)
    assert np.all(filled[2:11, 2] == 1)


def test_fill_holes_without_holes():
    for masks in (np.zeros((3, 4), int), np.ones((3, 4), int), np.array([[1, 1, 1], [1, 0, 0], [1, 1, 1]])):
        assert np.array_equal(flowseg.fill_holes(masks), masks)
    hollow = np.ones((5, 5, 5), int)
    hollow[2, 2, 2] = 0
    assert flowseg.fill_holes(hollow).all()
    negative = np.full((5, 5), 3)
    negative[2, 2] = -1
    assert flowseg.fill_holes(negative)[2, 2] == -1  # to be ignored, not background


def test_fill_holes_refuses():
    with pytest.raises(TypeError, match="masks must be an integer label image"):
        flowseg.fill_holes(np.zeros((4, 4)))
