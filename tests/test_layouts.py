"""Every layout of arrays gives the same results; what reaches C is aligned, in native byte order and writable if written."""

import layouts
import numpy as np
import pytest

import flowseg
from flowseg import _diffusion, metrics, synthetic

CALLS = {
    "masks_to_flows": lambda a: flowseg.masks_to_flows(a["masks"]),
    "masks_to_flows, spacing": lambda a: flowseg.masks_to_flows(a["masks"], spacing=a["spacing"]),
    "flow_errors": lambda a: flowseg.flow_errors(a["masks"], a["flows"]),
    "flows_to_masks": lambda a: flowseg.flows_to_masks(a["flows"], a["cellprob"]),
    "follow_flows": lambda a: flowseg.follow_flows(a["flows"], a["masks"]),
    "labels_to_flows": lambda a: flowseg.labels_to_flows([a["masks"]])[0],
    "diameters": lambda a: flowseg.diameters(a["masks"]),
    "fill_holes": lambda a: flowseg.fill_holes(a["masks"]),
    "mend_masks": lambda a: flowseg.mend_masks(a["masks"]).masks,
    "check_masks": lambda a: str(flowseg.check_masks(a["masks"])),
    "match": lambda a: metrics.match(a["masks"], a["others"]).pair_iou,
    "average_precision": lambda a: metrics.average_precision([a["masks"]], [a["others"]]),
    "aggregated_jaccard": lambda a: metrics.aggregated_jaccard(a["masks"], a["others"]),
    "splits_merges": lambda a: metrics.splits_merges(a["masks"], a["others"]),
    "normalize": lambda a: flowseg.normalize(a["cellprob"]),
    "masks_from_binary": lambda a: flowseg.masks_from_binary(a["masks"] > 0),
}


@pytest.fixture(scope="module")
def arrays():
    _, masks = synthetic.cells((50, 61), 8, rng=0)
    rng = np.random.default_rng(0)
    flows = flowseg.masks_to_flows(masks).astype(np.float64) + rng.normal(0, 0.2, (2, 50, 61))
    return {
        "masks": masks.astype(np.int32),
        "others": np.roll(masks, 2, axis=0).astype(np.uint16),
        "flows": flows.astype(np.float32),
        "cellprob": np.where(masks > 0, 5.0, -5.0),
        "spacing": np.array([1.0, 2.0]),
    }


@pytest.fixture
def watched(monkeypatch):
    """Watch what the functions of the compiled module get."""
    seen = []

    def watch(function):
        def call(*arguments):
            for array in arguments:
                if isinstance(array, np.ndarray):
                    assert array.flags.aligned
                    assert array.dtype.isnative
                    assert array.flags.c_contiguous
            seen.append(function)
            return function(*arguments)

        return call

    for name in dir(_diffusion):
        function = getattr(_diffusion, name)
        if callable(function) and not name.startswith("_"):
            monkeypatch.setattr(_diffusion, name, watch(function))
    return seen


@pytest.mark.parametrize("name", CALLS)
def test_layouts_have_no_effect(name, arrays, watched):
    expected = CALLS[name](arrays)
    for layout, change in layouts.LAYOUTS.items():
        changed = {key: change(value) for key, value in arrays.items()}
        assert all(np.array_equal(changed[key], arrays[key]) for key in arrays), layout
        found = CALLS[name](changed)
        assert np.array_equal(found, expected), layout
        assert all(np.array_equal(changed[key], arrays[key]) for key in arrays), layout  # inputs are never changed
    if name.split(",")[0] in ("masks_to_flows", "flow_errors", "flows_to_masks", "follow_flows", "fill_holes"):
        assert watched


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"])
def test_masks_of_every_dtype_in_every_layout(dtype, arrays, watched):
    expected = flowseg.masks_to_flows(arrays["masks"])
    for change in layouts.LAYOUTS.values():
        assert np.array_equal(flowseg.masks_to_flows(change(arrays["masks"].astype(dtype))), expected)


def test_layouts():
    array = np.arange(12, dtype=np.int32).reshape(3, 4)
    for name, change in layouts.LAYOUTS.items():
        changed = change(array)
        assert np.array_equal(changed, array)
        assert changed.flags.aligned == (not ("misaligned" in name or name == "packed"))
        assert changed.flags.writeable == ("frozen" not in name)
