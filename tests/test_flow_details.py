"""Flows of masks and flow errors: arrays and files that are accepted, and those that are refused."""

import numpy as np
import pytest
import tifffile

import flowseg
from flowseg import _checks
from flowseg._flows import targets
from flowseg._flows.flow_check import compare_flows
from flowseg._labels.components import find_components

MASKS = np.array([[1, 1, 1, 0, 2], [1, 1, 1, 0, 0], [0, 0, 0, 0, -3], [2, 2, 2, 2, 0]])
VOLUME = np.stack([MASKS, MASKS])


@pytest.mark.parametrize("masks", [MASKS, VOLUME])
def test_stacks_of_floats_are_returned(masks):
    (stack,) = flowseg.labels_to_flows([masks])
    assert stack.shape == (2 + masks.ndim, *masks.shape)
    for dtype in (np.float32, np.float64, np.float16):
        (again,) = flowseg.labels_to_flows([stack.astype(dtype)])
        assert again.dtype == np.float32
        assert again is not stack
        assert np.array_equal(again, stack.astype(dtype))
    stack[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"labels\[0\] must be finite"):
        flowseg.labels_to_flows([stack])


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5), (5, 4, 5), (4, 2, 4, 5), (6, 2, 4, 5), (6, 2, 2, 4, 5)])
def test_stacks_of_other_shapes(shape, tmp_path):
    array = np.zeros(shape, np.float32)
    with pytest.raises(ValueError, match=r"labels\[0\] must be a label image of integers or a stack of label, fore"):
        flowseg.labels_to_flows([array])
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack")
    with pytest.raises(ValueError, match="must hold a float32 stack of label, foreground and flows; got float32 of"):
        flowseg.labels_to_flows([MASKS], files=[tmp_path / "a.tif"])


@pytest.mark.parametrize("masks", [MASKS, VOLUME])
def test_files_hold_the_stacks(masks, tmp_path):
    file = tmp_path / "a.tif"
    (stack,) = flowseg.labels_to_flows([masks], files=[file])
    assert np.array_equal(tifffile.imread(file), stack)
    for labels in (masks, stack, stack.astype(float)):
        assert np.array_equal(flowseg.labels_to_flows([labels], files=[str(file)])[0], stack)
    other = stack.copy()
    other[0, ..., 0] = 9
    for labels in (masks + (masks == 2), other, masks[..., 1:]):
        with pytest.raises(ValueError, match=r"a\.tif must hold the flows of labels\[0\]; got those of other masks"):
            flowseg.labels_to_flows([labels], files=[file])
    tifffile.imwrite(file, stack.astype(np.float64), photometric="minisblack")
    with pytest.raises(ValueError, match="must hold a float32 stack of label, foreground and flows; got float64 of"):
        flowseg.labels_to_flows([masks], files=[file])


def test_files_must_be_a_sequence_and_errors_name_the_item(tmp_path):
    for files in ("a.tif", tmp_path / "a.tif"):
        with pytest.raises(TypeError, match="files must be a sequence of paths, one per label image; got "):
            flowseg.labels_to_flows([MASKS], files=files)
    files = [tmp_path / "a.tif", tmp_path / "b.tif"]
    flowseg.labels_to_flows([MASKS, MASKS], files=files)
    with pytest.raises(ValueError, match=r"b\.tif must hold the flows of labels\[1\]"):
        flowseg.labels_to_flows([MASKS, MASKS + 1], files=files)
    with pytest.raises(TypeError, match=r"labels\[1\] must be"):
        flowseg.labels_to_flows([MASKS, MASKS > 0])


def test_the_largest_label():
    (stack,) = flowseg.labels_to_flows([np.array([[0, _checks.MAX_FLOAT32_LABEL]])])
    assert stack[0].tolist() == [[0, 2**24]]
    with pytest.raises(ValueError, match=r"labels\[0\] must have labels of at most 16777216"):
        flowseg.labels_to_flows([np.array([[0, _checks.MAX_FLOAT32_LABEL + 1]])])


def test_the_error_of_a_label_in_components_is_a_mean_over_pixels():
    masks = np.where(MASKS == 2, 7, MASKS)  # 7 has components of one pixel and of four
    flows = flowseg.masks_to_flows(masks)
    assert flowseg.flow_errors(masks, flows).tolist() == pytest.approx([0, 0], abs=1e-9)
    changed = flows.copy()
    changed[:, 0, 4] += [3, 4]  # the single pixel: 25
    changed[1, 3, :4] += 2  # the others: 4 each
    assert flowseg.flow_errors(masks, changed).tolist() == pytest.approx([0, (25 + 4 * 4) / 5], rel=1e-5)
    for bad in (flows[:1], flows[:, 1:], np.concatenate([flows, flows[:1]])):
        with pytest.raises(ValueError, match=r"flows must have"):
            flowseg.flow_errors(masks, bad)


def test_only_chosen_components_are_compared():
    components = find_components(MASKS)
    flows = np.ones((2, *components.image.shape), np.float32)
    every = compare_flows(components, np.arange(components.n), flows, 1)
    assert (every > 0).all()
    for k in range(components.n):
        errors = compare_flows(components, np.array([k]), flows, 2)
        assert errors.tolist() == [every[j] if j == k else 0 for j in range(components.n)]


def test_parts_hold_every_component_once():
    masks = np.arange(1, 20 * 30 + 1).reshape(20, 30)
    masks = np.kron(masks, np.ones((3, 3), int))
    components = find_components(masks)
    parts, seconds = targets.split_objects(components, np.arange(3, components.n), None)
    assert np.concatenate(parts).tolist() == list(range(3, components.n))
    assert len(parts) == 1 or len(parts) <= targets.N_PARTS
    assert 0 < seconds < 1
    assert targets.split_objects(components, np.arange(3, components.n), 1000)[1] > 10 * seconds
    many, _ = targets.split_objects(components, np.arange(components.n), 10**9)
    assert len(many) == targets.N_PARTS


def test_only_the_ratio_of_spacings_counts():
    masks = np.zeros((9, 14), int)
    masks[1:8, 1:13] = 1
    masks[5:, 9:] = 0
    expected = flowseg.masks_to_flows(masks, spacing=(2, 1))
    assert np.array_equal(flowseg.masks_to_flows(masks, spacing=(6, 3)), expected)
    assert not np.array_equal(flowseg.masks_to_flows(masks, spacing=(1, 2)), expected)
    assert np.array_equal(targets.masks_to_flows_unchecked(masks * 255, 1), flowseg.masks_to_flows(masks))


def test_interrupted_work_ends_before_it_is_split(monkeypatch):
    class CanceledError(Exception):
        pass

    def check():
        raise CanceledError

    monkeypatch.setattr(targets, "check_canceled", check)
    components = find_components(MASKS)
    with pytest.raises(CanceledError):
        targets.split_objects(components, np.arange(components.n), None)


def test_diameters_are_those_of_disks_and_balls():
    assert flowseg.diameters(MASKS).tolist() == pytest.approx([2 * (6 / np.pi) ** 0.5, 2 * (5 / np.pi) ** 0.5])
    balls = [2 * (3 * n / (4 * np.pi)) ** (1 / 3) for n in (12, 10)]
    assert flowseg.diameters(VOLUME).tolist() == pytest.approx(balls)
