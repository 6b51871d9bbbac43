"""`benchmarks/volumes/data.py`: what the compared tools are given, and what is scored."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks" / "volumes"


@pytest.fixture(scope="module")
def data():
    spec = importlib.util.spec_from_file_location("volumes_data", FOLDER / "data.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look for their module there
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_what_a_cut_goes_through_gets_labels_of_its_own(data):
    masks = np.zeros((3, 4, 6), np.uint16)
    masks[:, 0], masks[:, 3] = 7, 7  # one object whose middle was cut off
    masks[:, 1:3, 5] = 9  # touches both
    split = data.split_cut(masks)
    assert sorted(np.unique(split)) == [0, 1, 2, 3]
    assert (split > 0).sum() == (masks > 0).sum()


def test_small_objects_are_ignored_and_background_is_not(data):
    masks = np.zeros((2, 4, 4), np.int32)
    masks[0, 0, :3], masks[1, 3, :4] = 1, 2
    kept = data.ignore_small(masks, 4)
    assert (kept == -1).sum() == 3
    assert (kept == 2).sum() == 4
    assert (kept[masks == 0] == 0).all()


def test_one_plane_in_eight_stays(data):
    masks = np.ones((17, 3, 3), np.int32)
    assert np.flatnonzero((data.keep_planes(masks, 8) == 1).all(axis=(1, 2))).tolist() == [0, 8, 16]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_planes_have_square_pixels_and_keep_what_is_ignored(data, axis):
    image, masks = np.ones((6, 12, 14), np.uint8), np.zeros((6, 12, 14), np.int32)
    masks[1:5, 2:9, 3:9], masks[0] = 5, -1
    planes = data.cut_planes(image, masks, np.array([2.0, 1.0, 1.0]), axis, 3)
    shape = np.delete((6 if axis == 0 else 12, 12, 14), axis)
    assert len(planes) == 3
    for plane, flat in planes:
        assert plane.shape == flat.shape == tuple(shape)
        assert flat.max() == 1
    assert all((flat == -1).any() == (axis > 0) for _, flat in planes)


def test_parts_of_the_one_volume_do_not_overlap(data, shared, tmp_path):
    file = tmp_path / "ovule.npz"
    data.pack(shared / "data", "ovule_nuclei3d/thinned", file, quick=False)
    with np.load(file) as arrays:
        shapes = {split: arrays[f"{split}/image/0000"].shape for split in ("train", "validation", "test")}
        assert shapes == {"train": (38, 100, 60), "validation": (13, 100, 60), "test": (50, 100, 40)}
        np.testing.assert_allclose(arrays["spacing"], [0.5674, 0.1268, 0.1268])
        assert np.unique(arrays["test/mask/0000"]).size == 36 + 2  # objects, background, slivers
        assert arrays["train/plane_repeats"].sum() >= 2 * data.N_PLANES["train"]
