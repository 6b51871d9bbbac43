import itertools

import numpy as np
import pytest

import flowseg
from flowseg._flows import _pieces


def test_exact_colours():
    # The 63 colours of the CVAT palette: many share a lightness, all touch their neighbours.
    palette = [c for c in itertools.product((0, 64, 128, 192), repeat=3) if any(c)]
    image = np.kron(np.array(palette, np.uint8).reshape(7, 9, 3), np.ones((4, 4, 1), np.uint8))
    masks = flowseg.masks_from_rgb(image)
    assert masks.max() == 63
    assert np.array_equal(masks, np.kron(np.arange(1, 64).reshape(7, 9), np.ones((4, 4), int)))


def test_one_object_per_piece_and_opacity():
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
        truth = _pieces(tifffile.imread(labels))
        found = flowseg.masks_from_rgb(imread(annotation))
        assert found.max() == truth.max()
        pairs = np.unique(np.stack([truth.ravel(), found.ravel()]), axis=1)
        assert pairs.shape[1] == truth.max() + 1  # the same partition


@pytest.mark.parametrize(
    ("image", "error", "sentence"),
    [
        (np.zeros((4, 4)), TypeError, "image must hold integer colours; got dtype float64"),
        (np.zeros((4, 4), int), ValueError, r"image must be an RGB or RGBA annotation .* got \(4, 4\)"),
        (np.zeros((4, 4, 2), int), ValueError, "RGB or RGBA"),
    ],
)
def test_refuses(image, error, sentence):
    with pytest.raises(error, match=sentence):
        flowseg.masks_from_rgb(image)
